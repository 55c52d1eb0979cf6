package testviewer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"vda.internal/shadow/rfb"
)

// A Decoder is a viewer of RFC 6143 and of rfbproto's Tight encoding, written
// from these for tests: slow, and strict about whatever they forbid.
type Decoder struct {
	Format        rfb.PixelFormat
	Width, Height int
	Pixels        []uint32    // of the framebuffer, in the format
	Lossy         []bool      // the pixel came as JPEG
	Colors        []rfb.Color // of the last colour map

	Rects      map[rfb.Encoding]int // how many of each there were
	Areas      map[rfb.Encoding]int // and how many pixels
	Kinds      map[string]int       // ways in which parts were written: "tight jpeg"
	Cursor     []byte               // the last one as it came, behind the header
	CursorRect rfb.Rect
	Pointer    rfb.Rect // the last PointerPos
	Screens    []rfb.Screen
	Desktop    rfb.Rect // the last ExtendedDesktopSize
	Name       string   // the last DesktopName

	in   []byte     // what is left of the message
	len  int        // of the message
	tiny []inflater // Tight's streams
	zrle inflater
	four [4]byte
}

// New is a decoder of a server that has greeted with a framebuffer of that size, for a viewer that
// asked for f.
func New(f rfb.PixelFormat, width, height int) *Decoder {
	d := &Decoder{
		Format: f, tiny: make([]inflater, 4),
		Rects: map[rfb.Encoding]int{}, Areas: map[rfb.Encoding]int{}, Kinds: map[string]int{},
	}
	d.resize(width, height)
	return d
}

func (d *Decoder) resize(width, height int) {
	d.Width, d.Height = width, height
	d.Pixels, d.Lossy = make([]uint32, width*height), make([]bool, width*height)
}

var errLayout = errors.New("against the layout")

// Decode reads messages up to the end of b, which must be the end of one. An error says what is
// against the layout, and where.
func (d *Decoder) Decode(b []byte) (err error) {
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
			d.Colors = make([]rfb.Color, d.u16())
			for i := range d.Colors {
				d.Colors[i] = rfb.Color{Red: uint16(d.u16()), Green: uint16(d.u16()), Blue: uint16(d.u16())}
			}
		default:
			d.require(false, "message %d", t)
		}
	}
	return nil
}

func (d *Decoder) require(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Errorf("%w, at %d of %d: %s", errLayout, d.len-len(d.in), d.len, fmt.Sprintf(format, args...)))
	}
}

func (d *Decoder) bytes(n int) []byte {
	if n > len(d.in) {
		d.require(false, "%d bytes of %d", n, len(d.in))
	}
	b := d.in[:n:n]
	d.in = d.in[n:]
	return b
}

func (d *Decoder) u8() int  { return int(d.bytes(1)[0]) }
func (d *Decoder) u16() int { return int(binary.BigEndian.Uint16(d.bytes(2))) }
func (d *Decoder) u32() int { return int(binary.BigEndian.Uint32(d.bytes(4))) }

func (d *Decoder) update(rects int) {
	for n := 0; n < rects || rects == 0xffff; n++ {
		r := rfb.Rect{X: uint16(d.u16()), Y: uint16(d.u16()), Width: uint16(d.u16()), Height: uint16(d.u16())}
		enc := rfb.Encoding(int32(d.u32()))
		d.Rects[enc]++
		d.Areas[enc] += int(r.Width) * int(r.Height)
		if enc == rfb.EncodingLastRect {
			return
		}
		d.rect(r, enc)
	}
}

