package rfb

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"vda.internal/shadow/rfb/internal/proto"
)

// A clientFilter turns what a viewer sends into what a server may receive. It
// reads a stream of bytes, however that is cut, and writes messages of its own
// into out; not one byte is copied across.
//
// It knows no clock and no connection: its owner calls feed with what the
// viewer sent and the time, sends out, empties it, and calls feed again at the
// time that wake tells, or when there is more.
//
// It allocates nothing in a session that goes on. What noVNC sends has a path of
// its own, quick, for messages that came as a whole (BenchmarkClientFilter).
type clientFilter struct {
	agreed  *agreed
	ownName bool                    // the viewer is shown a name of our own
	onDrop  func(ClientMessageType) // may be nil
	out     []byte                  // what the server is to receive next

	zero   time.Time                  // of the first feed, from which times are counted
	offset int64                      // bytes taken from the viewer
	head   [4 + 4*maxEncodingsIn]byte // the message being read, as far as it is needed
	have   int                        // bytes of head
	need   int                        // bytes of head until something can be decided
	skip   int                        // bytes of the message to be passed over
	part   int                        // bytes that were, since begun
	begun  time.Duration              // when its first byte came, or the first after its last whole part
	before int                        // type of the message before it; -1: it is the first

	messages, fulls, encodings, formats, drops bucket

	re      reformat
	wants   []byte // the viewer's list of encodings, as it is on the wire
	resumed bool   // the viewer has seen another server before
	fresh   bool   // the server can begin zlib streams anew with each rectangle
	exact   bool   // what the server was told of them fits any format; see relist

	full    Rect        // a full update that is owed; empty: none
	next    []Encoding  // encodings that are owed
	nextSet encodingSet // the same as a set
	owed    bool        // next is to be sent
	sent    []Encoding  // encodings the server was told last
}

// newClientFilter returns a filter whose out already holds the SetPixelFormat
// that every session begins with. offset is how many bytes the viewer has sent
// before.
func newClientFilter(a *agreed, ownName bool, onDrop func(ClientMessageType), offset int64) *clientFilter {
	f := &clientFilter{
		agreed: a, ownName: ownName, onDrop: onDrop, offset: offset, before: -1,
		messages:  newBucket(messageRate),
		fulls:     newBucket(fullRate),
		encodings: newBucket(encodingsRate),
		formats:   newBucket(formatsRate),
		drops:     newBucket(dropRate),
	}
	f.exact, f.re.format = true, pinned
	f.out, _ = AppendMessage(nil, &SetPixelFormat{pinned})
	return f
}

// feed does what is due and reads p, or as much of it as the rate of messages
// allows; the rest is to be fed again at the time that wake tells. An error is
// a *ProtocolError and final.
func (f *clientFilter) feed(at time.Time, p []byte) (int, error) {
	if f.zero.IsZero() {
		f.zero = at
	}
	now := at.Sub(f.zero)
	if f.inside() && now-f.begun >= messageTimeout {
		return 0, f.violation(fmt.Errorf("%w: %v not complete after %v", ErrLimit, f.kind(), messageTimeout))
	}
	f.pay(now)
	n := 0
	for n < len(p) {
		var used int
		var err error
		if !f.inside() {
			if clientMessages[p[n]].verdict != dropped && !f.messages.take(now) {
				break
			}
			used, err = f.quick(now, p[n:])
		}
		if used == 0 {
			used, err = f.step(now, p[n:])
		}
		n += used
		f.offset += int64(used)
		if err != nil {
			return n, f.violation(err)
		}
	}
	return n, nil
}

// quick takes the message that p begins with if it is one of noVNC's and lies in
// p as a whole; else it begins one, of which step takes the bytes as they come,
// and returns 0. Both have the same effect.
func (f *clientFilter) quick(now time.Duration, p []byte) (int, error) {
	switch kind := ClientMessageType(p[0]); {
	case kind == ClientFramebufferUpdateRequest && len(p) >= framebufferUpdateRequestLen:
		f.before = int(kind)
		return framebufferUpdateRequestLen, f.request(now, p[:framebufferUpdateRequestLen])
	case kind == ClientPointerEvent || kind == ClientKeyEvent:
		if n := int(clientMessages[kind].head); len(p) >= n {
			f.before = int(kind)
			return n, f.count(now, kind)
		}
	case kind == ClientSetEncodings && len(p) >= setEncodingsLen:
		if n := int(be16(p[2:])); n <= maxEncodingsIn && len(p) >= setEncodingsLen+4*n {
			f.before = int(kind)
			f.encode(now, p[setEncodingsLen:setEncodingsLen+4*n])
			return setEncodingsLen + 4*n, nil
		}
	}
	f.begun, f.need = now, 1
	return 0, nil
}

