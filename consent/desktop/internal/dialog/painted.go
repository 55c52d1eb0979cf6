package dialog

import (
	"bytes"
	"image"
	"math"

	"github.com/BurntSushi/xgb/xproto"
)

// What the screen must have of a window's picture for the window to be painted. A compositor may let others shine through it.
const (
	leastLikeness = 0.5 // as a correlation: 1 is the same
	leastContrast = 0.3 // of the picture's
)

// maxPart are the bytes of the screen that are asked for at once.
const maxPart = 1 << 20

// painted reports whether the screen shows a picture at a place on the root window, in each of some parts of it, or those of its
// pixels that visible says, row by row; nil: all. A part of which less than half is visible doesn't count. A window that is on the
// screen isn't always shown: others can draw on it, and a compositor shows what it likes. What can't be found out counts as no.
func (w *window) painted(img *image.RGBA, at image.Point, visible []bool, parts []image.Rectangle) bool {
	root, err := xproto.GetGeometry(w.x.Conn, xproto.Drawable(w.screen.Root)).Reply()
	if err != nil {
		return false
	}
	on := img.Rect.Add(at).Intersect(image.Rect(0, 0, int(root.Width), int(root.Height)))
	data := w.capture(xproto.Drawable(w.screen.Root), on)
	if on.Empty() || data == nil {
		return false
	}
	want := on.Sub(at)
	if want == img.Rect && w.format.same(data, w.encoded(img)) {
		return true
	}
	is, should := w.format.brightness(data, on.Size()), w.format.brightness(w.format.encode(img, want), on.Size())
	for _, part := range parts {
		if part = part.Intersect(want); part.Empty() {
			continue
		}
		some, same := only(is, want, part, img.Rect.Dx(), visible), only(should, want, part, img.Rect.Dx(), visible)
		if 2*len(some) >= part.Dx()*part.Dy() && !alike(some, same) {
			return false
		}
	}
	return true
}

// untouched reports whether the window has its picture in it, whatever a compositor makes of that, or this can't be found out.
// Without a compositor it also has what hides it.
func (w *window) untouched(img *image.RGBA) bool {
	data := w.capture(xproto.Drawable(w.id), img.Rect)
	return data == nil || w.format.same(data, w.encoded(img))
}

// encoded is a picture as the server has it. It is kept until the next upload.
func (w *window) encoded(img *image.RGBA) []byte {
	if w.pixels == nil {
		w.pixels = w.format.encode(img, img.Rect)
	}
	return w.pixels
}

// capture is what is in a part of a window on the screen, as a ZPixmap; nil: that can't be found out.
func (w *window) capture(from xproto.Drawable, r image.Rectangle) (data []byte) {
	for _, p := range w.format.strips(r, maxPart) {
		got, err := xproto.GetImage(w.x.Conn, xproto.ImageFormatZPixmap, from,
			int16(p.Min.X), int16(p.Min.Y), uint16(p.Dx()), uint16(p.Dy()), math.MaxUint32).Reply()
		if err != nil || len(got.Data) < w.format.stride(p.Dx())*p.Dy() {
			return nil
		}
		part := got.Data[:w.format.stride(p.Dx())*p.Dy()]
		if p == r {
			return part
		}
		data = append(data, part...)
	}
	return data
}

// same reports whether two ZPixmaps of a size have the same colours.
func (f format) same(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	if bytes.Equal(a, b) {
		return true
	}
	if f.stride(1) != f.size { // rows have padding, which may be anything
		return false
	}
	p := f.r.put(0xff) | f.g.put(0xff) | f.b.put(0xff)
	mask := make([]byte, f.size)
	for i := range mask {
		mask[i] = byte(p >> (8 * i))
		if f.big {
			mask[i] = byte(p >> (8 * (f.size - 1 - i)))
		}
	}
	for i := 0; i+f.size <= len(a); i += f.size {
		for k, m := range mask {
			if (a[i+k]^b[i+k])&m != 0 {
				return false
			}
		}
	}
	return true
}

// only are those of the pixels of a part of a picture that visible says, which has all of its rows of that width; nil: all. pixels are those
// of what.
func only(pixels []float64, what, part image.Rectangle, width int, visible []bool) (some []float64) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if visible == nil || visible[y*width+x] {
				some = append(some, pixels[(y-what.Min.Y)*what.Dx()+x-what.Min.X])
			}
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

// alike reports whether the screen shows pixels as they should be, or their negative, which can be read as well.
func alike(is, should []float64) bool {
	likeness, contrast := compare(is, should)
	return math.Abs(likeness) >= leastLikeness && math.Abs(contrast) >= leastContrast
}

// compare says how like two samples are by Pearson's correlation (1: is is the same as should but for brightness and contrast; 0: they
// have nothing in common, or one is all the same), and what part of should's contrast is has.
func compare(is, should []float64) (likeness, contrast float64) {
	if len(is) == 0 || len(is) != len(should) {
		return 0, 0
	}
	mean := func(v []float64) float64 {
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		return sum / float64(len(v))
	}
	mi, ms := mean(is), mean(should)
	var both, ii, ss float64
	for i := range is {
		di, ds := is[i]-mi, should[i]-ms
		both, ii, ss = both+di*ds, ii+di*di, ss+ds*ds
	}
	if ii == 0 || ss == 0 {
		return 0, 0
	}
	return both / math.Sqrt(ii*ss), both / ss
}
