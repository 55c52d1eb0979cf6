package encode_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"slices"

	"vda.internal/shadow/rfb"
)

// A decoder is a viewer of RFC 6143 and of rfbproto's Tight encoding, written
// from these for the tests: slow, and strict about whatever they forbid.
type decoder struct {
	format        rfb.PixelFormat
	width, height int
	pixels        []uint32 // of the framebuffer, in the format
	lossy         []bool   // the pixel came as JPEG
	colors        []rfb.Color

	in   []byte     // what is left of the message
	len  int        // of the message
	tiny []inflater // Tight's streams
	zrle inflater
	four [4]byte

	rects      map[rfb.Encoding]int // how many of each there were
	areas      map[rfb.Encoding]int // and how many pixels
	kinds      map[string]int       // ways in which parts were written
	cursor     []byte               // as it came, behind the header
	cursorRect rfb.Rect
	pointer    rfb.Rect
	screens    []rfb.Screen
	desktop    rfb.Rect
}

func newDecoder(f rfb.PixelFormat, width, height int) *decoder {
	d := &decoder{
		format: f, tiny: make([]inflater, 4),
		rects: map[rfb.Encoding]int{}, areas: map[rfb.Encoding]int{}, kinds: map[string]int{},
	}
	d.resize(width, height)
	return d
}

func (d *decoder) resize(width, height int) {
	d.width, d.height = width, height
	d.pixels, d.lossy = make([]uint32, width*height), make([]bool, width*height)
}

var errLayout = errors.New("against the layout")

// decode reads messages up to the end of b.
func (d *decoder) decode(b []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if !ok || !errors.Is(e, errLayout) {
				panic(r)
			}
			err = e
		}
	}()
	for d.in, d.len = b, len(b); len(d.in) > 0; {
		switch t := d.u8(); t {
		case 0:
			d.u8()
			d.update(d.u16())
		case 1:
			d.u8()
			d.require(d.u16() == 0, "a part of a colour map")
			d.colors = make([]rfb.Color, d.u16())
			for i := range d.colors {
				d.colors[i] = rfb.Color{Red: uint16(d.u16()), Green: uint16(d.u16()), Blue: uint16(d.u16())}
			}
		default:
			d.require(false, "message %d", t)
		}
	}
	return nil
}

func (d *decoder) require(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Errorf("%w, at %d of %d: %s", errLayout, d.len-len(d.in), d.len, fmt.Sprintf(format, args...)))
	}
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.in) {
		d.require(false, "%d bytes of %d", n, len(d.in))
	}
	b := d.in[:n:n]
	d.in = d.in[n:]
	return b
}

func (d *decoder) u8() int  { return int(d.bytes(1)[0]) }
func (d *decoder) u16() int { return int(binary.BigEndian.Uint16(d.bytes(2))) }
func (d *decoder) u32() int { return int(binary.BigEndian.Uint32(d.bytes(4))) }

func (d *decoder) update(rects int) {
	for n := 0; n < rects || rects == 0xffff; n++ {
		r := rfb.Rect{X: uint16(d.u16()), Y: uint16(d.u16()), Width: uint16(d.u16()), Height: uint16(d.u16())}
		enc := rfb.Encoding(int32(d.u32()))
		d.rects[enc]++
		d.areas[enc] += int(r.Width) * int(r.Height)
		if enc == rfb.EncodingLastRect {
			return
		}
		d.rect(r, enc)
	}
}

func (d *decoder) rect(r rfb.Rect, enc rfb.Encoding) {
	switch enc {
	case rfb.EncodingDesktopSize:
		d.resize(int(r.Width), int(r.Height))
		return
	case rfb.EncodingExtendedDesktopSize:
		d.extended(r)
		return
	case rfb.EncodingCursor:
		d.cursorRect = r
		d.cursor = d.bytes(int(r.Width)*int(r.Height)*d.size() + (int(r.Width)+7)/8*int(r.Height))
		return
	case rfb.EncodingCursorWithAlpha:
		d.require(d.u32() == 0, "a cursor that isn't Raw")
		d.cursorRect, d.cursor = r, d.bytes(int(r.Width)*int(r.Height)*4)
		return
	case rfb.EncodingPointerPos:
		d.pointer = r
		return
	}
	d.require(!r.Empty(), "an empty rectangle")
	d.require(int(r.X)+int(r.Width) <= d.width && int(r.Y)+int(r.Height) <= d.height, "%v outside", r)
	p := part{d, int(r.X), int(r.Y), int(r.Width), int(r.Height)}
	switch enc {
	case rfb.EncodingRaw:
		p.each(func(int, int) uint32 { return d.pixel() })
	case rfb.EncodingCopyRect:
		from := part{d, d.u16(), d.u16(), p.w, p.h}
		d.require(from.x+p.w <= d.width && from.y+p.h <= d.height, "copied from outside")
		old, lossy := slices.Clone(d.pixels), slices.Clone(d.lossy)
		p.each(func(x, y int) uint32 { return old[from.at(x, y)] })
		for y := range p.h {
			for x := range p.w {
				d.lossy[p.at(x, y)] = lossy[from.at(x, y)]
			}
		}
	case rfb.EncodingHextile:
		d.hextile(p)
	case rfb.EncodingZRLE:
		d.zrleRect(p)
	case rfb.EncodingTight:
		d.tight(p)
	default:
		d.require(false, "encoding %v", enc)
	}
}

