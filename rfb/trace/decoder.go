package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
	"vda.internal/shadow/rfb/vendors"
)

// A Decoder makes events of what two peers send, however that is cut: it goes on
// where it was with each chunk, and looks at each byte of a rectangle twice, of a
// message a few times. The zero Decoder begins with the handshake. It is not safe
// for concurrent use.
//
// Which pixel format is in force can't be known for certain: a SetPixelFormat
// counts from the server's next message on, or from the server's answer if it
// came after a fence that asks for that.
type Decoder struct {
	now      time.Duration
	err      error // that Feed has returned; final
	shake    rfb.Handshake
	begun    bool      // the handshake is over and its event returned, or there is none
	streams  [3][]byte // by direction: what isn't read yet
	enough   [3]int    // bytes of it without which reading on is no use
	offsets  [3]int64  // of its first byte
	complete [3]int64  // offset after the last complete message
	examined int64     // bytes that were looked at, each as often as it was

	format  rfb.PixelFormat
	next    *rfb.PixelFormat // what the viewer has asked for and isn't in force
	sync    bool             // next waits for the server's answer to a fence
	rects   int              // left in the current update
	body    *rfb.RectangleScanner
	scanned int  // bytes of body that it has taken
	mouse   bool // the server has confirmed ExtendedMouse
	noticed bool // the viewer's last message was a fence with SyncNext
}

// maxHeld is how long a message or a rectangle may be.
const maxHeld = 256 << 20

const headLen = 12 // of a rectangle

var peers = [...]rfb.Direction{rfb.FromViewer, rfb.FromServer}

// NewDecoder returns a Decoder that begins after a handshake, whose ServerInit had
// the pixel format f. Offsets are counted from there.
func NewDecoder(f rfb.PixelFormat) *Decoder { return &Decoder{begun: true, format: f} }

// Handshake is what is known of the handshake. It changes with what is fed until it
// is done; don't change it.
func (d *Decoder) Handshake() *rfb.Handshake { return &d.shake }

// Feed takes a chunk, of which it keeps nothing, and returns the events that are
// complete with it: the handshake, as one event when it is over, and then each
// message and rectangle. Those that the caller leaves the loop before come first
// in the next one.
//
// An error comes with an Event that says where, and is final. It is a
// [*rfb.ProtocolError], which wraps [rfb.ErrMalformed], [rfb.ErrSecurity] for a
// handshake after which nothing can be read, or [rfb.ErrLimit], also for a message
// of more than 256 MiB.
func (d *Decoder) Feed(c Chunk) iter.Seq2[Event, error] {
	if d.err == nil {
		d.err = d.take(c)
	}
	return func(yield func(Event, error) bool) {
		if d.shake.Done() && !d.begun && d.err == nil && !yield(d.begin(), nil) {
			return
		}
		for _, from := range peers {
			for d.err == nil && d.readable(from) {
				e, err := d.read(from)
				if err != nil {
					d.err = err
				} else if e.Len > 0 && !yield(e, nil) {
					return
				}
			}
		}
		if d.err != nil {
			yield(d.where(d.err), d.err)
		}
	}
}

// take adds a chunk to what isn't read.
func (d *Decoder) take(c Chunk) error {
	if c.From != rfb.FromViewer && c.From != rfb.FromServer {
		return pkg.Errorf("%v is no direction", c.From)
	}
	d.now = c.At
	switch {
	case !d.begun && !d.shake.Done():
		return d.shake.Feed(c.From, c.Data)
	case d.shake.Refused: // no messages follow
		return nil
	}
	d.streams[c.From] = append(d.streams[c.From], c.Data...)
	return nil
}

// begin takes over from the handshake and returns its event.
func (d *Decoder) begin() Event {
	d.begun = true
	d.format = d.shake.Init.Format
	for _, from := range peers {
		d.offsets[from] = d.shake.Len(from)
		d.complete[from] = d.offsets[from]
		if !d.shake.Refused {
			d.streams[from] = slices.Concat(d.shake.Rest(from), d.streams[from])
		}
	}
	return Event{At: d.now, From: rfb.FromServer, Len: int(d.offsets[rfb.FromServer]), Handshake: &d.shake}
}

// End returns nil if the session may end with what was fed: between two messages
// of each peer, or after a handshake that the server refused. Else the error is a
// [*rfb.ProtocolError] and wraps [io.ErrUnexpectedEOF], or it is that of Feed.
func (d *Decoder) End() error {
	switch {
	case d.err != nil:
		return d.err
	case !d.begun:
		p, ok := errors.AsType[*rfb.ProtocolError](d.shake.End())
		if !ok {
			return nil
		}
		return ends(p.Direction, p.Offset, "the handshake")
	}
	for _, from := range peers {
		if len(d.streams[from]) > 0 || from == rfb.FromServer && d.rects > 0 {
			return ends(from, d.offsets[from], "a message")
		}
	}
	return nil
}

// ends is the error of a session that ends inside something.
func ends(from rfb.Direction, offset int64, what string) error {
	return &rfb.ProtocolError{Direction: from, Offset: offset, Err: fmt.Errorf("the trace ends inside %s: %w", what, io.ErrUnexpectedEOF)}
}

// where is an event that says where an error is.
func (d *Decoder) where(err error) Event {
	e := Event{At: d.now}
	if p, ok := errors.AsType[*rfb.ProtocolError](err); ok {
		e.From, e.Offset = p.Direction, p.Offset
	}
	return e
}

// readable reports whether there may be a whole message of a peer's.
func (d *Decoder) readable(from rfb.Direction) bool {
	return d.begun && len(d.streams[from]) > d.enough[from]
}

