package rfb

import (
	"fmt"

	"vda.internal/shadow/rfb/internal/proto"
)

// pixelFormatLen is the length of a PIXEL_FORMAT.
const pixelFormatLen = 16

// A PixelFormat says how pixels are laid out on the wire (RFC 6143 §7.4).
type PixelFormat struct {
	BitsPerPixel uint8  // 8, 16 or 32
	Depth        uint8  // bits that count
	BigEndian    bool   // byte order of pixels of 16 and 32 bits
	TrueColor    bool   // false: pixels are indices of a colour map
	RedMax       uint16 // the largest value of red: 2^bits - 1
	GreenMax     uint16 // of green
	BlueMax      uint16 // of blue
	RedShift     uint8  // how far a pixel is shifted right to have red lowest
	GreenShift   uint8  // of green
	BlueShift    uint8  // of blue
}

// pinned is the format that a session begins with, whatever the server's own is:
// that of noVNC since 1.3. A viewer may ask for any other.
var pinned = PixelFormat{
	BitsPerPixel: 32, Depth: 24, TrueColor: true,
	RedMax: 255, GreenMax: 255, BlueMax: 255,
	RedShift: 0, GreenShift: 8, BlueShift: 16,
}

// AppendBinary appends the 16 bytes of f to b, its padding zero. The error is
// always nil.
func (f PixelFormat) AppendBinary(b []byte) ([]byte, error) {
	c := coder{Coder: proto.Append(b)}
	c.pixelFormat(&f)
	return c.B, nil
}

// UnmarshalBinary reads f from exactly 16 bytes. Flags are true if they aren't
// zero (x11vnc sends 255), padding is ignored.
func (f *PixelFormat) UnmarshalBinary(b []byte) error {
	c := coder{Coder: proto.Read(b)}
	c.pixelFormat(f)
	return c.ReadAll()
}

// String is short and tells formats apart: "32/24 le 255,255,255 at 0,8,16".
func (f PixelFormat) String() string {
	order := "le"
	if f.BigEndian {
		order = "be"
	}
	if !f.TrueColor {
		return fmt.Sprintf("%d/%d %s colour map", f.BitsPerPixel, f.Depth, order)
	}
	return fmt.Sprintf("%d/%d %s %d,%d,%d at %d,%d,%d", f.BitsPerPixel, f.Depth, order,
		f.RedMax, f.GreenMax, f.BlueMax, f.RedShift, f.GreenShift, f.BlueShift)
}

// Check returns an error that wraps [ErrMalformed] unless pixels have 8, 16 or
// 32 bits. What else the fields say isn't looked at.
func (f PixelFormat) Check() error {
	if b := f.BitsPerPixel; b != 8 && b != 16 && b != 32 {
		return fmt.Errorf("%w: %d bits a pixel", ErrMalformed, b)
	}
	return nil
}

// size is the length of a pixel in bytes.
func (f PixelFormat) size() int { return int(f.BitsPerPixel) / 8 }

// tightSize is the length of a TPIXEL in bytes: three where the Tight encoding
// leaves out the byte that carries nothing.
func (f PixelFormat) tightSize() int {
	if f.TrueColor && f.BitsPerPixel == 32 && f.Depth == 24 && f.RedMax == 255 && f.GreenMax == 255 && f.BlueMax == 255 {
		return 3
	}
	return f.size()
}

// runSize is the length of a CPIXEL in bytes: three where TRLE and ZRLE leave
// out the byte that carries nothing (RFC 6143 §7.7.5).
func (f PixelFormat) runSize() int {
	if !f.TrueColor || f.BitsPerPixel != 32 || f.Depth > 24 {
		return f.size()
	}
	used := uint64(f.RedMax)<<(f.RedShift&31) | uint64(f.GreenMax)<<(f.GreenShift&31) | uint64(f.BlueMax)<<(f.BlueShift&31)
	if used < 1<<24 || used&0xff == 0 {
		return 3
	}
	return f.size()
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