func (d *decoder) extended(r rfb.Rect) {
	d.desktop, d.screens = r, make([]rfb.Screen, d.u8())
	d.bytes(3)
	for i := range d.screens {
		s := &d.screens[i]
		s.ID = uint32(d.u32())
		s.Rect = rfb.Rect{X: uint16(d.u16()), Y: uint16(d.u16()), Width: uint16(d.u16()), Height: uint16(d.u16())}
		s.Flags = uint32(d.u32())
	}
	if r.X != 1 || r.Y == 0 {
		d.resize(int(r.Width), int(r.Height))
	}
}

// A part of the framebuffer.
type part struct {
	d          *decoder
	x, y, w, h int
}

func (p part) at(x, y int) int { return (p.y+y)*p.d.width + p.x + x }

func (p part) set(x, y int, v uint32) {
	p.d.pixels[p.at(x, y)] = v
	p.d.lossy[p.at(x, y)] = false
}

func (p part) each(pixel func(x, y int) uint32) {
	for y := range p.h {
		for x := range p.w {
			p.set(x, y, pixel(x, y))
		}
	}
}

// tiles calls f for the tiles of a side.
func (p part) tiles(side int, f func(part)) {
	for y := 0; y < p.h; y += side {
		for x := 0; x < p.w; x += side {
			f(part{p.d, p.x + x, p.y + y, min(side, p.w-x), min(side, p.h-y)})
		}
	}
}

// size is the bytes of a pixel.
func (d *decoder) size() int { return int(d.format.BitsPerPixel) / 8 }

// value is a pixel of the bytes of one.
func (d *decoder) value(b []byte) uint32 {
	v := uint32(0)
	for i, c := range b {
		if d.format.BigEndian {
			v = v<<8 | uint32(c)
		} else {
			v |= uint32(c) << (8 * i)
		}
	}
	return v & d.used()
}

// used are the bits of a pixel that mean something.
func (d *decoder) used() uint32 {
	f := d.format
	if !f.TrueColor {
		return 0xff
	}
	return uint32(f.RedMax)<<f.RedShift | uint32(f.GreenMax)<<f.GreenShift | uint32(f.BlueMax)<<f.BlueShift
}

func (d *decoder) pixel() uint32 { return d.value(d.bytes(d.size())) }

// quantized is a colour in the format: to the nearest level of each part.
func (d *decoder) quantized(r, g, b byte) uint32 {
	f := d.format
	if !f.TrueColor {
		level := func(v byte) uint32 { return uint32(float64(v)/51 + 0.5) }
		return level(r)*36 + level(g)*6 + level(b)
	}
	level := func(v byte, most uint16) uint32 { return uint32(float64(v)*float64(most)/255 + 0.5) }
	return level(r, f.RedMax)<<f.RedShift | level(g, f.GreenMax)<<f.GreenShift | level(b, f.BlueMax)<<f.BlueShift
}

