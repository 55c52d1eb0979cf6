package rfb

import (
	"bytes"
	"fmt"
	"io"
)

// The general input interface: joysticks, tablets and the like. The layouts are
// those of the community's "gii Client Message" and "gii Server Message". Each
// message says its own byte order and its length. UltraVNC's reader ignores the
// length and reads a fixed size, so that nothing which talks to it can rely on
// the framing.

// The types of gii messages, the lower seven bits of their second byte.
const (
	giiInject = iota
	giiVersion
	giiCreate
	giiDestroy
)

// giiBig is the bit of the second byte that says big endian.
const giiBig = 0x80

// gii is the frame of a gii message: type, byte order and length. What body
// goes over must be exactly as long as the length says.
func (c *coder) gii(kind *uint8, big *bool, body func(*coder)) {
	c.client(ClientGII) // the server's has the same number
	second := *kind
	if *big {
		second |= giiBig
	}
	if c.u8(&second); c.read && c.err == nil {
		*kind, *big = second&^giiBig, second&giiBig != 0
	}
	c.little = !*big
	defer func() { c.little = false }()
	inner := coder{read: c.read, little: c.little}
	if !c.read {
		body(&inner)
		if n := len(inner.b); inner.err == nil {
			c.len16(n)
			c.b = append(c.b, inner.b...)
		}
	} else if inner.b = c.next(c.len16(0)); c.err == nil {
		if body(&inner); inner.err == io.ErrUnexpectedEOF || inner.err == nil && len(inner.b) > 0 {
			inner.err = fmt.Errorf("%w: gii message of type %d with a length that isn't its own", ErrMalformed, *kind)
		}
	}
	if c.err == nil {
		c.err = inner.err
	}
}

// giiOf is gii for a message of one type.
func (c *coder) giiOf(want uint8, big *bool, body func(*coder)) {
	kind := want
	c.gii(&kind, big, func(c *coder) {
		if kind != want {
			c.fail(ErrMalformed, "gii message of type %d", kind)
			return
		}
		body(c)
	})
}

// A GII is a gii message of a type that has no layout which is public: 4 to
// 127. Those below have messages of their own.
type GII struct {
	BigEndian bool   // byte order of the length
	Type      uint8  // at most 127
	Body      []byte // at most 65535
}

// AppendBinary implements [Message].
func (m GII) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *GII) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *GII) layout(c *coder) {
	if !c.read && m.Type >= giiBig {
		c.fail(ErrMalformed, "gii message of type %d", m.Type)
	}
	c.gii(&m.Type, &m.BigEndian, func(c *coder) {
		if c.read {
			m.Body = bytes.Clone(c.next(len(c.b)))
		} else {
			c.b = append(c.b, m.Body...)
		}
	})
}

// A GIIVersion says which versions of gii a server knows, or which of them a
// viewer has chosen.
type GIIVersion struct {
	From      Direction // FromViewer or FromServer; anything else is an error. Reading tells by the length
	BigEndian bool      // byte order of the numbers that follow
	Max       uint16    // the highest; of a viewer the one that counts
	Min       uint16    // the lowest; not sent by viewers
}

// AppendBinary implements [Message].
func (m GIIVersion) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *GIIVersion) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *GIIVersion) layout(c *coder) {
	c.giiOf(giiVersion, &m.BigEndian, func(c *coder) {
		if c.read {
			m.From, m.Min = FromViewer, 0
			if len(c.b) == 4 {
				m.From = FromServer
			}
		}
		if c.u16(&m.Max); m.From == FromServer {
			c.u16(&m.Min)
		} else if m.From != FromViewer {
			c.fail(ErrMalformed, "gii version from nobody")
		}
	})
}

// A GIICreate is a viewer's request for a device.
type GIICreate struct {
	BigEndian bool          // byte order of the numbers that follow
	Name      string        // at most 31 bytes, none of them zero
	Vendor    uint32        // of the device, as the viewer says
	Product   uint32        // of the device, as the viewer says
	Events    uint32        // which it can have: 1<<GIIEvent.Type for each
	Registers uint32        // how many the device has
	Buttons   uint32        // how many the device has
	Valuators []GIIValuator // at most 564
}

// A GIIValuator is something of a device that has a value: an axis, a slider.
// The value in its unit is (Add + v) · Mul / Div · 2^Shift; if Mul is zero that
// isn't known.
type GIIValuator struct {
	Index            uint32 // its number on the device, from 0
	LongName         string // at most 74 bytes, none of them zero
	ShortName        string // at most 4 bytes, none of them zero
	Min, Center, Max int32  // the range of the value, and where it rests
	Unit             uint32 // as the specification numbers them; 0 unknown, 1 s, 3 m, 6 rad, …
	Add, Mul, Div    int32  // parameters of the formula above
	Shift            int32  // parameter of the formula above
}

