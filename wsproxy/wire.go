package wsproxy

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"vda.internal/shadow/internal/quiet"
)

// errStalled: the peer took nothing for the write timeout.
var errStalled = pkg.New("the viewer takes no data")

// A wire is the connection under a WebSocket. The library was given it in
// place of the connection it stands for and uses Read, Write and Close; this
// package sends whole frames past the library with send, under the mutex that
// keeps frames apart.
//
// The library must not stop the session for reasons of its own (it gives each
// of its writes five seconds), nor end it in its own way: so its Write never
// blocks and its Close doesn't close. Whoever owns the wire closes the Conn in it.
type wire struct {
	net.Conn               // as hijacked
	intake   *intake       // reads it
	patience time.Duration // for a write that makes no progress

	out    net.Conn        // what is written to: Conn, or what is under a TLS one if that lets us
	raw    syscall.RawConn // of out; nil if there is something in between, as TLS
	quick  syscall.RawConn // of out, whatever is above it; nil if it isn't a socket
	secure bool            // Conn is a TLS connection
	sealed *accepted       // gathers what it seals; nil: it writes for itself

	queue sync.Mutex
	pongs [][]byte // the newest pongs that the library wants sent

	mu     sync.Mutex  // one frame at a time
	tail   []byte      // the rest of a frame whose write expired; goes first
	dead   error       // why nothing can be sent any more
	pieces [2][]byte   // memory of sendBytes
	rest   net.Buffers // likewise

	clock     sync.Mutex
	user      time.Time // write deadline of data, by SetWriteDeadline
	last      time.Time // write deadline of everything, once the end has begun
	until     time.Time // write deadline of the write in progress, of send's own; zero: there is none
	userFrame bool      // the write in progress is bound by user
}

func newWire(c net.Conn, early []byte, patience time.Duration) *wire {
	w := &wire{Conn: c, out: c, patience: patience}
	from := c
	if under, ok := c.(interface{ NetConn() net.Conn }); ok {
		w.secure = true
		if w.sealed, _ = under.NetConn().(*accepted); w.sealed != nil {
			w.sealed.capture()
			w.out = w.sealed.Conn
		}
	} else {
		if a, ok := c.(*accepted); ok {
			w.out, from = a.Conn, a.Conn
		}
		w.raw = quiet.Raw(w.out)
	}
	if w.raw != nil || w.sealed != nil {
		w.quick = quiet.Raw(w.out)
	}
	w.intake = newIntake(from, early)
	return w
}

// Read is for the library, which gets what isn't data.
func (w *wire) Read(p []byte) (int, error) { return w.intake.Read(p) }

// maxPongs is how many pongs wait to be sent at most.
const maxPongs = 16

// Write is for the library, which writes control frames only, each in one
// call. A pong is handed on; if too many wait, it replaces the oldest (RFC
// 6455 §5.5.3). Close frames are this package's own and the library's are dropped.
func (w *wire) Write(p []byte) (int, error) {
	if len(p) > 0 && p[0] == finPong {
		w.queue.Lock()
		if len(w.pongs) == maxPongs {
			w.pongs = slices.Delete(w.pongs, 0, 1)
		}
		w.pongs = append(w.pongs, bytes.Clone(p))
		w.queue.Unlock()
		w.intake.to.ask(taskPong)
	}
	return len(p), nil
}

// nextPong takes the oldest pong that waits; nil if none does.
func (w *wire) nextPong() []byte {
	w.queue.Lock()
	defer w.queue.Unlock()
	if len(w.pongs) == 0 {
		w.pongs = nil
		return nil
	}
	pong := w.pongs[0]
	w.pongs = w.pongs[1:]
	return pong
}

// Close is for the library, which wants its Read to return.
func (w *wire) Close() error {
	return w.SetReadDeadline(time.Unix(1, 0))
}

// sendData sends a frame of the stream, whole or as header and payload, so that
// nobody need copy a payload behind its header. It is bound by the user's
// deadline too: if that expires in between, the frame counts as sent and its
// rest is kept, for a started frame has to be finished before another.
func (w *wire) sendData(pieces ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(true); err != nil {
		return err
	}
	n, err := w.sendBytes(true, pieces...)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return errFrameKept
	}
	return err
}

