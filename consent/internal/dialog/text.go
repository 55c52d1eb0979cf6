package dialog

import (
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/math/fixed"
)

// An ink is what text is drawn with.
type ink = image.Uniform

// A span is text of one style and colour within a paragraph.
type span struct {
	text  string
	style *style
	ink   *ink
}

// A line is the glyphs that stand side by side.
type line struct {
	glyphs []glyph
	width  fixed.Int26_6
}

func (l *line) add(g glyph) {
	l.glyphs = append(l.glyphs, g)
	l.width += g.advance
}

// breakLines sets spans in lines of at most width pixels, at most most of them.
// It breaks at spaces, and within a word that is longer than a line. What
// doesn't fit ends in "…".
func breakLines(spans []span, width, most int) []line {
	room := fixed.I(width)
	var all []glyph
	for _, s := range spans {
		for _, r := range s.text {
			all = append(all, s.style.glyph(r, s.ink))
		}
	}
	var lines []line
	for len(all) > 0 {
		var l line
		n, space := 0, -1 // glyphs that fit, and the last space among them
		for n < len(all) && (l.width+all[n].advance <= room || all[n].r == ' ' || n == 0) {
			if all[n].r == ' ' {
				space = n
			}
			l.add(all[n])
			n++
		}
		if n < len(all) && len(lines) == most-1 {
			return append(lines, ellipsis(l, spans[len(spans)-1], room))
		}
		if n < len(all) && space > 0 {
			n = space + 1
		}
		lines = append(lines, trim(all[:n]))
		all = all[n:]
	}
	return lines
}

// balanceLines is breakLines with lines of about the same length: as narrow as
// it gets without another line.
func balanceLines(spans []span, width, most int) []line {
	lines := breakLines(spans, width, most)
	if len(lines) < 2 || len(lines) == most {
		return lines // one line, or perhaps a cut one
	}
	// The narrowest width that still does is between low, which doesn't, and width.
	low := width / 2
	for width-low > 1 {
		middle := (low + width) / 2
		if narrow := breakLines(spans, middle, most); len(narrow) == len(lines) {
			lines, width = narrow, middle
		} else {
			low = middle
		}
	}
	return lines
}

// trim is glyphs as a line without the spaces at its end.
func trim(glyphs []glyph) line {
	for len(glyphs) > 0 && glyphs[len(glyphs)-1].r == ' ' {
		glyphs = glyphs[:len(glyphs)-1]
	}
	var l line
	for _, g := range glyphs {
		l.add(g)
	}
	return l
}

// ellipsis shortens l until it fits into room with a "…" in the style of s.
func ellipsis(l line, s span, room fixed.Int26_6) line {
	dots := s.style.glyph('…', s.ink)
	glyphs := l.glyphs
	for {
		l = trim(glyphs)
		if len(l.glyphs) == 0 || l.width+dots.advance <= room {
			break
		}
		glyphs = l.glyphs[:len(l.glyphs)-1]
	}
	l.add(dots)
	return l
}

// drawLine draws l from x rightwards in a box that it can't leave: top and
// height say where, and the text stands in the middle of it.
func drawLine(dst *image.RGBA, l line, x, top, height int, s *style) {
	box := image.Rect(x, top, x+l.width.Ceil()+1, top+height)
	clip := dst.SubImage(box.Inset(-height / 8)).(*image.RGBA)
	// The middle between the top of the capitals and the baseline is what looks
	// like the middle of a line.
	m := s.face(s.main).Metrics()
	base := fixed.I(top) + (fixed.I(height)+m.CapHeight)/2
	dot := fixed.Point26_6{X: fixed.I(x), Y: fixed.I(base.Round())}
	for _, g := range l.glyphs {
		drawGlyph(clip, g, dot, m.CapHeight)
		dot.X += g.advance
	}
}

// drawGlyph draws one glyph on the baseline at dot.
func drawGlyph(dst *image.RGBA, g glyph, dot fixed.Point26_6, height fixed.Int26_6) {
	if g.face == nil {
		gap := g.advance / 7
		box := image.Rect((dot.X + gap).Round(), (dot.Y - height).Round(), (dot.X + g.advance - gap).Round(), dot.Y.Round())
		strokeRect(dst, box, max(1, height.Round()/12), g.ink.C)
		return
	}
	r, mask, at, _, ok := g.face.Glyph(dot, g.r)
	if ok && !r.Empty() {
		draw.DrawMask(dst, r, g.ink, image.Point{}, mask, at, draw.Over)
	}
}

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
