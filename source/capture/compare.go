package capture

import (
	"bytes"
	"encoding/binary"
	"image"
)

// colorMask leaves out what has no meaning in two pixels.
const colorMask = 0x00ffffff_00ffffff

// differ is the smallest rectangle around the pixels of r that differ between
// the frame and pix, whose first pixel is at origin.
func (f *frame) differ(r image.Rectangle, pix []byte, stride int, origin image.Point) (d image.Rectangle) {
	left, right := r.Dx(), 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := (y-origin.Y)*stride + 4*(r.Min.X-origin.X)
		was, is := f.row(r.Min.X, y, r.Dx()), pix[at:at+4*r.Dx()]
		if bytes.Equal(was, is) {
			continue
		}
		first, last := rowDiffers(was, is)
		if first > last {
			continue
		}
		if right == 0 {
			d.Min.Y = y
		}
		d.Max.Y = y + 1
		left, right = min(left, first), max(right, last+1)
	}
	if right == 0 {
		return image.Rectangle{}
	}
	d.Min.X, d.Max.X = r.Min.X+left, r.Min.X+right
	return d
}

// rowDiffers is the first and the last pixel that differ; first is beyond last if
// none does.
func rowDiffers(a, b []byte) (first, last int) {
	n := len(a) / 4
	for first < n && pixel(a, first) == pixel(b, first) {
		if first+2 <= n && (binary.LittleEndian.Uint64(a[4*first:])^binary.LittleEndian.Uint64(b[4*first:]))&colorMask == 0 {
			first++
		}
		first++
	}
	for last = n - 1; last >= first && pixel(a, last) == pixel(b, last); last-- {
	}
	return first, last
}

func pixel(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) & 0xffffff }

// put copies r from pix into the frame.
func (f *frame) put(r image.Rectangle, pix []byte, stride int, origin image.Point) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := (y-origin.Y)*stride + 4*(r.Min.X-origin.X)
		copy(f.row(r.Min.X, y, r.Dx()), pix[at:])
	}
}

// move does in the frame what a CopyRect does at the viewer: r shows what was dy
// further down.
func (f *frame) move(r image.Rectangle, dy int) {
	if dy > 0 {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			copy(f.row(r.Min.X, y, r.Dx()), f.row(r.Min.X, y+dy, r.Dx()))
		}
		return
	}
	for y := r.Max.Y - 1; y >= r.Min.Y; y-- {
		copy(f.row(r.Min.X, y, r.Dx()), f.row(r.Min.X, y+dy, r.Dx()))
	}
}
