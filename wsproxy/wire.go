package wsproxy

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// errStalled: the peer took nothing for the write timeout.
var errStalled = errors.New("wsproxy: the viewer takes no data")

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
	pongs    chan []byte   // the newest pong that the library wants sent; capacity 1
	patience time.Duration // for a write that makes no progress

	mu   sync.Mutex // one frame at a time
	tail []byte     // the rest of a frame whose write expired; goes first
	dead error      // why nothing can be sent any more

	clock     sync.Mutex
	user      time.Time // write deadline of data, by SetWriteDeadline
	last      time.Time // write deadline of everything, once the end has begun
	until     time.Time // write deadline of the write in progress, of send's own
	userFrame bool      // the write in progress is bound by user
}

func newWire(c net.Conn, early []byte, patience time.Duration) *wire {
	return &wire{Conn: c, intake: newIntake(c, early), pongs: make(chan []byte, 1), patience: patience}
}

// Read is for the library, which gets what isn't data.
func (w *wire) Read(p []byte) (int, error) { return w.intake.Read(p) }

// Write is for the library, which writes control frames only, each in one
// call. A pong is handed on; it replaces one that hasn't been sent yet (RFC
// 6455 §5.5.3). Close frames are this package's own and the library's are dropped.
func (w *wire) Write(p []byte) (int, error) {
	if len(p) > 0 && p[0] == finPong {
		select {
		case <-w.pongs:
		default:
		}
		w.pongs <- bytes.Clone(p) // there is room: nobody else writes to it
	}
	return len(p), nil
}

// Close is for the library, which wants its Read to return.
func (w *wire) Close() error {
	return w.SetReadDeadline(time.Unix(1, 0))
}

// sendData sends one frame of the stream, bound by the user's deadline too. If
// that expires in mid-frame, the frame counts as sent and its rest is kept: a
// started frame has to be finished before another.
func (w *wire) sendData(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(true); err != nil {
		return err
	}
	n, err := w.send(frame, true)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		w.tail = append(w.tail[:0], frame[n:]...)
		return errFrameKept
	}
	return err
}

// errFrameKept says that a deadline expired but the frame will get through.
var errFrameKept = errors.New("wsproxy: frame kept")

// sendControl sends one control frame.
func (w *wire) sendControl(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(false); err != nil {
		return err
	}
	_, err := w.send(frame, false)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.dead = err // only the last deadline is left to expire here
	}
	return err
}

// flush finishes the frame that was begun. It is called with mu held.
func (w *wire) flush(user bool) error {
	if len(w.tail) == 0 {
		return w.dead
	}
	n, err := w.send(w.tail, user)
	w.tail = w.tail[n:]
	return err
}

// send writes b, for as long as the peer takes some of it now and then. It is
// called with mu held.
//
// A TLS connection can't be used after an expired write, so over TLS a frame
// has to be taken whole within the write timeout and an expired deadline of
// the user is final.
func (w *wire) send(b []byte, user bool) (n int, err error) {
	if w.dead != nil {
		return 0, w.dead
	}
	stalls := time.Now().Add(w.patience)
	early := 0 // expiries before their time
	for n < len(b) {
		until := w.begin(user)
		m, err := w.Conn.Write(b[n:])
		n += m
		now := time.Now()
		switch {
		case err == nil:
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
	if _, secure := w.Conn.(interface{ NetConn() net.Conn }); secure {
		w.until = time.Now().Add(w.patience)
	}
	w.arm()
	return w.until
}

// arm sets the Conn's write deadline to the first of those that count. It is
// called with clock held.
func (w *wire) arm() {
	t := w.until
	if w.userFrame && !w.user.IsZero() && w.user.Before(t) {
		t = w.user
	}
	if !w.last.IsZero() && w.last.Before(t) {
		t = w.last
	}
	_ = w.SetWriteDeadline(t) // fails on a closed connection only, and then so does the write
}

// expired reports whether the user's or the last deadline is over.
func (w *wire) expired(now time.Time) bool {
	w.clock.Lock()
	defer w.clock.Unlock()
	return w.userFrame && !w.user.IsZero() && !now.Before(w.user) || !w.last.IsZero() && !now.Before(w.last)
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