// errFrameKept says that a deadline expired but the frame will get through.
var errFrameKept = pkg.New("frame kept")

// sendControl sends one control frame.
func (w *wire) sendControl(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(false); err != nil {
		return err
	}
	_, err := w.sendBytes(false, frame)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.dead = err // only the last deadline is left to expire here
	}
	return err
}

// flush finishes what was begun. It is called with mu held.
func (w *wire) flush(user bool) error {
	if len(w.tail) == 0 {
		return w.dead
	}
	n, err := w.send(len(w.tail), user, func(n int) (int, error) { return w.out.Write(w.tail[n:]) })
	if w.tail = w.tail[n:]; len(w.tail) == 0 {
		w.tail = nil
	}
	return err
}

// sendBytes sends pieces. If a deadline expires and n isn't 0, the rest has
// become the tail. It is called with mu held.
func (w *wire) sendBytes(user bool, pieces ...[]byte) (n int, err error) {
	total := 0
	for _, p := range pieces {
		total += len(p)
	}
	switch {
	case w.sealed != nil:
		return w.sendSealed(user, total, pieces)
	case w.secure:
		return w.send(total, user, func(int) (int, error) {
			if err := w.seal(pieces); err != nil {
				return 0, err
			}
			return total, nil
		})
	case len(pieces) > 1 && w.raw == nil:
		b := getMemory(total)
		defer putMemory(b)
		b = b[:0]
		for _, p := range pieces {
			b = append(b, p...)
		}
		w.rest = append(w.pieces[:0], b)
	default:
		w.rest = append(w.pieces[:0], pieces...)
	}
	defer clear(w.pieces[:])
	n = w.sendNow(user, w.rest...)
	for left := n; left > 0; { // of what was sent
		first := min(left, len(w.rest[0]))
		left -= first
		if w.rest[0] = w.rest[0][first:]; len(w.rest[0]) == 0 {
			w.rest = w.rest[1:]
		}
	}
	if n == total {
		return n, nil
	}
	m, err := w.send(total-n, user, func(int) (int, error) {
		m, err := w.rest.WriteTo(w.out) // writev, and takes away what was written
		return int(m), err
	})
	n += m
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		w.tail = slices.Concat(w.rest...)
	}
	return n, err
}

// sendSealed sends what crypto/tls makes of pieces.
func (w *wire) sendSealed(user bool, total int, pieces [][]byte) (n int, err error) {
	if w.dead != nil {
		return 0, w.dead
	}
	w.sealed.expect(total)
	if err := w.seal(pieces); err != nil {
		w.dead = err
		return 0, err
	}
	records := w.sealed.take()
	defer putMemory(records)
	done := w.sendNow(user, records)
	n, err = w.send(len(records)-done, user, func(n int) (int, error) { return w.out.Write(records[done+n:]) })
	n += done
	if errors.Is(err, os.ErrDeadlineExceeded) { // what is sealed has to go
		w.tail = bytes.Clone(records[n:])
		n = total
	}
	return n, err
}

// sendNow sends what there is room for, which is nearly always all of it, and
// sets no deadline: that would cost more than small frames do. What is left, and
// what goes wrong, is send's. It is called with mu held.
func (w *wire) sendNow(user bool, pieces ...[]byte) (n int) {
	if w.quick == nil || w.dead != nil || len(pieces) > 2 || w.expiredFor(user, time.Now()) {
		return 0
	}
	var second []byte
	if len(pieces) == 2 {
		second = pieces[1]
	}
	_ = w.quick.Control(func(fd uintptr) { n, _ = quiet.Write(fd, pieces[0], second) })
	return n
}

// maxRecord is the payload of a TLS record (RFC 8446 §5.1).
const maxRecord = 16 << 10

// seal gives pieces to crypto/tls. A header has a record together with as much
// of its payload as that takes.
func (w *wire) seal(pieces [][]byte) error {
	if len(pieces) == 1 {
		_, err := w.Conn.Write(pieces[0])
		return err
	}
	b := getMemory(maxRecord)
	defer putMemory(b)
	record := b[:maxRecord]
	n := copy(record, pieces[0])
	m := copy(record[n:], pieces[1])
	if _, err := w.Conn.Write(record[:n+m]); err != nil || m == len(pieces[1]) {
		return err
	}
	_, err := w.Conn.Write(pieces[1][m:])
	return err
}