// wake is when feed must be called again though nothing came; zero means
// never. held says that bytes are waiting to be fed again.
func (f *clientFilter) wake(held bool) time.Time {
	var at time.Time
	earliest := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if f.inside() {
		earliest(f.zero.Add(f.begun + messageTimeout))
	}
	if held {
		earliest(f.zero.Add(f.messages.next()))
	}
	if t, ok := f.due(); ok {
		earliest(f.zero.Add(t))
	}
	if !f.full.Empty() && !f.holds() {
		earliest(f.zero.Add(f.fulls.next()))
	}
	if f.owed && !f.holds() {
		earliest(f.zero.Add(f.encodings.next()))
	}
	if t := f.agreed.fences.next(); !t.IsZero() {
		earliest(t)
	}
	return at
}

// inside reports whether a message was begun and is not complete.
func (f *clientFilter) inside() bool { return f.need > 0 }

// kind is the type of the message being read.
func (f *clientFilter) kind() ClientMessageType { return ClientMessageType(f.head[0]) }

func (f *clientFilter) violation(err error) error {
	return &ProtocolError{FromViewer, f.offset, err}
}

// step takes some of p, which isn't empty, into the message being read.
func (f *clientFilter) step(now time.Duration, p []byte) (int, error) {
	if f.have < f.need {
		n := copy(f.head[f.have:f.need], p)
		f.have += n
		if f.have < f.need {
			return n, nil
		}
		return n, f.decide(now)
	}
	n := min(f.skip, len(p))
	f.skip -= n
	if f.part += n; f.part >= skipPart { // a long one takes its time over a slow line
		f.begun, f.part = now, 0
	}
	if f.skip == 0 {
		f.done()
	}
	return n, nil
}

// done is the end of a message.
func (f *clientFilter) done() {
	f.before = int(f.head[0])
	f.have, f.need, f.skip, f.part = 0, 0, 0, 0
}

// more asks for bytes of head, up to n in all. It reports false if they are
// there already.
func (f *clientFilter) more(n int) bool {
	if f.have >= n {
		return false
	}
	f.need = n
	return true
}

// decide looks at a message of which all bytes asked for have come.
func (f *clientFilter) decide(now time.Duration) error {
	kind := f.kind()
	v := f.verdict(kind)
	switch v {
	case unknown:
		return fmt.Errorf("%w: %v has no known length; it comes %s", ErrMalformed, kind, f.place())
	case forbidden:
		return fmt.Errorf("%w: %v", ErrForbidden, kind)
	}
	if f.more(int(clientMessages[kind].head)) {
		return nil
	}
	switch kind {
	case ClientSetPixelFormat:
		return f.setPixelFormat(now)
	case ClientSetEncodings:
		return f.setEncodings(now)
	case ClientFramebufferUpdateRequest:
		if err := f.request(now, f.head[:f.have]); err != nil {
			return err
		}
		f.done()
		return nil
	case ClientFence:
		return f.fence(now)
	}
	n, err := f.length(kind)
	if err != nil {
		return err
	}
	if v == dropped {
		return f.drop(now, kind, n-f.have)
	}
	return f.continuous(now)
}

// place says after what the message being read comes: the length of that one is
// what a viewer and this package may have taken for another. None of the bytes
// is told, for they may be what somebody has typed.
func (f *clientFilter) place() string {
	if f.before < 0 {
		return "first"
	}
	return "after a " + ClientMessageType(f.before).String()
}

