package rfb

import (
	"encoding/binary"
	"fmt"

	"vda.internal/shadow/rfb/internal/proto"
)

// A FramebufferUpdate is the head of an update: as many rectangles follow it
// (RFC 6143 §7.6.1). See [Rectangle].
type FramebufferUpdate struct {
	// Rectangles is how many follow; 65535 if a rectangle with
	// [EncodingLastRect] ends them.
	Rectangles uint16
}

func (m *FramebufferUpdate) layout(c *coder) {
	c.server(ServerFramebufferUpdate)
	c.Pad(1)
	c.U16(&m.Rectangles)
}

// A Color is an entry of a colour map, 65535 being the most of each.
type Color struct {
	Red, Green, Blue uint16 // 0 to 65535
}

const colorLen = 6

func (v *Color) layout(c *coder) {
	c.U16(&v.Red)
	c.U16(&v.Green)
	c.U16(&v.Blue)
}

// A SetColorMapEntries says what pixels mean that aren't true colour (RFC 6143
// §7.6.2).
type SetColorMapEntries struct {
	First  uint16  // index of the first colour
	Colors []Color // at most 65535
}

func (m *SetColorMapEntries) layout(c *coder) {
	c.server(ServerSetColorMapEntries)
	c.Pad(1)
	c.U16(&m.First)
	list(c, &m.Colors, c.Len16(len(m.Colors)), colorLen, func(v *Color) { v.layout(c) })
}

// A Bell rings (RFC 6143 §7.6.3).
type Bell struct{}

func (m *Bell) layout(c *coder) { c.server(ServerBell) }

// ParseClientMessage reads the message that b begins with, as a viewer sends
// it after the handshake, and returns it and its length. PointerEvents have
// six bytes to it. The error wraps [ErrMalformed] for what has no type in
// this package, [ErrLimit] for what is beyond the message's own limits, or
// [io.ErrUnexpectedEOF] if b ends before the message does.
func ParseClientMessage(b []byte) (Message, int, error) {
	if len(b) > 5 && b[0] == byte(ClientPointerEvent) {
		b = b[:6] // the seventh byte needs an agreement that isn't known here
	}
	return parse(b, newClientMessage, "client")
}

// ParseServerMessage reads the message that b begins with, as a server sends
// it after the handshake, and returns it and its length. Of a
// FramebufferUpdate that is the head; see [ParseRectangle] for what follows.
// The errors are those of [ParseClientMessage].
func ParseServerMessage(b []byte) (Message, int, error) {
	return parse(b, newServerMessage, "server")
}

// parse reads a message.
func parse(b []byte, empty func([]byte) Message, peer string) (Message, int, error) {
	if len(b) == 0 {
		return nil, 0, proto.Short(1)
	}
	m := empty(b)
	if m == nil {
		return nil, 0, fmt.Errorf("%w: %s message %d has no known layout", ErrMalformed, peer, b[0])
	}
	c := coder{Coder: proto.Read(b)}
	m.layout(&c)
	n, err := c.Parsed(len(b))
	if err != nil {
		return nil, 0, err
	}
	return m, n, nil
}

// newClientMessage is an empty message of the type that b begins with; nil if
// this package has none.
func newClientMessage(b []byte) Message {
	if b[0] == byte(ClientQEMU) && len(b) > 1 && b[1] == 1 {
		return new(QEMUAudioControl)
	}
	if f := clientMessages[b[0]].new; f != nil {
		return f()
	}
	return nil
}

// newServerMessage is newClientMessage for a server's.
func newServerMessage(b []byte) Message {
	if f := serverMessages[b[0]].new; f != nil {
		return f()
	}
	return nil
}

// be16 and be32 read numbers where there are enough bytes for sure.
func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
