package dialog

import (
	"image"
	"math"

	"github.com/BurntSushi/xgb/xproto"
)

// likeness is how much the screen must look like a window's picture (as a correlation, 1 is the
// same) for the window to be painted. A compositor may let others shine through it.
const likeness = 0.5

// painted reports whether the screen shows a picture at a place on the root window, or those of its pixels that visible says, row
// by row; nil: all. A window that is on the screen isn't always shown: a compositor that has just taken over may know nothing of
// it. What can't be found out counts as no.
func (w *window) painted(img *image.RGBA, at image.Point, visible []bool) bool {
	root, err := xproto.GetGeometry(w.x.Conn, xproto.Drawable(w.screen.Root)).Reply()
	if err != nil {
		return false
	}
	on := img.Rect.Add(at).Intersect(image.Rect(0, 0, int(root.Width), int(root.Height)))
	if on.Empty() {
		return false
	}
	r, err := xproto.GetImage(w.x.Conn, xproto.ImageFormatZPixmap, xproto.Drawable(w.screen.Root),
		int16(on.Min.X), int16(on.Min.Y), uint16(on.Dx()), uint16(on.Dy()), math.MaxUint32).Reply()
	if err != nil {
		return false
	}
	want := on.Sub(at)
	is, should := w.format.brightness(r.Data, on.Size()), w.format.brightness(w.format.encode(img, want), on.Size())
	if visible != nil {
		is, should = only(is, want, img.Rect.Dx(), visible), only(should, want, img.Rect.Dx(), visible)
	}
	return correlation(is, should) >= likeness
}

// only are those of the pixels of a part of a picture that visible says, which has all of its rows of that width.
func only(pixels []float64, part image.Rectangle, width int, visible []bool) (some []float64) {
	for i, p := range pixels {
		if x, y := part.Min.X+i%part.Dx(), part.Min.Y+i/part.Dx(); visible[y*width+x] {
			some = append(some, p)
		}
	}
	return some
}

// brightness is that of each pixel of a ZPixmap, between 0 and 765. It is nil if data are too
// short.
func (f format) brightness(data []byte, size image.Point) []float64 {
	stride := f.stride(size.X)
	if len(data) < stride*size.Y {
		return nil
	}
	out := make([]float64, 0, size.X*size.Y)
	for y := range size.Y {
		for x := range size.X {
			p := uint32(0)
			for i, b := range data[y*stride+x*f.size:][:f.size] {
				if f.big {
					p = p<<8 | uint32(b)
				} else {
					p |= uint32(b) << (8 * i)
				}
			}
			out = append(out, f.r.get(p)+f.g.get(p)+f.b.get(p))
		}
	}
	return out
}

// get is the channel's value in a pixel, between 0 and 255.
func (c channel) get(p uint32) float64 {
	most := uint32(1)<<c.bits - 1
	return float64(p>>c.shift&most) * 255 / float64(most)
}

// correlation is Pearson's of two samples: 1 if one is the other but for brightness and
// contrast, 0 if they have nothing in common or one is all the same.
func correlation(a, b []float64) float64 {
	if len(a) == 0 || len(a) != len(b) {
		return 0
	}
	mean := func(v []float64) float64 {
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		return sum / float64(len(v))
	}
	ma, mb := mean(a), mean(b)
	var ab, aa, bb float64
	for i := range a {
		da, db := a[i]-ma, b[i]-mb
		ab, aa, bb = ab+da*db, aa+da*da, bb+db*db
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