// read reads what a peer's stream begins with; the event has no length if that
// isn't whole. Then enough says when to look again, so that a large message isn't
// read again for each of its chunks.
func (d *Decoder) read(from rfb.Direction) (Event, error) {
	b := d.streams[from]
	e, err := d.parse(from, b)
	if short, ok := errors.AsType[proto.Short](err); ok {
		if d.enough[from] = len(b) + int(short) - 1; d.enough[from] < maxHeld {
			return Event{}, nil
		}
		err = fmt.Errorf("%w: a message of more than %d bytes", rfb.ErrLimit, maxHeld)
	}
	if err != nil {
		return Event{}, &rfb.ProtocolError{Direction: from, Offset: d.offsets[from], Err: err}
	}
	e.At, e.From, e.Offset = d.now, from, d.offsets[from]
	d.enough[from] = 0
	d.streams[from] = b[e.Len:]
	d.offsets[from] += int64(e.Len)
	if from == rfb.FromViewer || d.rects == 0 {
		d.complete[from] = d.offsets[from]
	}
	return e, nil
}

// parse reads what b begins with. If b ends before that does, the error is a
// [proto.Short].
func (d *Decoder) parse(from rfb.Direction, b []byte) (Event, error) {
	if from == rfb.FromServer && d.rects > 0 {
		return d.rectangle(b)
	}
	e, err := message(from, b)
	if d.examined += int64(e.Len); err != nil {
		d.examined += int64(len(b))
		return Event{}, err
	}
	if from == rfb.FromServer {
		d.serverSaid(e.Message)
		return e, nil
	}
	return d.viewerSaid(e, b)
}

// message reads the message that b begins with, whoever has defined it.
func message(from rfb.Direction, b []byte) (e Event, err error) {
	vendor := len(b) > 0 && vendors.Has(from, b[0])
	switch {
	case vendor && from == rfb.FromViewer:
		e.Vendor, e.Len, err = vendors.ParseClientMessage(b)
	case vendor:
		e.Vendor, e.Len, err = vendors.ParseServerMessage(b)
	case from == rfb.FromViewer:
		e.Message, e.Len, err = rfb.ParseClientMessage(b)
	default:
		e.Message, e.Len, err = rfb.ParseServerMessage(b)
	}
	return e, err
}

// extendedButtons is the bit of PointerEvent's Buttons that announces More.
const extendedButtons = 0x80

func (d *Decoder) viewerSaid(e Event, b []byte) (Event, error) {
	if m, ok := e.Message.(*rfb.PointerEvent); ok && d.mouse && m.Buttons&extendedButtons != 0 {
		if len(b) <= e.Len {
			return Event{}, proto.Short(1)
		}
		m.Extended, m.More = true, b[e.Len]
		e.Len++
	}
	synced := d.noticed
	d.noticed = false
	switch m := e.Message.(type) {
	case *rfb.SetPixelFormat:
		if err := m.Format.Check(); err != nil {
			return Event{}, err
		}
		d.next, d.sync = &m.Format, synced
	case *rfb.Fence:
		const both = rfb.FenceRequest | rfb.FenceSyncNext
		d.noticed = m.Flags&both == both
	}
	return e, nil
}

func (d *Decoder) serverSaid(m rfb.Message) {
	if f, ok := m.(*rfb.Fence); ok && f.Flags&rfb.FenceRequest == 0 {
		d.sync = false
	}
	if d.next != nil && !d.sync {
		d.format, d.next = *d.next, nil
	}
	if u, ok := m.(*rfb.FramebufferUpdate); ok {
		d.rects = int(u.Rectangles)
	}
}

func (d *Decoder) rectangle(b []byte) (Event, error) {
	if len(b) < headLen {
		return Event{}, proto.Short(headLen - len(b))
	}
	if d.body == nil {
		at := func(i int) uint16 { return binary.BigEndian.Uint16(b[i:]) }
		r := rfb.Rect{X: at(0), Y: at(2), Width: at(4), Height: at(6)}
		var err error
		if d.body, err = rfb.NewRectangleScanner(r, rfb.Encoding(binary.BigEndian.Uint32(b[8:])), d.format); err != nil {
			return Event{}, err
		}
	}
	n, whole, err := d.body.Scan(b[headLen+d.scanned:])
	d.scanned += n
	d.examined += int64(n)
	if err == nil && !whole {
		err = proto.Short(1)
	}
	if err != nil {
		return Event{}, err
	}
	n = headLen + d.scanned
	d.body, d.scanned = nil, 0
	d.examined += int64(n)
	r, _, err := rfb.ParseRectangle(b[:n], d.format)
	if err != nil {
		return Event{}, err
	}
	return Event{Rectangle: &r, Len: n}, d.showed(&r)
}

// showed takes what a rectangle changes for what follows.
func (d *Decoder) showed(r *rfb.Rectangle) error {
	rects := 1
	if r.Encoding == rfb.EncodingXZ || r.Encoding == rfb.EncodingXZYW { // it stands for many
		rects = int(r.Rect.X)<<16 | int(r.Rect.Y)
	}
	if d.rects -= rects; d.rects < 0 {
		return fmt.Errorf("%w: %v for %d rectangles where %d are left", rfb.ErrMalformed, r.Encoding, rects, rects+d.rects)
	}
	switch body := r.Body.(type) {
	case *rfb.VMwareDisplayMode:
		if err := body.Format.Check(); err != nil {
			return err
		}
		d.format = body.Format
	case *rfb.NoBody:
		switch r.Encoding {
		case rfb.EncodingLastRect:
			d.rects = 0
		case rfb.EncodingExtendedMouse:
			d.mouse = true
		}
	}
	return nil
}
