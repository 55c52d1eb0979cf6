package vendors

import (
	"bytes"
	"fmt"
	"io"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
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
func gii(c *proto.Coder, kind *uint8, big *bool, body func(*proto.Coder)) {
	is(c, ClientGII) // the server's has the same number
	second := *kind
	if *big {
		second |= giiBig
	}
	if c.U8(&second); c.Reading && c.Err == nil {
		*kind, *big = second&^giiBig, second&giiBig != 0
	}
	c.Little = !*big
	defer func() { c.Little = false }()
	inner := proto.Coder{Reading: c.Reading, Little: c.Little}
	if !c.Reading {
		body(&inner)
		if n := len(inner.B); inner.Err == nil {
			c.Len16(n)
			c.B = append(c.B, inner.B...)
		}
	} else if inner.B = c.Next(c.Len16(0)); c.Err == nil {
		if body(&inner); inner.Err == io.ErrUnexpectedEOF || inner.Err == nil && len(inner.B) > 0 {
			inner.Err = fmt.Errorf("%w: gii message of type %d with a length that isn't its own", proto.ErrMalformed, *kind)
		}
	}
	if c.Err == nil {
		c.Err = inner.Err
	}
}

// giiOf is gii for a message of one type.
func giiOf(c *proto.Coder, want uint8, big *bool, body func(*proto.Coder)) {
	kind := want
	gii(c, &kind, big, func(c *proto.Coder) {
		if kind != want {
			c.Fail(proto.ErrMalformed, "gii message of type %d", kind)
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

func (m *GII) layout(c *proto.Coder) {
	if !c.Reading && m.Type >= giiBig {
		c.Fail(proto.ErrMalformed, "gii message of type %d", m.Type)
	}
	gii(c, &m.Type, &m.BigEndian, func(c *proto.Coder) {
		if c.Reading {
			m.Body = bytes.Clone(c.Next(len(c.B)))
		} else {
			c.B = append(c.B, m.Body...)
		}
	})
}

// A GIIVersion says which versions of gii a server knows, or which of them a
// viewer has chosen.
type GIIVersion struct {
	From      rfb.Direction // FromViewer or rfb.FromServer; anything else is an error. Reading tells by the length
	BigEndian bool          // byte order of the numbers that follow
	Max       uint16        // the highest; of a viewer the one that counts
	Min       uint16        // the lowest; not sent by viewers
}

func (m *GIIVersion) layout(c *proto.Coder) {
	giiOf(c, giiVersion, &m.BigEndian, func(c *proto.Coder) {
		if c.Reading {
			m.From, m.Min = rfb.FromViewer, 0
			if len(c.B) == 4 {
				m.From = rfb.FromServer
			}
		}
		if c.U16(&m.Max); m.From == rfb.FromServer {
			c.U16(&m.Min)
		} else if m.From != rfb.FromViewer {
			c.Fail(proto.ErrMalformed, "gii version from nobody")
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

func (m *GIICreate) layout(c *proto.Coder) {
	giiOf(c, giiCreate, &m.BigEndian, func(c *proto.Coder) {
		padded(c, &m.Name, 32)
		c.U32(&m.Vendor)
		c.U32(&m.Product)
		c.U32(&m.Events)
		c.U32(&m.Registers)
		n := uint32(len(m.Valuators))
		c.U32(&n)
		c.U32(&m.Buttons)
		proto.List(c, &m.Valuators, int(n), giiValuatorLen, func(v *GIIValuator) { v.layout(c) })
	})
}

func (v *GIIValuator) layout(c *proto.Coder) {
	c.U32(&v.Index)
	padded(c, &v.LongName, 75)
	padded(c, &v.ShortName, 5)
	c.I32(&v.Min)
	c.I32(&v.Center)
	c.I32(&v.Max)
	c.U32(&v.Unit)
	c.I32(&v.Add)
	c.I32(&v.Mul)
	c.I32(&v.Div)
	c.I32(&v.Shift)
}

// padded is a text in n bytes, the last of them zero. What follows a zero is
// padding.
func padded(c *proto.Coder, v *string, n int) {
	if c.Reading {
		if b := c.Next(n); b != nil {
			b, _, _ = bytes.Cut(b, []byte{0})
			*v = string(b[:min(len(b), n-1)])
		}
		return
	}
	if len(*v) >= n || bytes.IndexByte([]byte(*v), 0) >= 0 {
		c.Fail(proto.ErrLimit, "%q in %d bytes, the last of them zero", *v, n)
		return
	}
	c.B = append(c.B, *v...)
	c.Pad(n - len(*v))
}

// A GIICreated is the server's answer to a [GIICreate].
type GIICreated struct {
	BigEndian bool   // byte order of the numbers that follow
	Device    uint32 // its number from now on; zero: there is none
}

func (m *GIICreated) layout(c *proto.Coder) {
	giiOf(c, giiCreate, &m.BigEndian, func(c *proto.Coder) { c.U32(&m.Device) })
}

// A GIIDestroy removes a viewer's device.
type GIIDestroy struct {
	BigEndian bool   // byte order of the numbers that follow
	Device    uint32 // its number
}

func (m *GIIDestroy) layout(c *proto.Coder) {
	giiOf(c, giiDestroy, &m.BigEndian, func(c *proto.Coder) { c.U32(&m.Device) })
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

func (m *GIIInject) layout(c *proto.Coder) {
	giiOf(c, giiInject, &m.BigEndian, func(c *proto.Coder) {
		if !c.Reading {
			for _, e := range m.Events {
				e.layout(c)
			}
			return
		}
		m.Events = nil
		for len(c.B) > 0 && c.Err == nil {
			var e GIIEvent
			e.layout(c)
			m.Events = append(m.Events, e)
		}
	})
}

func (e *GIIEvent) layout(c *proto.Coder) {
	const head = 8
	size := c.Len8(head + 4*len(e.Values))
	c.U8(&e.Type)
	c.Pad(2)
	c.U32(&e.Device)
	if c.Err != nil {
		return
	}
	n := max(0, size-head) / 4
	proto.List(c, &e.Values, n, 4, func(v *uint32) { c.U32(v) })
	if c.Err == nil && (size != head+4*n || !e.complete()) {
		c.Fail(proto.ErrMalformed, "gii event %d of %d bytes", e.Type, size)
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
