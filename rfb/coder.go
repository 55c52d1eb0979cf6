package rfb

import (
	"encoding"
	"fmt"
	"io"
	"math"
	"slices"
)

// A Message is one message of a session, from either peer: it appends itself
// to bytes, and reads itself from exactly its own. Padding is written as zero
// and read as anything. Whatever it reads it copies.
//
// AppendBinary fails, leaving the bytes as they were, if a field is longer
// than its length can say (with [ErrLimit]). UnmarshalBinary fails with
// [ErrMalformed], with [ErrLimit] if the message is well-formed and longer than
// this package reads, or with [io.ErrUnexpectedEOF] if there are too few bytes.
type Message interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
	layout(*coder)
}

// A coder goes over the fields of a message in the order they have on the
// wire, to append them or to read them. A message says its layout once, for
// both, so that the two can't disagree. When appending nothing is written that
// a copy of the message shares with it.
type coder struct {
	b      []byte // what was appended, or what is left to read
	read   bool
	err    error // the first; nothing happens after it
	short  int   // with io.ErrUnexpectedEOF: at least so many more bytes are needed
	little bool  // numbers are little endian

	format PixelFormat // of a rectangle's pixels
	rect   Rect        // the rectangle
	enc    Encoding    // its encoding
	bpp    int         // bytes of a pixel
	tpixel int         // bytes of a pixel in Tight
}

// appended is the end of an AppendBinary.
func (c *coder) appended(b []byte) ([]byte, error) {
	if c.err != nil {
		return b, c.err
	}
	return c.b, nil
}

// readAll is the end of an UnmarshalBinary.
func (c *coder) readAll() error {
	if c.err == nil && len(c.b) > 0 {
		c.err = fmt.Errorf("%w: %d bytes after the end of a message", ErrMalformed, len(c.b))
	}
	return c.err
}

// fail notes an error of reading or appending.
func (c *coder) fail(sentinel error, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, args...))
	}
}

// next takes n bytes to read; nil if there are too few.
func (c *coder) next(n int) []byte {
	if c.err != nil {
		return nil
	}
	if len(c.b) < n {
		c.err, c.short = io.ErrUnexpectedEOF, n-len(c.b)
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *coder) u8(v *uint8) {
	if !c.read {
		c.b = append(c.b, *v)
	} else if b := c.next(1); b != nil {
		*v = b[0]
	}
}

func (c *coder) u16(v *uint16) { number(c, v, 2) }
func (c *coder) u32(v *uint32) { number(c, v, 4) }
func (c *coder) u64(v *uint64) { number(c, v, 8) }

// number is an unsigned number of size bytes.
func number[T uint16 | uint32 | uint64](c *coder, v *T, size int) {
	if c.read {
		b := c.next(size)
		if b == nil {
			return
		}
		*v = 0
		for i := range b {
			if c.little {
				i = size - 1 - i
			}
			*v = *v<<8 | T(b[i])
		}
		return
	}
	for i := range size {
		if !c.little {
			i = size - 1 - i
		}
		c.b = append(c.b, byte(*v>>(8*i)))
	}
}

// i16 and i32 are signed numbers.
func (c *coder) i16(v *int16) {
	n := uint16(*v)
	if c.u16(&n); c.read {
		*v = int16(n)
	}
}

func (c *coder) i32(v *int32) {
	n := uint32(*v)
	if c.u32(&n); c.read {
		*v = int32(n)
	}
}

func (c *coder) encoding(v *Encoding) {
	n := uint32(*v)
	if c.u32(&n); c.read {
		*v = Encoding(n)
	}
}

// flag is a byte that is true unless zero.
func (c *coder) flag(v *bool) {
	n := boolByte(*v)
	if c.u8(&n); c.read {
		*v = n != 0
	}
}

// pad is n bytes without a meaning.
func (c *coder) pad(n int) {
	if c.read {
		c.next(n)
		return
	}
	for range n {
		c.b = append(c.b, 0)
	}
}

// constant is a byte that must be v.
func (c *coder) constant(v byte, what string) {
	n := v
	if c.u8(&n); n != v && c.err == nil {
		c.fail(ErrMalformed, "%d is no %s", n, what)
	}
}

func (c *coder) client(t ClientMessageType) { c.constant(byte(t), "message of this type") }
func (c *coder) server(t ServerMessageType) { c.constant(byte(t), "message of this type") }

// len8, len16 and len32 are lengths: n when appending, what was read when
// reading.
func (c *coder) len8(n int) int {
	v := uint8(n)
	if c.u8(&v); !c.read && n > math.MaxUint8 {
		c.fail(ErrLimit, "length of %d, at most 255", n)
	}
	return int(v)
}

func (c *coder) len16(n int) int {
	v := uint16(n)
	if c.u16(&v); !c.read && n > math.MaxUint16 {
		c.fail(ErrLimit, "length of %d, at most 65535", n)
	}
	return int(v)
}

func (c *coder) len32(n int) int {
	v := uint32(n)
	if c.u32(&v); !c.read && uint64(n) > math.MaxUint32 {
		c.fail(ErrLimit, "length of %d, at most %d", n, uint32(math.MaxUint32))
	}
	return int(v)
}

// bytes are n bytes, which v must have when appending.
func (c *coder) bytes(v *[]byte, n int) {
	switch {
	case c.err != nil:
	case !c.read && len(*v) != n:
		c.fail(ErrMalformed, "%d bytes where there must be %d", len(*v), n)
	case !c.read:
		c.b = append(c.b, *v...)
	default:
		*v = nil
		if b := c.next(n); len(b) > 0 {
			*v = slices.Clone(b)
		}
	}
}

// text is a string of n bytes.
func (c *coder) text(v *string, n int) {
	b := []byte(*v)
	if c.bytes(&b, n); c.read && c.err == nil {
		*v = string(b)
	}
}

// array is n bytes of an array.
func (c *coder) array(v []byte) {
	if !c.read {
		c.b = append(c.b, v...)
	} else if b := c.next(len(v)); b != nil {
		copy(v, b)
	}
}

// list is n elements of size bytes each on the wire; they are made only if
// their bytes are there.
func list[T any](c *coder, v *[]T, n, size int, each func(*T)) {
	if c.read {
		if c.err != nil {
			return
		}
		if len(c.b)/size < n {
			c.err, c.short = io.ErrUnexpectedEOF, n*size-len(c.b)
			return
		}
		*v = (*v)[:0]
		for range n {
			var t T
			*v = append(*v, t)
		}
	}
	for i := range *v {
		if each(&(*v)[i]); c.err != nil {
			return
		}
	}
}

func (c *coder) rectangle(r *Rect) {
	c.u16(&r.X)
	c.u16(&r.Y)
	c.u16(&r.Width)
	c.u16(&r.Height)
}

func (c *coder) pixelFormat(f *PixelFormat) {
	c.u8(&f.BitsPerPixel)
	c.u8(&f.Depth)
	c.flag(&f.BigEndian)
	c.flag(&f.TrueColor)
	c.u16(&f.RedMax)
	c.u16(&f.GreenMax)
	c.u16(&f.BlueMax)
	c.u8(&f.RedShift)
	c.u8(&f.GreenShift)
	c.u8(&f.BlueShift)
	c.pad(3)
}
