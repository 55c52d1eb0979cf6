package dialog

import (
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/vector"
)

// fill draws a closed shape with smooth edges. The shape lies within box and is
// described in box's own coordinates.
func fill(dst *image.RGBA, box image.Rectangle, c color.Color, shape func(z *vector.Rasterizer)) {
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	z.DrawOp = draw.Over
	shape(z)
	z.Draw(dst, box, image.NewUniform(c), image.Point{})
}

// roundRect fills r with corners of the given radius.
func roundRect(dst *image.RGBA, r image.Rectangle, radius float32, c color.Color) {
	fill(dst, r, c, func(z *vector.Rasterizer) {
		addRound(z, 0, 0, float32(r.Dx()), float32(r.Dy()), radius)
	})
}

// outlined is roundRect with a border of its own colour, w pixels wide.
func outlined(dst *image.RGBA, r image.Rectangle, radius float32, w int, border, inside color.Color) {
	roundRect(dst, r, radius, border)
	roundRect(dst, r.Inset(w), max(0, radius-float32(w)), inside)
}

// addRound adds a rectangle with round corners to a path.
func addRound(z *vector.Rasterizer, x0, y0, x1, y1, radius float32) {
	k := radius * 0.4477 // where a cubic curve comes closest to a circle
	z.MoveTo(x0+radius, y0)
	z.LineTo(x1-radius, y0)
	z.CubeTo(x1-k, y0, x1, y0+k, x1, y0+radius)
	z.LineTo(x1, y1-radius)
	z.CubeTo(x1, y1-k, x1-k, y1, x1-radius, y1)
	z.LineTo(x0+radius, y1)
	z.CubeTo(x0+k, y1, x0, y1-k, x0, y1-radius)
	z.LineTo(x0, y0+radius)
	z.CubeTo(x0, y0+k, x0+k, y0, x0+radius, y0)
	z.ClosePath()
}

// drawIcon draws a screen with an eye in it into the square box.
func drawIcon(dst *image.RGBA, box image.Rectangle, c, paper color.Color) {
	u := float32(box.Dx()) / 48
	part := func(c color.Color, shape func(z *vector.Rasterizer)) { fill(dst, box, c, shape) }
	rect := func(c color.Color, x0, y0, x1, y1, radius float32) {
		part(c, func(z *vector.Rasterizer) { addRound(z, x0*u, y0*u, x1*u, y1*u, radius*u) })
	}
	rect(c, 20, 34, 28, 42, 0) // neck
	rect(c, 12, 40, 36, 44, 2) // foot
	rect(c, 1, 4, 47, 37, 5)   // frame
	rect(paper, 4.5, 7.5, 43.5, 33.5, 2)
	part(c, func(z *vector.Rasterizer) { // eye
		z.MoveTo(10*u, 20.5*u)
		z.CubeTo(17*u, 8.5*u, 31*u, 8.5*u, 38*u, 20.5*u)
		z.CubeTo(31*u, 32.5*u, 17*u, 32.5*u, 10*u, 20.5*u)
		z.ClosePath()
	})
	rect(paper, 17.5, 14, 30.5, 27, 6.5) // white of the eye
	rect(c, 20.5, 17, 27.5, 24, 3.5)     // pupil
}

// icon is the icon in several sizes, as window managers and taskbars want it (EWMH,
// _NET_WM_ICON): width, height and ARGB of each.
func icon(sizes ...int) []uint32 {
	var all []uint32
	for _, n := range sizes {
		img := image.NewRGBA(image.Rect(0, 0, n, n))
		drawIcon(img, img.Rect, accent, paper)
		all = append(all, uint32(n), uint32(n))
		for y := range n {
			for x := range n {
				c := color.NRGBAModel.Convert(img.RGBAAt(x, y)).(color.NRGBA)
				all = append(all, uint32(c.A)<<24|uint32(c.R)<<16|uint32(c.G)<<8|uint32(c.B))
			}
		}
	}
	return all
}
