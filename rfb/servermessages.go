package rfb

import "encoding/binary"

// A FramebufferUpdate is the head of an update: as many rectangles follow it
// (RFC 6143 §7.6.1). See [Rectangle].
type FramebufferUpdate struct {
	// Rectangles is how many follow; 65535 if a rectangle with
	// [EncodingLastRect] ends them.
	Rectangles uint16
}

// AppendBinary implements [Message].
func (m FramebufferUpdate) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *FramebufferUpdate) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *FramebufferUpdate) layout(c *coder) {
	c.server(ServerFramebufferUpdate)
	c.pad(1)
	c.u16(&m.Rectangles)
}

// A Color is an entry of a colour map, 65535 being the most of each.
type Color struct {
	Red, Green, Blue uint16 // 0 to 65535
}

const colorLen = 6

func (v *Color) layout(c *coder) {
	c.u16(&v.Red)
	c.u16(&v.Green)
	c.u16(&v.Blue)
}

// A SetColorMapEntries says what pixels mean that aren't true colour (RFC 6143
// §7.6.2).
type SetColorMapEntries struct {
	First  uint16  // index of the first colour
	Colors []Color // at most 65535
}

// AppendBinary implements [Message].
func (m SetColorMapEntries) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *SetColorMapEntries) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *SetColorMapEntries) layout(c *coder) {
	c.server(ServerSetColorMapEntries)
	c.pad(1)
	c.u16(&m.First)
	list(c, &m.Colors, c.len16(len(m.Colors)), colorLen, func(v *Color) { v.layout(c) })
}

// A Bell rings (RFC 6143 §7.6.3).
type Bell struct{}

// AppendBinary implements [Message].
func (m Bell) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *Bell) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *Bell) layout(c *coder) { c.server(ServerBell) }

// appendMessage is AppendBinary of every message.
func appendMessage(b []byte, m Message) ([]byte, error) {
	c := coder{b: b}
	m.layout(&c)
	return c.appended(b)
}

// readMessage is UnmarshalBinary of every message.
func readMessage(b []byte, m Message) error {
	c := coder{b: b, read: true}
	m.layout(&c)
	return c.readAll()
}

// ParseClientMessage reads the message that b begins with, as a viewer sends
// it after the handshake, and returns it and its length. PointerEvents have
// six bytes to it. The error wraps [ErrMalformed] for what has no layout that
// is public, [ErrLimit] for what is beyond the message's own limits, or is
// [io.ErrUnexpectedEOF] if b ends before the message does.
func ParseClientMessage(b []byte) (Message, int, error) {
	p := parseClient(b)
	return p.message, p.n, p.err
}

// ParseServerMessage reads the message that b begins with, as a server sends
// it after the handshake, and returns it and its length. Of a
// FramebufferUpdate that is the head; see [ParseRectangle] for what follows.
// The errors are those of [ParseClientMessage].
func ParseServerMessage(b []byte) (Message, int, error) {
	p := parseServer(b)
	return p.message, p.n, p.err
}

// parsed is what came of reading a message.
type parsed struct {
	message Message
	n       int // its length
	short   int // with io.ErrUnexpectedEOF: at least so many more bytes are needed
	err     error
}

func parseClient(b []byte) parsed {
	if len(b) > 5 && b[0] == byte(ClientPointerEvent) {
		b = b[:6] // the seventh byte needs an agreement that isn't known here
	}
	return parse(b, newClientMessage, "client")
}

func parseServer(b []byte) parsed { return parse(b, newServerMessage, "server") }

// parse reads a message. Of some numbers a few more bytes tell which it is.
func parse(b []byte, empty func([]byte) Message, peer string) parsed {
	c := coder{b: b, read: true}
	if len(b) == 0 {
		c.next(1)
		return parsed{short: c.short, err: c.err}
	}
	m := empty(b)
	if m == nil {
		c.fail(ErrMalformed, "%s message %d has no known layout", peer, b[0])
		return parsed{err: c.err}
	}
	if m.layout(&c); c.err != nil {
		return parsed{short: c.short, err: c.err}
	}
	return parsed{message: m, n: len(b) - len(c.b)}
}

// newClientMessage is an empty message of the type that b begins with; nil if
// its layout isn't public.
func newClientMessage(b []byte) Message {
	switch ClientMessageType(b[0]) {
	case ClientQEMU:
		if len(b) > 1 && b[1] == 1 {
			return new(QEMUAudioControl)
		}
	case ClientTight2:
		if !tight2Prefix(b) {
			return new(KasmSetMaxVideoResolution)
		}
	case ClientGII:
		if len(b) > 1 {
			return newGII(FromViewer, b[1]&^giiBig)
		}
	}
	if f := clientMessages[b[0]].new; f != nil {
		return f()
	}
	return nil
}

// newServerMessage is newClientMessage for a server's.
func newServerMessage(b []byte) Message {
	switch ServerMessageType(b[0]) {
	case ServerTight2:
		if !tight2Prefix(b) {
			return new(MonitorInfo)
		}
	case ServerGII:
		if len(b) > 1 {
			return newGII(FromServer, b[1]&^giiBig)
		}
	}
	if f := serverMessages[b[0]].new; f != nil {
		return f()
	}
	return nil
}

// newGII is an empty gii message of a type.
func newGII(from Direction, kind uint8) Message {
	switch {
	case kind == giiVersion:
		return new(GIIVersion)
	case kind == giiCreate && from == FromViewer:
		return new(GIICreate)
	case kind == giiCreate:
		return new(GIICreated)
	case kind == giiDestroy && from == FromViewer:
		return new(GIIDestroy)
	case kind == giiInject && from == FromViewer:
		return new(GIIInject)
	}
	return new(GII)
}

// be16 and be32 read numbers where there are enough bytes for sure.
func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
