package rfb

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// An Event is something in a trace: the handshake, a message, or a rectangle.
type Event struct {
	At     time.Duration // when its last byte came
	From   Direction     // who sent it
	Offset int64         // of its first byte among those that the peer sent
	Len    int           // bytes

	// One of these is set. Rectangles follow the FramebufferUpdate that they
	// belong to.
	Handshake *Handshake
	Message   Message    // without the rectangles of an update
	Rectangle *Rectangle // as it stands on the wire
}

// Events are the trace's handshake, as one event when it is over, and then each
// message and rectangle, in the order in which they were complete. It ends with
// an error, and an Event that says where, if something can't be read; the error
// is a [*ProtocolError] and wraps [io.ErrUnexpectedEOF] if the trace ends inside
// a message.
//
// Which pixel format is in force can't be known for certain: a SetPixelFormat
// counts from the server's next message on, or from the server's answer if it
// came after a fence that asks for that.
func (t *Trace) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		d := newDissector(t, func(e Event) bool { return yield(e, nil) })
		if err := d.run(); err != nil && !d.stopped {
			p, _ := errors.AsType[*ProtocolError](err)
			e := Event{At: d.now}
			if p != nil {
				e.From, e.Offset = p.Direction, p.Offset
			}
			yield(e, err)
		}
	}
}

// A dissector takes a trace apart.
type dissector struct {
	t        *Trace
	each     func(Event) bool
	stopped  bool
	now      time.Duration
	shake    *Handshake
	streams  [3][]byte // by direction: what isn't read yet
	enough   [3]int    // bytes of it without which reading on is no use
	offsets  [3]int64  // of its first byte
	complete [3]int64  // offset after the last complete message

	format  PixelFormat
	next    *PixelFormat // what the viewer has asked for and isn't in force
	sync    bool         // next waits for the server's answer to a fence
	rects   int          // left in the current update
	body    *endFinder   // of the current rectangle; nil: not begun
	mouse   bool         // the server has confirmed ExtendedMouse
	noticed bool         // the viewer's last message was a fence with SyncNext
}

func newDissector(t *Trace, each func(Event) bool) *dissector {
	return &dissector{t: t, each: each, shake: &Handshake{waits: FromServer}}
}

// run returns how it ended; nil if every byte was read.
func (d *dissector) run() error {
	for _, c := range d.t.Chunks {
		d.now = c.At
		if err := d.chunk(c); err != nil || d.stopped {
			return err
		}
	}
	switch from := d.shake.waits; {
	case d.shake.Done():
	case d.shake.ended: // without a reason
		if err := d.begin(); err != nil {
			return err
		}
	default:
		return &ProtocolError{from, d.shake.Len(from), fmt.Errorf("the trace ends inside the handshake: %w", io.ErrUnexpectedEOF)}
	}
	for _, from := range []Direction{FromViewer, FromServer} {
		if len(d.streams[from]) > 0 || from == FromServer && d.rects > 0 {
			return &ProtocolError{from, d.offsets[from], fmt.Errorf("the trace ends inside a message: %w", io.ErrUnexpectedEOF)}
		}
	}
	return nil
}

func (d *dissector) chunk(c Chunk) error {
	if d.shake.Done() {
		d.streams[c.From] = append(d.streams[c.From], c.Data...)
		if d.shake.Refused { // no messages follow, however the rest is cut
			return nil
		}
		return d.messages(c.From)
	}
	if err := d.shake.Feed(c.From, c.Data); err != nil {
		return err
	}
	if !d.shake.Done() {
		return nil
	}
	return d.begin()
}

// begin shows the handshake, which is over, and reads what came after it.
func (d *dissector) begin() error {
	d.format = d.shake.Init.Format
	for _, from := range []Direction{FromViewer, FromServer} {
		d.offsets[from] = d.shake.Len(from)
		d.complete[from] = d.offsets[from]
		d.streams[from] = append([]byte(nil), d.shake.Rest(from)...)
	}
	d.emit(Event{From: FromServer, Len: int(d.offsets[FromServer]), Handshake: d.shake}, 0)
	if d.shake.Refused {
		return nil
	}
	for _, from := range []Direction{FromViewer, FromServer} {
		if err := d.messages(from); err != nil {
			return err
		}
	}
	return nil
}

// emit shows an event that begins at an offset.
func (d *dissector) emit(e Event, offset int64) {
	e.At, e.Offset = d.now, offset
	d.stopped = d.stopped || !d.each(e)
}

// messages reads what a peer has completed.
func (d *dissector) messages(from Direction) error {
	for !d.stopped && len(d.streams[from]) > d.enough[from] {
		read := d.clientMessage
		switch {
		case from == FromServer && d.rects > 0:
			read = d.rectangle
		case from == FromServer:
			read = d.serverMessage
		}
		e, short, err := read(d.streams[from])
		if errors.Is(err, io.ErrUnexpectedEOF) {
			d.enough[from] = len(d.streams[from]) + short - 1
			return nil
		}
		if err != nil {
			return &ProtocolError{from, d.offsets[from], err}
		}
		e.From = from
		offset := d.offsets[from]
		d.enough[from] = 0
		d.streams[from] = d.streams[from][e.Len:]
		d.offsets[from] += int64(e.Len)
		if from == FromViewer || d.rects == 0 {
			d.complete[from] = d.offsets[from]
		}
		d.emit(e, offset)
	}
	return nil
}