func (d *decoder) hextile(p part) {
	var background, foreground uint32
	hasBackground, hasForeground := false, false
	p.tiles(16, func(t part) {
		mask := d.u8()
		d.require(mask < 32, "Hextile mask %#x", mask)
		if mask&1 != 0 {
			d.require(mask == 1, "Hextile mask %#x", mask)
			d.kinds["hextile raw"]++
			t.each(func(int, int) uint32 { return d.pixel() })
			hasBackground, hasForeground = false, false
			return
		}
		if mask&2 != 0 {
			background, hasBackground = d.pixel(), true
		}
		d.require(hasBackground, "Hextile tile without a background")
		if mask&4 != 0 {
			d.require(mask&16 == 0, "Hextile tile with a foreground and colours")
			foreground, hasForeground = d.pixel(), true
		}
		t.each(func(int, int) uint32 { return background })
		if mask&8 == 0 {
			d.kinds["hextile solid"]++
			return
		}
		d.kinds[fmt.Sprintf("hextile subrects, coloured %v", mask&16 != 0)]++
		for range d.u8() {
			v := foreground
			if mask&16 != 0 {
				v = d.pixel()
				hasForeground = false
			} else {
				d.require(hasForeground, "Hextile tile without a foreground")
			}
			at, size := d.u8(), d.u8()
			s := part{d, t.x + at>>4, t.y + at&15, size>>4 + 1, size&15 + 1}
			d.require(s.x+s.w <= t.x+t.w && s.y+s.h <= t.y+t.h, "Hextile subrectangle outside its tile")
			s.each(func(int, int) uint32 { return v })
		}
	})
}

// An inflater is a zlib stream that comes in pieces and never ends.
type inflater struct {
	in   bytes.Buffer
	out  io.Reader
	read []byte
}

// begin adds a piece. Of the one before an empty block may be left, five bytes.
func (z *inflater) begin(d *decoder, b []byte) {
	d.require(z.in.Len() <= 5, "%d bytes of zlib too many", z.in.Len())
	z.in.Write(b)
	if z.out == nil {
		head := z.in.Next(2)
		d.require(len(head) == 2 && head[0]&15 == 8 && head[0]>>4 <= 7 && binary.BigEndian.Uint16(head)%31 == 0 && head[1]&32 == 0,
			"no zlib header")
		z.out = flate.NewReader(&z.in) // a ByteReader: nothing is read ahead
	}
}

// bytes are good until the next call.
func (z *inflater) bytes(d *decoder, n int) []byte {
	z.read = slices.Grow(z.read[:0], n)[:n]
	_, err := io.ReadFull(z.out, z.read)
	d.require(err == nil, "zlib: %v", err)
	return z.read
}

func (d *decoder) tight(p part) {
	d.require(p.w <= 2048, "Tight rectangle %d wide", p.w)
	control := d.u8()
	d.require(control&15 == 0, "Tight control %#x", control)
	switch control >> 4 {
	case 8:
		v := d.tpixel(d.bytes(d.tpixelSize()))
		d.kinds["tight fill"]++
		p.each(func(int, int) uint32 { return v })
		return
	case 9:
		d.kinds["tight jpeg"]++
		d.jpeg(p, d.bytes(d.compact()))
		return
	}
	d.require(control>>4 < 8, "Tight control %#x", control)
	d.require(p.w*p.h <= 1<<16, "Tight rectangle of %d x %d", p.w, p.h)
	z := &d.tiny[control>>4&3]
	filter := 0
	if control&0x40 != 0 {
		filter = d.u8()
	}
	size := d.tpixelSize()
	if filter == 0 {
		d.kinds["tight copy"]++
		b := d.tightData(z, p.w*p.h*size)
		p.each(func(x, y int) uint32 { return d.tpixel(b[(y*p.w+x)*size:][:size]) })
		return
	}
	d.require(filter == 1, "Tight filter %d", filter)
	palette := make([]uint32, d.u8()+1)
	for i := range palette {
		palette[i] = d.tpixel(d.bytes(size))
	}
	if len(palette) == 2 {
		d.kinds["tight mono"]++
		stride := (p.w + 7) / 8
		b := d.tightData(z, stride*p.h)
		p.each(func(x, y int) uint32 { return palette[b[y*stride+x/8]>>(7-x%8)&1] })
		return
	}
	d.kinds["tight palette"]++
	d.require(len(palette) > 2, "Tight palette of one")
	b := d.tightData(z, p.w*p.h)
	p.each(func(x, y int) uint32 {
		i := b[y*p.w+x]
		if int(i) >= len(palette) {
			d.require(false, "index %d of %d", i, len(palette))
		}
		return palette[i]
	})
}

func (d *decoder) tightData(z *inflater, n int) []byte {
	if n < 12 {
		return d.bytes(n)
	}
	z.begin(d, d.bytes(d.compact()))
	return z.bytes(d, n)
}

