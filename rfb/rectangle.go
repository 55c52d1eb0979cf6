package rfb

import (
	"errors"
	"fmt"
	"io"
	"reflect"
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
	c := coder{b: b}
	c.encode(&r, f)
	return c.appended(b)
}

// ParseRectangle reads the rectangle that b begins with, its pixels in format
// f, and returns it and its length. The error wraps [ErrMalformed] for an
// encoding without a public layout and for what contradicts the layout,
// [ErrLimit] for what is larger than this package allows, or is
// [io.ErrUnexpectedEOF] if b ends before the rectangle does.
func ParseRectangle(b []byte, f PixelFormat) (Rectangle, int, error) {
	var r Rectangle
	c := coder{b: b, read: true}
	c.encode(&r, f)
	return r, len(b) - len(c.b), c.err
}

// encode goes over a whole rectangle.
func (c *coder) encode(r *Rectangle, f PixelFormat) {
	c.rectangle(&r.Rect)
	c.encoding(&r.Encoding)
	if c.err != nil {
		return
	}
	c.rect, c.enc = r.Rect, r.Encoding
	c.setFormat(f)
	c.encodeBody(&r.Body)
}

func (c *coder) setFormat(f PixelFormat) {
	c.format, c.bpp, c.tpixel = f, f.size(), f.tightSize()
	if err := f.check(); err != nil && c.err == nil {
		c.err = err
	}
}

// encodeBody goes over the body of c.enc.
func (c *coder) encodeBody(b *RectangleBody) {
	empty := newBody(c.enc)
	switch {
	case empty == nil:
		c.fail(ErrMalformed, "rectangle with encoding %v, whose layout isn't known", c.enc)
	case c.enc.picture() && c.enc != EncodingRaw && c.enc != EncodingCopyRect && c.rect.Empty():
		c.fail(ErrMalformed, "empty rectangle with encoding %v", c.enc)
	case (c.enc == EncodingCursor || c.enc == EncodingXCursor || c.enc == EncodingVMwareCursor || c.enc == EncodingCursorWithAlpha) &&
		(c.rect.Width > maxCursorSide || c.rect.Height > maxCursorSide):
		c.fail(ErrLimit, "cursor of %d x %d", c.rect.Width, c.rect.Height)
	}
	if c.err != nil {
		return
	}
	body := *b
	switch {
	case c.read:
		body, *b = empty, empty
	case body == nil:
		body = empty
	case reflect.TypeOf(body) != reflect.TypeOf(empty):
		c.fail(ErrMalformed, "%T is no body of encoding %v", body, c.enc)
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
func (c *coder) pixel(v *[]byte) { c.bytes(v, c.bpp) }

// walked is a body whose end only a walk through it tells.
func (c *coder) walked(v *[]byte) {
	if c.err != nil {
		return
	}
	b := *v
	if c.read {
		b = c.b
	}
	n, err := bodyLen(b, c.rect, c.enc, c.format)
	if err == nil && !c.read && n != len(b) {
		err = fmt.Errorf("%w: %d bytes after the end of a rectangle", ErrMalformed, len(b)-n)
	}
	if c.err = err; err == nil {
		c.bytes(v, n)
	}
}

// bodyLen is the length of the rectangle body that b begins with.
func bodyLen(b []byte, r Rect, e Encoding, f PixelFormat) (int, error) {
	find, err := newEndFinder(r, e, f)
	if err != nil {
		return 0, err
	}
	return find.end(b)
}

// An endFinder finds the end of a rectangle's body while it grows.
type endFinder struct {
	w    *walker
	seen int
}

func newEndFinder(r Rect, e Encoding, f PixelFormat) (*endFinder, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	w := newInspector(newAgreed(r.Width, r.Height), f)
	w.rects = 1
	if e.many() {
		rects, _ := r.stands()
		w.rects = int(rects)
	}
	if e.picture() {
		r.X, r.Y = 0, 0 // the framebuffer's size isn't known
	}
	return &endFinder{w: w}, w.rectangle(r, e)
}

// end is the length of the body that b begins with, b being at least what it
// was before, or io.ErrUnexpectedEOF.
func (f *endFinder) end(b []byte) (int, error) {
	for !f.w.between() {
		if f.seen == len(b) {
			return 0, io.ErrUnexpectedEOF
		}
		n := int(min(max(1, f.w.skip), uint64(len(b)-f.seen)))
		if _, err := f.w.walk(b[f.seen : f.seen+n]); err != nil {
			return 0, errors.Unwrap(err)
		}
		f.seen += n
	}
	return f.seen, nil
}
