package dialog

import (
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// drawLines draws lines below one another.
func drawLines(dst *image.RGBA, lines []line, x, y, height int, s *style) {
	for i, l := range lines {
		drawLine(dst, l, x, y+i*height, height, s)
	}
}

// drawLine draws l from x rightwards in a box that it can't leave: top and height say
// where, and the text stands in the middle of it.
func drawLine(dst *image.RGBA, l line, x, top, height int, s *style) {
	box := image.Rect(x, top, x+l.width.Ceil()+1, top+height)
	clip := dst.SubImage(box.Inset(-height / 8)).(*image.RGBA)
	// The middle between the top of the capitals and the baseline is what looks like the
	// middle of a line.
	base := fixed.I(top) + (fixed.I(height)+s.caps)/2
	dot := fixed.Point26_6{X: fixed.I(x), Y: fixed.I(base.Round())}
	for _, c := range l.visual() {
		drawCluster(clip, c, dot)
		dot.X += c.advance
	}
}

// drawCluster draws one cluster on the baseline at dot.
func drawCluster(dst *image.RGBA, c cluster, dot fixed.Point26_6) {
	if c.face == nil {
		height := c.span.style.caps
		gap := c.advance / 7
		box := image.Rect((dot.X + gap).Round(), (dot.Y - height).Round(), (dot.X + c.advance - gap).Round(), dot.Y.Round())
		strokeRect(dst, box, max(1, height.Round()/12), c.span.ink.C)
		return
	}
	for _, g := range c.glyphs {
		at := dot.Add(fixed.Point26_6{X: g.XOffset, Y: -g.YOffset})
		drawOutline(dst, c.face.outline(g.GlyphID, c.span.style.size), at, c.span.ink)
		dot.X += g.Advance
	}
}

// drawOutline fills a glyph's outline with smooth edges.
func drawOutline(dst *image.RGBA, segments sfnt.Segments, at fixed.Point26_6, c *ink) {
	if len(segments) == 0 {
		return
	}
	b := segments.Bounds().Add(at)
	box := image.Rect(b.Min.X.Floor(), b.Min.Y.Floor(), b.Max.X.Ceil(), b.Max.Y.Ceil())
	if !box.Overlaps(dst.Rect) || box.Dx() > maxGlyph || box.Dy() > maxGlyph {
		return
	}
	x0, y0 := at.X-fixed.I(box.Min.X), at.Y-fixed.I(box.Min.Y)
	point := func(p fixed.Point26_6) (x, y float32) { return float32(p.X+x0) / 64, float32(p.Y+y0) / 64 }
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	z.DrawOp = draw.Over
	for i, s := range segments {
		x, y := point(s.Args[0])
		x1, y1 := point(s.Args[1])
		x2, y2 := point(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if i > 0 {
				z.ClosePath()
			}
			z.MoveTo(x, y)
		case sfnt.SegmentOpLineTo:
			z.LineTo(x, y)
		case sfnt.SegmentOpQuadTo:
			z.QuadTo(x, y, x1, y1)
		case sfnt.SegmentOpCubeTo:
			z.CubeTo(x, y, x1, y1, x2, y2)
		}
	}
	z.ClosePath()
	if box.In(dst.Rect) {
		z.Draw(dst, box, c, image.Point{})
		return
	}
	mask := image.NewAlpha(image.Rect(0, 0, box.Dx(), box.Dy())) // the rasterizer doesn't clip
	z.Draw(mask, mask.Rect, image.Opaque, image.Point{})
	draw.DrawMask(dst, box, c, image.Point{}, mask, image.Point{}, draw.Over)
}

// maxGlyph is how many pixels a glyph is wide or high at most.
const maxGlyph = 1024

// strokeRect draws the outline of r, w pixels thick, inwards.
func strokeRect(dst *image.RGBA, r image.Rectangle, w int, c color.Color) {
	src := image.NewUniform(c)
	for _, side := range [...]image.Rectangle{
		image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+w),
		image.Rect(r.Min.X, r.Max.Y-w, r.Max.X, r.Max.Y),
		image.Rect(r.Min.X, r.Min.Y, r.Min.X+w, r.Max.Y),
		image.Rect(r.Max.X-w, r.Min.Y, r.Max.X, r.Max.Y),
	} {
		draw.Draw(dst, side.Intersect(r), src, image.Point{}, draw.Src)
	}
}