// verdict is what becomes of a viewer's message. What the server hasn't
// confirmed yet goes nowhere; what the viewer was never told it may use is
// forbidden.
func (f *clientFilter) verdict(kind ClientMessageType) verdict {
	v := clientMessages[kind].verdict
	switch knows := f.agreed.knows; {
	case v != agreedTo:
		return v
	case !knows(askedFences):
		return forbidden
	case kind == ClientEnableContinuousUpdates && !knows(hasUpdates):
		return dropped
	}
	return passes
}

// length is the whole length of a message that is dropped, once its head is
// there.
func (f *clientFilter) length(kind ClientMessageType) (int, error) {
	head := int(clientMessages[kind].head)
	switch kind {
	case ClientCutText:
		n := int64(int32(be32(f.head[4:])))
		if n < 0 { // extended clipboard: as many bytes, flags of four bytes first
			if n = -n; n < 4 || n > math.MaxInt32 {
				return 0, fmt.Errorf("%w: extended clipboard of %d bytes", ErrMalformed, n)
			}
		}
		if n > maxClientCutText {
			return 0, fmt.Errorf("%w: clipboard of %d bytes", ErrLimit, n)
		}
		return head + int(n), nil
	case ClientSetDesktopSize:
		return head + 16*int(f.head[6]), nil
	case ClientQEMU:
		return f.qemuLength()
	}
	return head, nil
}

// qemuLength is the length of QEMU's messages: the second byte is a type of
// its own, and audio has an operation after it.
func (f *clientFilter) qemuLength() (int, error) {
	op := be16(f.head[2:])
	switch sub := f.head[1]; {
	case sub == 0: // extended key
		return 12, nil
	case sub == 1 && op <= 1: // audio on, off
		return 4, nil
	case sub == 1 && op == 2: // audio format
		return 10, nil
	case sub == 1:
		return 0, fmt.Errorf("%w: QEMU audio operation %d", ErrMalformed, op)
	default:
		return 0, fmt.Errorf("%w: QEMU message %d", ErrMalformed, sub)
	}
}

// drop forgets a message of which n more bytes will come.
func (f *clientFilter) drop(now time.Duration, kind ClientMessageType, n int) error {
	if err := f.count(now, kind); err != nil {
		return err
	}
	if f.skip = n; n == 0 {
		f.done()
	}
	return nil
}

// count counts a message that is dropped.
func (f *clientFilter) count(now time.Duration, kind ClientMessageType) error {
	if !f.drops.take(now) {
		return fmt.Errorf("%w: more than %d messages in %v that view-only drops", ErrForbidden, dropRate.n, dropRate.per)
	}
	if f.onDrop != nil {
		f.onDrop(kind)
	}
	return nil
}

// setEncodings waits for the whole list of a viewer's encodings.
func (f *clientFilter) setEncodings(now time.Duration) error {
	n := int(be16(f.head[2:]))
	if n > maxEncodingsIn {
		return fmt.Errorf("%w: SetEncodings with %d encodings", ErrLimit, n)
	}
	if f.more(setEncodingsLen + 4*n) {
		return nil
	}
	f.encode(now, f.head[setEncodingsLen:f.have])
	f.done()
	return nil
}

// list is the viewer's list of encodings, as far as the server may use it.
func (f *clientFilter) list() []byte {
	if f.resumed {
		return stateless(f.wants, f.fresh)
	}
	return f.wants
}

// reduce makes next what the server may be asked for of the viewer's list.
func (f *clientFilter) reduce(exact bool) {
	f.next, f.nextSet = asksFor(f.next, f.list(), f.ownName, exact)
	if f.resumed && f.fresh && slices.Contains(f.next, EncodingTight) {
		f.next = append(f.next, EncodingFreshStreams)
	}
}

// encode notes what a list of encodings is reduced to; pay sends it. One that
// makes no difference isn't sent again.
func (f *clientFilter) encode(now time.Duration, list []byte) {
	f.wants = append(f.wants[:0], list...)
	f.reduce(f.exact)
	f.owed = !slices.Equal(f.next, f.sent)
	f.pay(now)
}