// compact is a length of one to three bytes.
func (d *decoder) compact() int {
	n, shift := 0, 0
	for {
		b := d.u8()
		if shift == 14 {
			d.require(b > 0, "a length longer than it need be")
			return n | b<<14
		}
		n |= b & 0x7f << shift
		if b&0x80 == 0 {
			d.require(shift == 0 || b > 0, "a length longer than it need be")
			return n
		}
		shift += 7
	}
}

func (d *decoder) tpixelSize() int {
	f := d.format
	if f.TrueColor && f.BitsPerPixel == 32 && f.Depth == 24 && f.RedMax == 255 && f.GreenMax == 255 && f.BlueMax == 255 {
		return 3
	}
	return d.size()
}

func (d *decoder) tpixel(b []byte) uint32 {
	if d.tpixelSize() == 3 && d.size() == 4 {
		return d.quantized(b[0], b[1], b[2])
	}
	return d.value(b)
}

func (d *decoder) jpeg(p part, b []byte) {
	d.require(d.size() > 1, "JPEG for 8 bits")
	m, err := jpeg.Decode(bytes.NewReader(b))
	d.require(err == nil, "JPEG: %v", err)
	d.require(m.Bounds() == image.Rect(0, 0, p.w, p.h), "JPEG of %v", m.Bounds())
	p.each(func(x, y int) uint32 {
		c := m.(*image.YCbCr).YCbCrAt(x, y)
		return d.quantized(color.YCbCrToRGB(c.Y, c.Cb, c.Cr))
	})
	for y := range p.h {
		for x := range p.w {
			d.lossy[p.at(x, y)] = true
		}
	}
}

func (d *decoder) zrleRect(p part) {
	z := &d.zrle
	z.begin(d, d.bytes(d.u32()))
	p.tiles(64, func(t part) {
		kind := int(z.bytes(d, 1)[0])
		palette := make([]uint32, 0, 128)
		colors := kind & 127
		if kind == 128 || kind == 0 {
			colors = 0
		}
		for range colors {
			palette = append(palette, d.cpixel())
		}
		switch {
		case kind == 0:
			d.kinds["zrle raw"]++
			t.each(func(int, int) uint32 { return d.cpixel() })
		case kind == 1:
			d.kinds["zrle solid"]++
			t.each(func(int, int) uint32 { return palette[0] })
		case kind <= 16:
			d.kinds["zrle packed"]++
			d.packed(t, palette)
		case kind < 128 || kind == 129:
			d.require(false, "ZRLE tile of kind %d", kind)
		default:
			d.kinds[fmt.Sprintf("zrle runs, palette %v", kind > 128)]++
			d.runs(t, palette)
		}
	})
}

func (d *decoder) packed(t part, palette []uint32) {
	bits := 4
	if len(palette) <= 4 {
		bits = 2
	}
	if len(palette) == 2 {
		bits = 1
	}
	stride := (t.w*bits + 7) / 8
	b := d.zrle.bytes(d, stride*t.h)
	t.each(func(x, y int) uint32 {
		i := int(b[y*stride+x*bits/8]) >> (8 - bits - x*bits%8) & (1<<bits - 1)
		d.require(i < len(palette), "ZRLE index %d of %d", i, len(palette))
		return palette[i]
	})
}

func (d *decoder) runs(t part, palette []uint32) {
	left, v := 0, uint32(0)
	t.each(func(x, y int) uint32 {
		if left == 0 {
			long := true
			if len(palette) == 0 {
				v = d.cpixel()
			} else {
				i := int(d.zrle.bytes(d, 1)[0])
				long = i&128 != 0
				d.require(i&127 < len(palette), "ZRLE index %d of %d", i&127, len(palette))
				v = palette[i&127]
			}
			for left = 1; long; {
				n := int(d.zrle.bytes(d, 1)[0])
				left += n
				long = n == 255
			}
		}
		left--
		return v
	})
	d.require(left == 0, "ZRLE run beyond its tile")
}

// cpixel reads a pixel of ZRLE: three of four bytes if the fourth says nothing.
func (d *decoder) cpixel() uint32 {
	f := d.format
	low, high := d.used() < 1<<24, d.used()&0xff == 0
	if !f.TrueColor || f.BitsPerPixel != 32 || f.Depth > 24 || !low && !high {
		return d.value(d.zrle.bytes(d, d.size()))
	}
	b := d.zrle.bytes(d, 3)
	if f.BigEndian && !high || !f.BigEndian && !low { // the first byte is left out
		return d.value(append(d.four[:0], 0, b[0], b[1], b[2]))
	}
	return d.value(append(d.four[:0], b[0], b[1], b[2], 0))
}
