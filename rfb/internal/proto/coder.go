package proto

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// What messages can't be, for the package that exports these.
var (
	ErrMalformed = errors.New("malformed RFB")
	ErrLimit     = errors.New("over a limit")
)

// A Coder goes over the fields of a message in the order they have on the
// wire, to append them or to read them. A message says its layout once, for
// both, so that the two can't disagree. When appending, nothing is written to the message.
type Coder struct {
	B       []byte // what was appended, or what is left to read
	Reading bool
	Err     error // the first; nothing happens after it
	Short   int   // with io.ErrUnexpectedEOF: at least so many more bytes are needed
	Little  bool  // numbers are little endian
}

// Append returns a coder that appends to b.
func Append(b []byte) Coder { return Coder{B: b} }

// Read returns a coder that reads from b.
func Read(b []byte) Coder { return Coder{B: b, Reading: true} }

// Appended is the end of appending.
func (c *Coder) Appended(b []byte) ([]byte, error) {
	if c.Err != nil {
		return b, c.Err
	}
	return c.B, nil
}

// ReadAll is the end of reading.
func (c *Coder) ReadAll() error {
	if c.Err == nil && len(c.B) > 0 {
		c.Err = fmt.Errorf("%w: %d bytes after the end of a message", ErrMalformed, len(c.B))
	}
	return c.Err
}

// Parsed is the end of reading a message that b, n bytes long, began with: how long that is. The
// error is a [Short] if b ends before the message does.
func (c *Coder) Parsed(n int) (int, error) {
	switch {
	case c.Short > 0:
		return 0, Short(c.Short)
	case c.Err != nil:
		return 0, c.Err
	}
	return n - len(c.B), nil
}

// Set gives a field a value that was read. Appending, which may go on elsewhere with the same
// message, leaves fields alone.
func Set[T any](c *Coder, field *T, value T) {
	if c.Reading {
		*field = value
	}
}

// Fail notes an error of reading or appending.
func (c *Coder) Fail(sentinel error, format string, args ...any) {
	if c.Err == nil {
		c.Err = fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, args...))
	}
}

// Next takes n bytes to read; nil if there are too few.
func (c *Coder) Next(n int) []byte {
	if c.Err != nil {
		return nil
	}
	if len(c.B) < n {
		c.Err, c.Short = io.ErrUnexpectedEOF, n-len(c.B)
		return nil
	}
	b := c.B[:n]
	c.B = c.B[n:]
	return b
}

// U8 is an unsigned number of one byte.
func (c *Coder) U8(v *uint8) {
	if !c.Reading {
		c.B = append(c.B, *v)
	} else if b := c.Next(1); b != nil {
		*v = b[0]
	}
}

// U16 is an unsigned number of two bytes, U32 of four, U64 of eight.
func (c *Coder) U16(v *uint16) { number(c, v, 2) }

// U32: see [Coder.U16].
func (c *Coder) U32(v *uint32) { number(c, v, 4) }

// U64: see [Coder.U16].
func (c *Coder) U64(v *uint64) { number(c, v, 8) }

// number is an unsigned number of size bytes.
func number[T uint16 | uint32 | uint64](c *Coder, v *T, size int) {
	if c.Reading {
		b := c.Next(size)
		if b == nil {
			return
		}
		*v = 0
		for i := range b {
			if c.Little {
				i = size - 1 - i
			}
			*v = *v<<8 | T(b[i])
		}
		return
	}
	for i := range size {
		if !c.Little {
			i = size - 1 - i
		}
		c.B = append(c.B, byte(*v>>(8*i)))
	}
}

// I16 is a signed number of two bytes.
func (c *Coder) I16(v *int16) {
	n := uint16(*v)
	if c.U16(&n); c.Reading {
		*v = int16(n)
	}
}

// I32 is a signed number of four bytes.
func (c *Coder) I32(v *int32) {
	n := uint32(*v)
	if c.U32(&n); c.Reading {
		*v = int32(n)
	}
}

// Flag is a byte that is true unless zero.
func (c *Coder) Flag(v *bool) {
	var n uint8
	if *v {
		n = 1
	}
	if c.U8(&n); c.Reading {
		*v = n != 0
	}
}

// Pad is n bytes without a meaning.
func (c *Coder) Pad(n int) {
	if c.Reading {
		c.Next(n)
		return
	}
	for range n {
		c.B = append(c.B, 0)
	}
}

// Constant is a byte that must be v.
func (c *Coder) Constant(v byte, what string) {
	n := v
	if c.U8(&n); n != v && c.Err == nil {
		c.Fail(ErrMalformed, "%d is no %s", n, what)
	}
}

// Len8 is a length of one byte, Len16 of two, Len32 of four: n when appending, what was read when
// reading.
func (c *Coder) Len8(n int) int {
	v := uint8(n)
	if c.U8(&v); !c.Reading && n > math.MaxUint8 {
		c.Fail(ErrLimit, "length of %d, at most 255", n)
	}
	return int(v)
}

// Len16: see [Coder.Len8].
func (c *Coder) Len16(n int) int {
	v := uint16(n)
	if c.U16(&v); !c.Reading && n > math.MaxUint16 {
		c.Fail(ErrLimit, "length of %d, at most 65535", n)
	}
	return int(v)
}

// Len32: see [Coder.Len8].
func (c *Coder) Len32(n int) int {
	v := uint32(n)
	if c.U32(&v); !c.Reading && uint64(n) > math.MaxUint32 {
		c.Fail(ErrLimit, "length of %d, at most %d", n, uint32(math.MaxUint32))
	}
	return int(v)
}

// Bytes are n bytes, which v must have when appending.
func (c *Coder) Bytes(v *[]byte, n int) {
	switch {
	case c.Err != nil:
	case !c.Reading && len(*v) != n:
		c.Fail(ErrMalformed, "%d bytes where there must be %d", len(*v), n)
	case !c.Reading:
		c.B = append(c.B, *v...)
	default:
		*v = nil
		if b := c.Next(n); len(b) > 0 {
			*v = slices.Clone(b)
		}
	}
}

// Text is a string of n bytes.
func (c *Coder) Text(v *string, n int) {
	b := []byte(*v)
	if c.Bytes(&b, n); c.Reading && c.Err == nil {
		*v = string(b)
	}
}

// Array is n bytes of an array.
func (c *Coder) Array(v []byte) {
	if !c.Reading {
		c.B = append(c.B, v...)
	} else if b := c.Next(len(v)); b != nil {
		copy(v, b)
	}
}

// List is n elements of size bytes each on the wire; they are made only if
// their bytes are there.
func List[T any](c *Coder, v *[]T, n, size int, each func(*T)) {
	if c.Reading {
		if c.Err != nil {
			return
		}
		if len(c.B)/size < n {
			c.Err, c.Short = io.ErrUnexpectedEOF, n*size-len(c.B)
			return
		}
		*v = slices.Grow((*v)[:0], n)
		for range n {
			var t T
			*v = append(*v, t)
		}
	}
	for i := range *v {
		if each(&(*v)[i]); c.Err != nil {
			return
		}
	}
}