const giiValuatorLen = 116

// AppendBinary implements [Message].
func (m GIICreate) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *GIICreate) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *GIICreate) layout(c *coder) {
	c.giiOf(giiCreate, &m.BigEndian, func(c *coder) {
		c.padded(&m.Name, 32)
		c.u32(&m.Vendor)
		c.u32(&m.Product)
		c.u32(&m.Events)
		c.u32(&m.Registers)
		n := uint32(len(m.Valuators))
		c.u32(&n)
		c.u32(&m.Buttons)
		list(c, &m.Valuators, int(n), giiValuatorLen, func(v *GIIValuator) { v.layout(c) })
	})
}

func (v *GIIValuator) layout(c *coder) {
	c.u32(&v.Index)
	c.padded(&v.LongName, 75)
	c.padded(&v.ShortName, 5)
	c.i32(&v.Min)
	c.i32(&v.Center)
	c.i32(&v.Max)
	c.u32(&v.Unit)
	c.i32(&v.Add)
	c.i32(&v.Mul)
	c.i32(&v.Div)
	c.i32(&v.Shift)
}

// padded is a text in n bytes, the last of them zero. What follows a zero is
// padding.
func (c *coder) padded(v *string, n int) {
	if c.read {
		if b := c.next(n); b != nil {
			b, _, _ = bytes.Cut(b, []byte{0})
			*v = string(b[:min(len(b), n-1)])
		}
		return
	}
	if len(*v) >= n || bytes.IndexByte([]byte(*v), 0) >= 0 {
		c.fail(ErrLimit, "%q in %d bytes, the last of them zero", *v, n)
		return
	}
	c.b = append(c.b, *v...)
	c.pad(n - len(*v))
}

// A GIICreated is the server's answer to a [GIICreate].
type GIICreated struct {
	BigEndian bool   // byte order of the numbers that follow
	Device    uint32 // its number from now on; zero: there is none
}

// AppendBinary implements [Message].
func (m GIICreated) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *GIICreated) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *GIICreated) layout(c *coder) {
	c.giiOf(giiCreate, &m.BigEndian, func(c *coder) { c.u32(&m.Device) })
}

// A GIIDestroy removes a viewer's device.
type GIIDestroy struct {
	BigEndian bool   // byte order of the numbers that follow
	Device    uint32 // its number
}

// AppendBinary implements [Message].
func (m GIIDestroy) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *GIIDestroy) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *GIIDestroy) layout(c *coder) {
	c.giiOf(giiDestroy, &m.BigEndian, func(c *coder) { c.u32(&m.Device) })
}

// A GIIInject is what a viewer's devices have done.
type GIIInject struct {
	BigEndian bool       // byte order of the numbers that follow
	Events    []GIIEvent // in the order in which they happened
}

// A GIIEvent is one thing that a device has done.
type GIIEvent struct {
	// Type tells what, and what Values are: 5, 6 and 7 a key goes down, up, or
	// repeats (modifiers, symbol, label, button); 8 and 9 the pointer moves by,
	// or to (x, y, z, wheel, signed); 10 and 11 a button goes down, or up (its
	// number); 12 and 13 valuators change by, or to (the first one's number, how
	// many, and a signed number for each).
	Type   uint8
	Device uint32   // its number; 0: the core devices
	Values []uint32 // as Type says
}

// AppendBinary implements [Message].
func (m GIIInject) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *GIIInject) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *GIIInject) layout(c *coder) {
	c.giiOf(giiInject, &m.BigEndian, func(c *coder) {
		if !c.read {
			for _, e := range m.Events {
				e.layout(c)
			}
			return
		}
		m.Events = nil
		for len(c.b) > 0 && c.err == nil {
			var e GIIEvent
			e.layout(c)
			m.Events = append(m.Events, e)
		}
	})
}

func (e *GIIEvent) layout(c *coder) {
	const head = 8
	size := c.len8(head + 4*len(e.Values))
	c.u8(&e.Type)
	c.pad(2)
	c.u32(&e.Device)
	if c.err != nil {
		return
	}
	n := max(0, size-head) / 4
	list(c, &e.Values, n, 4, func(v *uint32) { c.u32(v) })
	if c.err == nil && (size != head+4*n || !e.complete()) {
		c.fail(ErrMalformed, "gii event %d of %d bytes", e.Type, size)
	}
}

// complete reports whether the values are as many as the type has.
func (e *GIIEvent) complete() bool {
	n := len(e.Values)
	switch e.Type {
	case 5, 6, 7, 8, 9:
		return n == 4
	case 10, 11:
		return n == 1
	case 12, 13:
		return n >= 2 && int(e.Values[1]) == n-2
	}
	return false
}
