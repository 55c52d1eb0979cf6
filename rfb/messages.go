package rfb

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A SetPixelFormat asks the server for pixels in a format (RFC 6143 §7.5.1).
type SetPixelFormat struct {
	Format PixelFormat
}

const setPixelFormatLen = 4 + pixelFormatLen

// AppendBinary appends the message to b, its padding zero. The error is always
// nil.
func (m SetPixelFormat) AppendBinary(b []byte) ([]byte, error) {
	return m.Format.AppendBinary(append(b, byte(ClientSetPixelFormat), 0, 0, 0))
}

// UnmarshalBinary reads the message from exactly its 20 bytes.
func (m *SetPixelFormat) UnmarshalBinary(b []byte) error {
	if len(b) != setPixelFormatLen || b[0] != byte(ClientSetPixelFormat) {
		return fmt.Errorf("%w: no SetPixelFormat", ErrMalformed)
	}
	return m.Format.UnmarshalBinary(b[4:])
}

// A SetEncodings lists the encodings that a viewer understands, the preferred
// one first (RFC 6143 §7.5.2).
type SetEncodings struct {
	Encodings []Encoding // at most 65535
}

// AppendBinary appends the message to b, its padding zero. It fails if there
// are more encodings than the message can hold.
func (m SetEncodings) AppendBinary(b []byte) ([]byte, error) {
	if len(m.Encodings) > math.MaxUint16 {
		return b, fmt.Errorf("%w: %d encodings", ErrLimit, len(m.Encodings))
	}
	b = append(b, byte(ClientSetEncodings), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Encodings)))
	for _, e := range m.Encodings {
		b = binary.BigEndian.AppendUint32(b, uint32(e))
	}
	return b, nil
}

// UnmarshalBinary reads the message from exactly its bytes. It reuses what
// m.Encodings can hold.
func (m *SetEncodings) UnmarshalBinary(b []byte) error {
	if len(b) < 4 || b[0] != byte(ClientSetEncodings) || len(b) != 4+4*int(binary.BigEndian.Uint16(b[2:])) {
		return fmt.Errorf("%w: no SetEncodings", ErrMalformed)
	}
	m.Encodings = m.Encodings[:0]
	for b = b[4:]; len(b) > 0; b = b[4:] {
		m.Encodings = append(m.Encodings, Encoding(binary.BigEndian.Uint32(b)))
	}
	return nil
}

// A FramebufferUpdateRequest asks for a part of the screen (RFC 6143 §7.5.3).
type FramebufferUpdateRequest struct {
	Incremental bool // only what has changed, and not before something has
	Rect        Rect
}

const framebufferUpdateRequestLen = 10

// AppendBinary appends the message to b. The error is always nil.
func (m FramebufferUpdateRequest) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, byte(ClientFramebufferUpdateRequest), boolByte(m.Incremental))
	return m.Rect.append(b), nil
}

// UnmarshalBinary reads the message from exactly its 10 bytes.
func (m *FramebufferUpdateRequest) UnmarshalBinary(b []byte) error {
	if len(b) != framebufferUpdateRequestLen || b[0] != byte(ClientFramebufferUpdateRequest) {
		return fmt.Errorf("%w: no FramebufferUpdateRequest", ErrMalformed)
	}
	m.Incremental = b[1] != 0
	m.Rect = parseRect(b[2:])
	return nil
}

// A Rect is a part of the framebuffer, in pixels from its upper left corner.
type Rect struct {
	X, Y, Width, Height uint16
}

// Empty reports whether r has no pixels.
func (r Rect) Empty() bool { return r.Width == 0 || r.Height == 0 }

// String is "WIDTHxHEIGHT+X+Y", as X11 writes geometries.
func (r Rect) String() string {
	return fmt.Sprintf("%dx%d+%d+%d", r.Width, r.Height, r.X, r.Y)
}

// clamp is the part of r inside a framebuffer of a size.
func (r Rect) clamp(width, height uint16) Rect {
	if r.X >= width || r.Y >= height {
		return Rect{}
	}
	r.Width = min(r.Width, width-r.X)
	r.Height = min(r.Height, height-r.Y)
	return r
}

// inside reports whether all of r lies in a framebuffer of a size.
func (r Rect) inside(width, height uint16) bool {
	return uint32(r.X)+uint32(r.Width) <= uint32(width) && uint32(r.Y)+uint32(r.Height) <= uint32(height)
}

// union is the smallest rectangle around r and q. Both must lie in a
// framebuffer; an empty one doesn't count.
func (r Rect) union(q Rect) Rect {
	switch {
	case r.Empty():
		return q
	case q.Empty():
		return r
	}
	x, y := min(r.X, q.X), min(r.Y, q.Y)
	return Rect{x, y, max(r.X+r.Width, q.X+q.Width) - x, max(r.Y+r.Height, q.Y+q.Height) - y}
}

func (r Rect) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, r.X)
	b = binary.BigEndian.AppendUint16(b, r.Y)
	b = binary.BigEndian.AppendUint16(b, r.Width)
	return binary.BigEndian.AppendUint16(b, r.Height)
}

func parseRect(b []byte) Rect {
	return Rect{
		X:      binary.BigEndian.Uint16(b),
		Y:      binary.BigEndian.Uint16(b[2:]),
		Width:  binary.BigEndian.Uint16(b[4:]),
		Height: binary.BigEndian.Uint16(b[6:]),
	}
}
