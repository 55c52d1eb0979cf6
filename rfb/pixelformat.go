package rfb

import (
	"encoding/binary"
	"fmt"
)

// pixelFormatLen is the length of a PIXEL_FORMAT.
const pixelFormatLen = 16

// A PixelFormat says how pixels are laid out on the wire (RFC 6143 §7.4).
type PixelFormat struct {
	BitsPerPixel uint8 // 8, 16 or 32
	Depth        uint8 // bits that count
	BigEndian    bool
	TrueColor    bool // false: pixels are indices of a colour map
	RedMax       uint16
	GreenMax     uint16
	BlueMax      uint16
	RedShift     uint8
	GreenShift   uint8
	BlueShift    uint8
}

// pinned is the one format that a view-only session is carried in: noVNC's
// own. With a single format the length of each rectangle is beyond dispute.
var pinned = PixelFormat{
	BitsPerPixel: 32, Depth: 24, TrueColor: true,
	RedMax: 255, GreenMax: 255, BlueMax: 255,
	RedShift: 0, GreenShift: 8, BlueShift: 16,
}

// AppendBinary appends the 16 bytes of f to b, its padding zero. The error is
// always nil.
func (f PixelFormat) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, f.BitsPerPixel, f.Depth, boolByte(f.BigEndian), boolByte(f.TrueColor))
	b = binary.BigEndian.AppendUint16(b, f.RedMax)
	b = binary.BigEndian.AppendUint16(b, f.GreenMax)
	b = binary.BigEndian.AppendUint16(b, f.BlueMax)
	return append(b, f.RedShift, f.GreenShift, f.BlueShift, 0, 0, 0), nil
}

// UnmarshalBinary reads f from exactly 16 bytes. Flags are true if they aren't
// zero (x11vnc sends 255), padding is ignored.
func (f *PixelFormat) UnmarshalBinary(b []byte) error {
	if len(b) != pixelFormatLen {
		return fmt.Errorf("%w: PIXEL_FORMAT of %d bytes", ErrMalformed, len(b))
	}
	*f = PixelFormat{
		BitsPerPixel: b[0], Depth: b[1], BigEndian: b[2] != 0, TrueColor: b[3] != 0,
		RedMax:   binary.BigEndian.Uint16(b[4:]),
		GreenMax: binary.BigEndian.Uint16(b[6:]),
		BlueMax:  binary.BigEndian.Uint16(b[8:]),
		RedShift: b[10], GreenShift: b[11], BlueShift: b[12],
	}
	return nil
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

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
