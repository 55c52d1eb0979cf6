package dialog

import (
	"fmt"
	"image"
	"math/bits"

	"github.com/BurntSushi/xgb/xproto"
)

// A format says how a display wants its pixels.
type format struct {
	depth byte
	size  int // bytes a pixel: 2, 3 or 4
	pad   int // bytes that a row is padded to a multiple of
	big   bool
	r, g, b,
	a channel // a is what the masks leave of the depth's bits; it is set, where it exists
}

// A channel is a colour's place in a pixel.
type channel struct{ shift, bits uint }

func newChannel(mask uint32) channel {
	return channel{shift: uint(bits.TrailingZeros32(mask)), bits: uint(bits.OnesCount32(mask))}
}

// put is an eight-bit value of the channel in its place.
func (c channel) put(v uint8) uint32 {
	// The value is repeated downwards, so that white stays white at any width.
	wide := uint32(v) << 24
	wide |= wide>>8 | wide>>16 | wide>>24
	return uint32(uint64(wide) >> (32 - c.bits) << c.shift)
}

// formatOf is the format of a screen's root visual. Only visuals with fixed
// colours will do; every display of the last decades has one for its root.
func formatOf(setup *xproto.SetupInfo, screen *xproto.ScreenInfo) (format, error) {
	f := format{depth: screen.RootDepth, big: setup.ImageByteOrder == xproto.ImageOrderMSBFirst}
	for _, d := range screen.AllowedDepths {
		for _, v := range d.Visuals {
			if v.VisualId == screen.RootVisual && (v.Class == xproto.VisualClassTrueColor || v.Class == xproto.VisualClassDirectColor) {
				f.r, f.g, f.b = newChannel(v.RedMask), newChannel(v.GreenMask), newChannel(v.BlueMask)
				all := uint32(uint64(1)<<f.depth - 1)
				f.a = newChannel(all &^ (v.RedMask | v.GreenMask | v.BlueMask))
			}
		}
	}
	for _, p := range setup.PixmapFormats {
		if p.Depth == f.depth {
			f.size, f.pad = int(p.BitsPerPixel)/8, int(p.ScanlinePad)/8
		}
	}
	if f.r.bits == 0 || f.g.bits == 0 || f.b.bits == 0 || f.size < 2 || f.size > 4 || f.pad < 1 {
		return format{}, fmt.Errorf("the display's colours can't be used (depth %d, %d bytes a pixel)", f.depth, f.size)
	}
	return f, nil
}

// stride is the bytes of a row of n pixels.
func (f format) stride(n int) int { return (n*f.size + f.pad - 1) / f.pad * f.pad }

// encode is a part of img as a ZPixmap.
func (f format) encode(img *image.RGBA, r image.Rectangle) []byte {
	stride := f.stride(r.Dx())
	out := make([]byte, stride*r.Dy())
	for y := range r.Dy() {
		row := out[y*stride:]
		src := img.Pix[img.PixOffset(r.Min.X, r.Min.Y+y):]
		for x := range r.Dx() {
			p := f.r.put(src[4*x]) | f.g.put(src[4*x+1]) | f.b.put(src[4*x+2]) | f.a.put(0xff)
			for i := range f.size {
				shift := 8 * i
				if f.big {
					shift = 8 * (f.size - 1 - i)
				}
				row[x*f.size+i] = byte(p >> shift)
			}
		}
	}
	return out
}

// putHeader is what a PutImage request has before the pixels, in bytes.
const putHeader = 24

// strips cuts r into parts whose pixels fit one request of at most most bytes.
// xgb doesn't check: the length of a longer one would wrap, and the server take
// the rest of the picture for requests.
func (f format) strips(r image.Rectangle, most int) []image.Rectangle {
	rows := (most - putHeader) / f.stride(r.Dx())
	if rows < 1 {
		return nil
	}
	var parts []image.Rectangle
	for y := r.Min.Y; y < r.Max.Y; y += rows {
		parts = append(parts, image.Rect(r.Min.X, y, r.Max.X, min(y+rows, r.Max.Y)))
	}
	return parts
}