// clientMessage, serverMessage and rectangle read what b begins with. If b ends
// before it does, they return io.ErrUnexpectedEOF and how many bytes are needed
// at least, so that a large message isn't read again for each of its chunks.
func (d *dissector) clientMessage(b []byte) (Event, int, error) {
	p := parseClient(b)
	if p.err != nil {
		return Event{}, p.short, p.err
	}
	if m, ok := p.message.(*PointerEvent); ok && d.mouse && m.Buttons&extendedButtons != 0 {
		if len(b) <= p.n {
			return Event{}, 1, io.ErrUnexpectedEOF
		}
		m.Extended, m.More = true, b[p.n]
		p.n++
	}
	synced := d.noticed
	d.noticed = false
	switch m := p.message.(type) {
	case *SetPixelFormat:
		if err := m.Format.check(); err != nil {
			return Event{}, 0, err
		}
		d.next, d.sync = &m.Format, synced
	case *Fence:
		d.noticed = m.Flags&(FenceRequest|FenceSyncNext) == FenceRequest|FenceSyncNext
	}
	return Event{Message: p.message, Len: p.n}, 0, nil
}

func (d *dissector) serverMessage(b []byte) (Event, int, error) {
	p := parseServer(b)
	if p.err != nil {
		return Event{}, p.short, p.err
	}
	if f, ok := p.message.(*Fence); ok && f.Flags&FenceRequest == 0 {
		d.sync = false
	}
	if d.next != nil && !d.sync {
		d.format, d.next = *d.next, nil
	}
	if u, ok := p.message.(*FramebufferUpdate); ok {
		d.rects = int(u.Rectangles)
	}
	return Event{Message: p.message, Len: p.n}, 0, nil
}

func (d *dissector) rectangle(b []byte) (Event, int, error) {
	if len(b) < rectangleHeadLen {
		return Event{}, rectangleHeadLen - len(b), io.ErrUnexpectedEOF
	}
	if d.body == nil {
		var err error
		if d.body, err = newEndFinder(parseRect(b), Encoding(be32(b[8:])), d.format); err != nil {
			return Event{}, 0, err
		}
	}
	if _, err := d.body.end(b[rectangleHeadLen:]); err != nil {
		return Event{}, 1, err
	}
	d.body = nil
	r, n, err := ParseRectangle(b, d.format)
	if err != nil {
		return Event{}, 0, err
	}
	rects := 1
	if r.Encoding.many() {
		n, _ := r.Rect.stands()
		rects = int(n)
	}
	if d.rects -= rects; d.rects < 0 {
		return Event{}, 0, fmt.Errorf("%w: %v for %d rectangles where %d are left", ErrMalformed, r.Encoding, rects, rects+d.rects)
	}
	switch body := r.Body.(type) {
	case *VMwareDisplayMode:
		if err := body.Format.check(); err != nil {
			return Event{}, 0, err
		}
		d.format = body.Format
	case *NoBody:
		switch r.Encoding {
		case EncodingLastRect:
			d.rects = 0
		case EncodingExtendedMouse:
			d.mouse = true
		}
	}
	return Event{Rectangle: &r, Len: n}, 0, nil
}

// Name is the message's or the encoding's.
func (e Event) Name() string {
	switch {
	case e.Handshake != nil:
		return "Handshake"
	case e.Rectangle != nil:
		return e.Rectangle.Encoding.String()
	case e.Message == nil:
		return ""
	}
	b, err := e.Message.AppendBinary(nil)
	if err != nil || len(b) == 0 {
		return fmt.Sprintf("%T", e.Message)
	}
	if e.From == FromViewer {
		return ClientMessageType(b[0]).String()
	}
	return ServerMessageType(b[0]).String()
}

// String is one line: when, from whom, where in the stream, how long, and what.
// Pixels and other bytes are told by their number.
func (e Event) String() string {
	arrow := "S>V"
	if e.From == FromViewer {
		arrow = "V>S"
	}
	s := fmt.Sprintf("%8.3f %s %8d %6d  ", e.At.Seconds(), arrow, e.Offset, e.Len)
	switch {
	case e.Handshake != nil:
		h := e.Handshake
		if h.Refused {
			return s + fmt.Sprintf("Handshake %v %v refused: %q", h.ViewerVersion, h.Security, cleanText(h.Reason, maxReason))
		}
		return s + fmt.Sprintf("Handshake %v %v %dx%d %v %q", h.ViewerVersion, h.Security, h.Init.Width, h.Init.Height,
			h.Init.Format, cleanText(h.Init.Name, maxName))
	case e.Rectangle != nil:
		return s + "  " + e.Name() + " " + e.Rectangle.Rect.String() + fields(e.Rectangle.Body)
	case e.Message != nil:
		return s + e.Name() + fields(e.Message)
	}
	return s
}