// send calls write, which is told how much is done, until all of total is
// written, for as long as the peer takes some of it now and then. It is called
// with mu held.
//
// A TLS connection can't be used after an expired write, so over TLS without a
// [Listener] a frame has to be taken whole within the write timeout and an
// expired deadline of the user is final.
func (w *wire) send(total int, user bool, write func(done int) (int, error)) (n int, err error) {
	if w.dead != nil {
		return 0, w.dead
	}
	defer w.rests()
	stalls := time.Now().Add(w.patience)
	early := 0 // expiries before their time
	for n < total {
		until := w.begin(user)
		m, err := write(n)
		n += m
		if err == nil {
			continue
		}
		now := time.Now()
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			w.dead = err
			return n, err
		case w.expired(now):
			return n, os.ErrDeadlineExceeded
		case m > 0:
			stalls, early = now.Add(w.patience), 0
		case !now.Before(stalls), early == maxEarly:
			w.dead = errStalled
			return n, errStalled
		case now.Before(until): // a deadline was moved meanwhile, or this is a TLS connection that has expired for good
			early++
		}
	}
	return n, nil
}

// maxEarly bounds the retries of a write that expires before its time.
const maxEarly = 16

// begin arms the deadline for one write, after which send looks for progress:
// a write that expires says how much of it was taken, and nothing else does.
func (w *wire) begin(user bool) (until time.Time) {
	w.clock.Lock()
	defer w.clock.Unlock()
	w.userFrame = user
	w.until = time.Now().Add(w.patience / 4)
	if w.secure && w.sealed == nil {
		w.until = time.Now().Add(w.patience)
	}
	w.arm()
	return w.until
}

// rests says that there is no write in progress any more.
func (w *wire) rests() {
	w.clock.Lock()
	defer w.clock.Unlock()
	w.until = time.Time{}
}

// arm sets the Conn's write deadline to the first of those that count, or
// leaves that to the next write. It is called with clock held.
func (w *wire) arm() {
	t := w.until
	if t.IsZero() {
		if t = w.last; t.IsZero() {
			return
		}
	}
	if w.userFrame && !w.user.IsZero() && w.user.Before(t) {
		t = w.user
	}
	if !w.last.IsZero() && w.last.Before(t) {
		t = w.last
	}
	_ = w.out.SetWriteDeadline(t) // fails on a closed connection only, and then so does the write
}

// expired reports whether a deadline of the write in progress is over: the
// user's or the last.
func (w *wire) expired(now time.Time) bool { return w.expiredFor(w.userFrame, now) }

func (w *wire) expiredFor(user bool, now time.Time) bool {
	w.clock.Lock()
	defer w.clock.Unlock()
	return user && !w.user.IsZero() && !now.Before(w.user) || !w.last.IsZero() && !now.Before(w.last)
}

// setUserDeadline is net.Conn's SetWriteDeadline, for data only.
func (w *wire) setUserDeadline(t time.Time) {
	w.clock.Lock()
	defer w.clock.Unlock()
	w.user = t
	w.arm()
}

// setLast bounds everything that is still read and written.
func (w *wire) setLast(t time.Time) {
	w.clock.Lock()
	defer w.clock.Unlock()
	w.last = t
	w.arm()
	_ = w.SetReadDeadline(t)
}

// linger tells the peer that nothing more comes and reads what it still sends,
// until it closes too or t: a connection that is closed with unread input
// resets, and the reset can overtake the close frame.
func (w *wire) linger(t time.Time) {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = w.SetReadDeadline(t)
		var scratch [4 << 10]byte
		for {
			if _, err := w.Conn.Read(scratch[:]); err != nil {
				return
			}
		}
	}
}

// free lets a TLS connection write for itself again, its last words.
func (w *wire) free() {
	if w.sealed != nil {
		w.sealed.free()
	}
}