func (d *Decoder) rect(r rfb.Rect, enc rfb.Encoding) {
	switch enc {
	case rfb.EncodingDesktopSize:
		d.resize(int(r.Width), int(r.Height))
		return
	case rfb.EncodingExtendedDesktopSize:
		d.extended(r)
		return
	case rfb.EncodingCursor:
		d.CursorRect = r
		d.Cursor = d.bytes(int(r.Width)*int(r.Height)*d.size() + (int(r.Width)+7)/8*int(r.Height))
		return
	case rfb.EncodingCursorWithAlpha:
		d.require(d.u32() == 0, "a cursor that isn't Raw")
		d.CursorRect, d.Cursor = r, d.bytes(int(r.Width)*int(r.Height)*4)
		return
	case rfb.EncodingPointerPos:
		d.Pointer = r
		return
	case rfb.EncodingDesktopName:
		d.require(r == rfb.Rect{}, "a DesktopName at %v", r)
		d.Name = string(d.bytes(d.u32()))
		d.require(utf8.ValidString(d.Name), "a DesktopName that is no UTF-8")
		return
	}
	d.require(!r.Empty(), "an empty rectangle")
	d.require(int(r.X)+int(r.Width) <= d.Width && int(r.Y)+int(r.Height) <= d.Height, "%v outside", r)
	p := part{d, int(r.X), int(r.Y), int(r.Width), int(r.Height)}
	switch enc {
	case rfb.EncodingRaw:
		p.each(func(int, int) uint32 { return d.pixel() })
	case rfb.EncodingCopyRect:
		from := part{d, d.u16(), d.u16(), p.w, p.h}
		d.require(from.x+p.w <= d.Width && from.y+p.h <= d.Height, "copied from outside")
		old, lossy := slices.Clone(d.Pixels), slices.Clone(d.Lossy)
		p.each(func(x, y int) uint32 { return old[from.at(x, y)] })
		for y := range p.h {
			for x := range p.w {
				d.Lossy[p.at(x, y)] = lossy[from.at(x, y)]
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

func (d *Decoder) extended(r rfb.Rect) {
	d.Desktop, d.Screens = r, make([]rfb.Screen, d.u8())
	d.bytes(3)
	for i := range d.Screens {
		s := &d.Screens[i]
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
	d          *Decoder
	x, y, w, h int
}

func (p part) at(x, y int) int { return (p.y+y)*p.d.Width + p.x + x }

func (p part) set(x, y int, v uint32) {
	p.d.Pixels[p.at(x, y)] = v
	p.d.Lossy[p.at(x, y)] = false
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
func (d *Decoder) size() int { return int(d.Format.BitsPerPixel) / 8 }

// Value is a pixel of the bytes of one.
func (d *Decoder) Value(b []byte) uint32 {
	v := uint32(0)
	for i, c := range b {
		if d.Format.BigEndian {
			v = v<<8 | uint32(c)
		} else {
			v |= uint32(c) << (8 * i)
		}
	}
	return v & d.Used()
}

// Used are the bits of a pixel that mean something.
func (d *Decoder) Used() uint32 {
	f := d.Format
	if !f.TrueColor {
		return 0xff
	}
	return uint32(f.RedMax)<<f.RedShift | uint32(f.GreenMax)<<f.GreenShift | uint32(f.BlueMax)<<f.BlueShift
}

func (d *Decoder) pixel() uint32 { return d.Value(d.bytes(d.size())) }

// Quantized is a colour in the format: to the nearest level of each part.
func (d *Decoder) Quantized(r, g, b byte) uint32 {
	f := d.Format
	if !f.TrueColor {
		level := func(v byte) uint32 { return uint32(float64(v)/51 + 0.5) }
		return level(r)*36 + level(g)*6 + level(b)
	}
	level := func(v byte, most uint16) uint32 { return uint32(float64(v)*float64(most)/255 + 0.5) }
	return level(r, f.RedMax)<<f.RedShift | level(g, f.GreenMax)<<f.GreenShift | level(b, f.BlueMax)<<f.BlueShift
}

// Parts are red, green and blue of a pixel, of 255.
func (d *Decoder) Parts(v uint32) [3]float64 {
	part := func(most uint16, shift uint8) float64 {
		return float64(v>>shift&uint32(most)) * 255 / float64(max(most, 1))
	}
	f := d.Format
	return [3]float64{part(f.RedMax, f.RedShift), part(f.GreenMax, f.GreenShift), part(f.BlueMax, f.BlueShift)}
}

// AnyLossy reports whether any pixel is one of JPEG's.
func (d *Decoder) AnyLossy() bool {
	for _, l := range d.Lossy {
		if l {
			return true
		}
	}
	return false
}
