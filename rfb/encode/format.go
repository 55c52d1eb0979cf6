package encode

import (
	"encoding/binary"
	"fmt"

	"vda.internal/shadow/rfb"
)

// A layout is a pixel format made ready: what each level of red, green and blue
// contributes to a pixel, its bytes in the order in which they are stored little
// end first.
type layout struct {
	format           rfb.PixelFormat
	bytes            int // of a pixel
	red, green, blue [256]uint32

	tight   int  // bytes of a TPIXEL
	run     int  // bytes of a CPIXEL
	runSkip uint // bits of a pixel before its CPIXEL
	native  bool // pixels are an Image's, but for the fourth byte
}

// newLayout is the layout of f. The error wraps rfb.ErrMalformed.
func newLayout(f rfb.PixelFormat) (*layout, error) {
	if err := checkFormat(f); err != nil {
		return nil, err
	}
	l := &layout{format: f, bytes: int(f.BitsPerPixel) / 8}
	if f.TrueColor {
		for v := range 256 {
			l.red[v] = l.level(v, f.RedMax, f.RedShift)
			l.green[v] = l.level(v, f.GreenMax, f.GreenShift)
			l.blue[v] = l.level(v, f.BlueMax, f.BlueShift)
		}
	} else {
		l.cube()
	}
	l.native = l.pixel(0x010203) == 0x010203 && l.pixel(0xffffff) == 0xffffff && l.bytes == 4
	l.packed()
	return l, nil
}

// level is what v of 255 contributes to a pixel.
func (l *layout) level(v int, most uint16, shift uint8) uint32 {
	n := (uint32(v)*uint32(most) + 127) / 255 << shift
	if !l.format.BigEndian {
		return n
	}
	var b [4]byte
	switch l.bytes {
	case 1:
		return n
	case 2:
		binary.BigEndian.PutUint16(b[:], uint16(n))
	case 4:
		binary.BigEndian.PutUint32(b[:], n)
	}
	return binary.LittleEndian.Uint32(b[:])
}

// pixel is a color in this format, to be stored little end first.
func (l *layout) pixel(color uint32) uint32 {
	return l.red[color>>16&0xff] + l.green[color>>8&0xff] + l.blue[color&0xff]
}

// packed finds out how Tight and ZRLE shorten pixels of which a byte says
// nothing. Of four bytes ZRLE leaves out the first or the last (RFC 6143
// §7.7.5); if neither says anything, the last.
func (l *layout) packed() {
	l.tight, l.run = l.bytes, l.bytes
	f := l.format
	if !f.TrueColor || f.BitsPerPixel != 32 || f.Depth > 24 {
		return
	}
	if f.Depth == 24 && f.RedMax == 255 && f.GreenMax == 255 && f.BlueMax == 255 {
		l.tight = 3
	}
	switch used := l.pixel(0xffffff); {
	case used < 1<<24:
		l.run = 3
	case used&0xff == 0:
		l.run, l.runSkip = 3, 8
	}
}

// checkFormat returns an error unless f is legal (RFC 6143 §7.4).
func checkFormat(f rfb.PixelFormat) error {
	bits := uint(f.BitsPerPixel)
	switch {
	case bits != 8 && bits != 16 && bits != 32:
		return fmt.Errorf("%w: pixel format of %d bits a pixel; there are 8, 16 and 32", rfb.ErrMalformed, bits)
	case f.Depth == 0 || uint(f.Depth) > bits:
		return fmt.Errorf("%w: pixel format %v: depth %d of %d bits", rfb.ErrMalformed, f, f.Depth, bits)
	case !f.TrueColor && bits != 8:
		return fmt.Errorf("%w: pixel format %v: a colour map has 8 bits a pixel", rfb.ErrMalformed, f)
	case !f.TrueColor:
		return nil
	}
	var used uint64
	for _, c := range []struct {
		most  uint16
		shift uint8
	}{{f.RedMax, f.RedShift}, {f.GreenMax, f.GreenShift}, {f.BlueMax, f.BlueShift}} {
		if c.most&(c.most+1) != 0 {
			return fmt.Errorf("%w: pixel format %v: a maximum of %d, not a power of two less one", rfb.ErrMalformed, f, c.most)
		}
		mask := uint64(c.most) << min(c.shift, 48)
		if mask>>bits != 0 || used&mask != 0 {
			return fmt.Errorf("%w: pixel format %v: colours that overlap or don't fit", rfb.ErrMalformed, f)
		}
		used |= mask
	}
	return nil
}

// append appends the pixels of m to b, row by row.
func (l *layout) append(b []byte, m *Image) []byte {
	for y := range m.Height {
		b = l.appendRow(b, m.row(y))
	}
	return b
}

// appendRow appends the pixels of src.
func (l *layout) appendRow(b, src []byte) []byte {
	if l.native {
		return append(b, src...)
	}
	at := len(b)
	b = extend(b, len(src)/4*l.bytes)
	dst := b[at:]
	switch l.bytes {
	case 1:
		for i := 0; i+4 <= len(src); i += 4 {
			dst[i/4] = byte(l.red[src[i+2]] + l.green[src[i+1]] + l.blue[src[i]])
		}
	case 2:
		for i := 0; i+4 <= len(src); i += 4 {
			binary.LittleEndian.PutUint16(dst[i/2:], uint16(l.red[src[i+2]]+l.green[src[i+1]]+l.blue[src[i]]))
		}
	case 4:
		for i := 0; i+4 <= len(src); i += 4 {
			binary.LittleEndian.PutUint32(dst[i:], l.red[src[i+2]]+l.green[src[i+1]]+l.blue[src[i]])
		}
	}
	return b
}

// appendPixel appends one pixel.
func (l *layout) appendPixel(b []byte, color uint32) []byte {
	return appendLow(b, l.pixel(color), l.bytes)
}

// appendLow appends the n lowest bytes of v, lowest first.
func appendLow(b []byte, v uint32, n int) []byte {
	for range n {
		b = append(b, byte(v))
		v >>= 8
	}
	return b
}
