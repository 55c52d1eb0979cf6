package rfb

import "fmt"

// The lengths of messages that the filter deals with.
const (
	setPixelFormatLen           = 4 + pixelFormatLen
	setEncodingsLen             = 4 // and four for each encoding
	framebufferUpdateRequestLen = 10
	enableContinuousUpdatesLen  = 10
	fenceLen                    = 9 // without payload
)

// A SetPixelFormat asks the server for pixels in a format (RFC 6143 §7.5.1).
type SetPixelFormat struct {
	Format PixelFormat // of the updates that the server sends from then on
}

func (m *SetPixelFormat) layout(c *coder) {
	c.client(ClientSetPixelFormat)
	c.Pad(3)
	c.pixelFormat(&m.Format)
}

// A SetEncodings lists the encodings that a viewer understands, the preferred
// one first (RFC 6143 §7.5.2). Reading one reuses what Encodings can hold.
type SetEncodings struct {
	Encodings []Encoding // at most 65535
}

func (m *SetEncodings) layout(c *coder) {
	c.client(ClientSetEncodings)
	c.Pad(1)
	list(c, &m.Encodings, c.Len16(len(m.Encodings)), 4, c.encoding)
}

// A FramebufferUpdateRequest asks for a part of the screen (RFC 6143 §7.5.3).
type FramebufferUpdateRequest struct {
	Incremental bool // only what has changed, and not before something has
	Rect        Rect // the area, in pixels
}

func (m *FramebufferUpdateRequest) layout(c *coder) {
	c.client(ClientFramebufferUpdateRequest)
	c.Flag(&m.Incremental)
	c.rectangle(&m.Rect)
}

// A Rect is a part of the framebuffer, in pixels from its upper left corner.
type Rect struct {
	X, Y, Width, Height uint16 // pixels, from the upper left corner
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

func parseRect(b []byte) Rect { return Rect{be16(b), be16(b[2:]), be16(b[4:]), be16(b[6:])} }