// request passes an incremental request on at once and notes any other, which
// costs the server a whole picture; pay sends it.
func (f *clientFilter) request(now time.Duration, b []byte) error {
	r := parseRect(b[2:]).clamp(f.agreed.framebuffer())
	switch {
	case r.Empty():
		return f.count(now, ClientFramebufferUpdateRequest)
	case b[1] != 0 && f.holds():
		f.re.later = f.re.later.union(r)
	case b[1] != 0:
		f.agreed.turn.requested()
		f.re.watched = f.re.watched.union(r)
		f.out = append(f.out, byte(ClientFramebufferUpdateRequest), 1,
			byte(r.X>>8), byte(r.X), byte(r.Y>>8), byte(r.Y), byte(r.Width>>8), byte(r.Width), byte(r.Height>>8), byte(r.Height))
	default:
		f.full = f.full.union(r)
		f.re.watched = f.re.watched.union(r)
		f.pay(now)
	}
	return nil
}

// fence passes the answer to a fence on, and drops what else a viewer may send
// as one. The answer is written from what the server sent, not from what the
// viewer did.
func (f *clientFilter) fence(now time.Duration) error {
	n := int(f.head[fenceLen-1])
	if n > maxFence {
		return fmt.Errorf("%w: fence of %d bytes, at most %d", ErrLimit, n, maxFence)
	}
	if f.more(fenceLen + n) {
		return nil
	}
	flags := FenceFlags(be32(f.head[4:]))
	if flags&FenceRequest != 0 {
		return f.drop(now, ClientFence, 0)
	}
	w, ok := f.agreed.fences.answer(f.head[fenceLen:f.have])
	if !ok { // or answered for already
		return f.drop(now, ClientFence, 0)
	}
	f.answer(flags, &w)
	f.done()
	return nil
}

// answer writes the answer to a fence.
func (f *clientFilter) answer(flags FenceFlags, w *waitingFence) {
	m := Fence{Flags: flags & w.flags, Payload: w.payload()}
	c := coder{Coder: proto.Append(f.out)}
	m.layout(&c)
	f.out = c.B
}

// continuous asks for updates of a part of the framebuffer, or for no more.
func (f *clientFilter) continuous(now time.Duration) error {
	var m EnableContinuousUpdates
	if err := ReadMessage(f.head[:f.have], &m); err != nil {
		return err
	}
	if m.Rect = m.Rect.clamp(f.agreed.framebuffer()); m.Enable && m.Rect.Empty() {
		return f.drop(now, ClientEnableContinuousUpdates, 0)
	}
	f.re.flowing = f.re.flowing || m.Enable
	f.out, _ = AppendMessage(f.out, &m)
	f.done()
	return nil
}

// late answers fences that the viewer should have answered: the server must
// not wait for it any longer.
func (f *clientFilter) late(now time.Duration) {
	for f.agreed.fences.some.Load() {
		w, ok := f.agreed.fences.late(f.zero.Add(now))
		if !ok {
			return
		}
		f.answer(FenceBlockBefore|FenceBlockAfter, &w)
	}
}

// pay sends what is owed, if it is time.
func (f *clientFilter) pay(now time.Duration) {
	f.late(now)
	f.renew()
	if f.reformat(now); f.holds() {
		return
	}
	if f.owed && f.encodings.take(now) {
		f.sendEncodings()
	}
	if !f.full.Empty() && f.fulls.take(now) {
		// The framebuffer may have shrunk since.
		m := FramebufferUpdateRequest{Rect: f.full.clamp(f.agreed.framebuffer())}
		if f.full = (Rect{}); !m.Rect.Empty() {
			f.agreed.turn.unsigned(m.Rect)
			f.sendRequest(m)
		}
	}
}

// sendEncodings tells the server the encodings that are owed.
func (f *clientFilter) sendEncodings() {
	f.agreed.allow(f.nextSet) // before the server can know
	if !f.agreed.knows(askedFences) && slices.Contains(f.next, EncodingFence) {
		f.agreed.learn(askedFences)
	}
	f.out = append(slices.Grow(f.out, 4+4*len(f.next)), byte(ClientSetEncodings), 0, 0, byte(len(f.next)))
	for _, e := range f.next {
		f.out = binary.BigEndian.AppendUint32(f.out, uint32(e))
	}
	f.sent = append(f.sent[:0], f.next...)
	f.re.shaped = f.re.shaped || slices.Contains(f.sent, EncodingCursor)
	f.owed = false
}
