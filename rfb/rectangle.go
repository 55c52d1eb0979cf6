package rfb

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"vda.internal/shadow/rfb/internal/proto"
)

// A Rectangle is a part of a FramebufferUpdate (RFC 6143 §7.6.1).
type Rectangle struct {
	Rect     Rect          // pseudo-encodings give the numbers meanings of their own
	Encoding Encoding      // of Body
	Body     RectangleBody // nil: the encoding's empty body, if it may be empty
}

// A RectangleBody is what a rectangle has after its header: one of the types
// of this package named after encodings. Pixels in it are bytes as they stand
// on the wire: how many they are, and so where the body ends, depends on the
// pixel format in force.
type RectangleBody interface {
	layout(*coder)
}

// body is an empty one to read into.
func body[T any, P interface {
	*T
	RectangleBody
}]() RectangleBody {
	return P(new(T))
}

const rectangleHeadLen = 12

// AppendFormat appends the rectangle to b. The body must have the type of the
// encoding and as many pixels as the rectangle; else the error wraps
// [ErrMalformed] or [ErrLimit], and b is returned as it was.
func (r Rectangle) AppendFormat(b []byte, f PixelFormat) ([]byte, error) {
	c := coder{Coder: proto.Append(b)}
	c.encode(&r, f)
	return c.Appended(b)
}

// ParseRectangle reads the rectangle that b begins with, its pixels in format
// f, and returns it and its length. The error wraps [ErrMalformed] for an
// encoding without a public layout and for what contradicts the layout,
// [ErrLimit] for what is larger than this package allows, or is
// [io.ErrUnexpectedEOF] if b ends before the rectangle does.
func ParseRectangle(b []byte, f PixelFormat) (Rectangle, int, error) {
	var r Rectangle
	c := coder{Coder: proto.Read(b)}
	c.encode(&r, f)
	return r, len(b) - len(c.B), c.Err
}

// encode goes over a whole rectangle.
func (c *coder) encode(r *Rectangle, f PixelFormat) {
	c.rectangle(&r.Rect)
	c.encoding(&r.Encoding)
	if c.Err != nil {
		return
	}
	c.rect, c.enc = r.Rect, r.Encoding
	c.setFormat(f)
	c.encodeBody(&r.Body)
}

func (c *coder) setFormat(f PixelFormat) {
	c.format, c.bpp, c.tpixel = f, f.size(), f.tightSize()
	if err := f.Check(); err != nil && c.Err == nil {
		c.Err = err
	}
}

// encodeBody goes over the body of c.enc.
func (c *coder) encodeBody(b *RectangleBody) {
	empty := newBody(c.enc)
	switch {
	case empty == nil:
		c.Fail(ErrMalformed, "rectangle with encoding %v, whose layout isn't known", c.enc)
	case c.enc.picture() && c.enc != EncodingRaw && c.enc != EncodingCopyRect && c.rect.Empty():
		c.Fail(ErrMalformed, "empty rectangle with encoding %v", c.enc)
	case (c.enc == EncodingCursor || c.enc == EncodingXCursor || c.enc == EncodingVMwareCursor || c.enc == EncodingCursorWithAlpha) &&
		(c.rect.Width > maxCursorSide || c.rect.Height > maxCursorSide):
		c.Fail(ErrLimit, "cursor of %d x %d", c.rect.Width, c.rect.Height)
	}
	if c.Err != nil {
		return
	}
	body := *b
	switch {
	case c.Reading:
		body, *b = empty, empty
	case body == nil:
		body = empty
	case reflect.TypeOf(body) != reflect.TypeOf(empty):
		c.Fail(ErrMalformed, "%T is no body of encoding %v", body, c.enc)
		return
	}
	body.layout(c)
}

func newBody(e Encoding) RectangleBody {
	for _, known := range encodings {
		if known.number == e && known.new != nil {
			return known.new()
		}
	}
	return nil
}

// area is the number of the rectangle's pixels, mask the bytes of a bitmap.
func (c *coder) area() int { return int(c.rect.Width) * int(c.rect.Height) }
func (c *coder) mask() int { return (int(c.rect.Width) + 7) / 8 * int(c.rect.Height) }

// pixel is one pixel.
func (c *coder) pixel(v *[]byte) { c.Bytes(v, c.bpp) }

// walked is a body whose end only a walk through it tells.
func (c *coder) walked(v *[]byte) {
	if c.Err != nil {
		return
	}
	b := *v
	if c.Reading {
		b = c.B
	}
	n, err := bodyLen(b, c.rect, c.enc, c.format)
	if err == nil && !c.Reading && n != len(b) {
		err = fmt.Errorf("%w: %d bytes after the end of a rectangle", ErrMalformed, len(b)-n)
	}
	if c.Err = err; err == nil {
		c.Bytes(v, n)
	}
}

// bodyLen is the length of the rectangle body that b begins with.
func bodyLen(b []byte, r Rect, e Encoding, f PixelFormat) (int, error) {
	s, err := NewRectangleScanner(r, e, f)
	if err != nil {
		return 0, err
	}
	n, whole, err := s.Scan(b)
	if err == nil && !whole {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// A RectangleScanner finds where the body of one rectangle ends, however its
// bytes are cut. It looks at each byte once, decodes nothing and keeps nothing
// of them.
type RectangleScanner struct{ w *walker }

// NewRectangleScanner returns a scanner for the body of a rectangle at r with
// encoding e, whose pixels have format f. The error wraps [ErrMalformed] if
// there is no such rectangle, or its layout isn't public, and [ErrLimit] if it
// is larger than this package allows.
func NewRectangleScanner(r Rect, e Encoding, f PixelFormat) (*RectangleScanner, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	w := newInspector(newAgreed(r.Width, r.Height), f)
	w.rects = 1
	if e.many() {
		rects, _ := r.represents()
		w.rects = int(rects)
	}
	if e.picture() {
		r.X, r.Y = 0, 0 // the framebuffer's size isn't known
	}
	return &RectangleScanner{w}, w.rectangle(r, e)
}

// Scan takes the next bytes of the stream, the first being those after the
// rectangle's header, and returns how many of them belong to the body, and
// whether it ends with them. It may be called without any, for a body may have
// none. The error wraps [ErrMalformed] or [ErrLimit] and is final.
func (s *RectangleScanner) Scan(p []byte) (n int, whole bool, err error) {
	for !s.w.between() && n < len(p) {
		part := int(min(max(1, s.w.skip), uint64(len(p)-n)))
		if _, err := s.w.walk(p[n : n+part]); err != nil {
			return n, false, errors.Unwrap(err)
		}
		n += part
	}
	return n, s.w.between(), nil
}
