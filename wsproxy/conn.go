package wsproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// closeTimeout bounds the closing handshake: what is being written when the
// end begins, the close frame, and the wait for the viewer's.
const closeTimeout = 2 * time.Second

var (
	errLeft       = pkg.New("the viewer has left")
	errIdle       = pkg.New("the session was idle")
	errNoPong     = pkg.New("the viewer answers no ping")
	errUnfinished = pkg.New("the viewer doesn't finish a frame")
	errText       = pkg.New("the viewer sent a text message")
	errTooBig     = pkg.New("the viewer sent too large a message")
	errMalformed  = pkg.New("the viewer sent malformed WebSocket")
)

// A conn is a viewer: the stream in its messages as a net.Conn, and what keeps
// the WebSocket. The goroutine receive reads frames. Everything that has to be
// said between the viewer's frames, the goodbye last, is a task, see control.go.
type conn struct {
	wire *wire
	ws   *messages
	in   *inbox

	maxMessage   int64         // negative: no limit
	idleTimeout  time.Duration // 0: never
	pingInterval time.Duration // negative: never
	pongTimeout  time.Duration
	onEnd        func(End) // called once, when the end has been decided

	mu       sync.Mutex
	end      *End
	ending   chan struct{} // closed when end is set
	received chan struct{} // closed when receive has returned
	done     chan struct{} // closed when control has said goodbye: the connection is closed

	tasks atomic.Uint32 // what control is to do, see there
	beat  heartbeat
	idle  idleness
	frame unfinished

	closed atomic.Bool // Close was called
	sent   atomic.Int64
	got    atomic.Int64

	pace pace // of what is written

	writing sync.Mutex // one Write at a time; guards what follows
	head    [maxHeader]byte
}

// start sets all of it to work. The connection is closed some time after
// finish, and c.done tells when.
func (c *conn) start() {
	c.ending, c.received, c.done = make(chan struct{}), make(chan struct{}), make(chan struct{})
	c.beat.c, c.idle.c, c.frame.c = c, c, c
	c.tasks.Store(controlling) // until the timers are in their places
	c.beat.start()
	c.idle.start()
	if !c.tasks.CompareAndSwap(controlling, 0) {
		go c.control()
	}
	go c.receive()
}

// finish decides how the session ends, if that is still open.
func (c *conn) finish(e End) {
	c.mu.Lock()
	if c.end != nil {
		c.mu.Unlock()
		return
	}
	c.end = &e
	c.mu.Unlock()

	if e.ByViewer { // what it sent before is still to be read
		c.in.finish(c.gone(io.EOF))
	} else {
		c.in.drop(c.gone(nil))
	}
	c.wire.setLast(time.Now().Add(closeTimeout))
	close(c.ending)
	c.ask(taskGoodbye)
	c.onEnd(e)
}

// ended is how the session ends; nil if that is still open.
func (c *conn) ended() *End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// gone is what Read and Write report once the end is decided. A viewer that
// closed properly ends the stream of what it sent: eof.
func (c *conn) gone(eof error) error {
	switch e := c.ended(); {
	case e.Err != nil:
		return e.Err
	case e.ByViewer && eof != nil:
		return eof
	case e.ByViewer:
		return errLeft
	default:
		return &CloseError{e.Code, e.Reason}
	}
}

// receive moves what the viewer sends into the inbox until nothing more can be
// read. Once the end is decided it goes on, discarding, for the viewer's close
// frame.
func (c *conn) receive() {
	defer close(c.received)
	err := c.ws.wait()
	c.wire.intake.release()
	c.finish(c.diagnose(err))
}

// add hands on the n bytes that were put into the inbox's room.
func (c *conn) add(n int) {
	if n > 0 && c.ended() == nil {
		c.got.Add(int64(n))
	}
	c.in.add(n)
}

// text is called when the viewer begins a text message.
func (c *conn) text() {
	c.finish(End{Code: StatusUnsupportedData, Reason: "Unsupported: Text frames are not supported", Err: errText})
}

// tooBig is called when a message turns out to be larger than maxMessage.
func (c *conn) tooBig() {
	c.finish(End{Code: StatusMessageTooBig, Reason: fmt.Sprintf("message larger than %d bytes", c.maxMessage), Err: errTooBig})
}

// diagnose tells why nothing more can be read: the viewer closed, the
// connection was lost, or what came isn't WebSocket.
func (c *conn) diagnose(err error) End {
	code, reason, closed := c.ws.closeOf(err)
	switch {
	case closed && !utf8.ValidString(reason):
		return End{Code: StatusProtocolError, Reason: "close reason isn't UTF-8", Err: errMalformed}
	case closed:
		return End{Code: code, Reason: reason, ByViewer: true}
	case errors.Is(err, errStray), errors.Is(err, errNested):
	case c.wire.intake.err != nil:
		return c.lost(c.wire.intake.err)
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return End{Code: StatusProtocolError, Reason: err.Error(), Err: fmt.Errorf("%w: %v", errMalformed, err)}
}

// lost is the ending by an error of the connection.
func (c *conn) lost(err error) End {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return End{Code: StatusAbnormalClosure, Err: pkg.Errorf("connection to the viewer lost: %w", err), ByViewer: true}
}

// writeFailed decides the end after a write that failed. A viewer that closes
// its connection right behind its close frame makes writes fail before the
// frame is read, so reading gets its say first.
func (c *conn) writeFailed(err error) {
	switch {
	case errors.Is(err, errIdle):
		c.finish(End{Code: StatusGoingAway, Reason: "session idle"})
		return
	case errors.Is(err, errStalled):
		c.finish(End{Code: StatusStalled, Reason: fmt.Sprintf("no data taken for %v", c.wire.patience), Err: errStalled})
		return
	case errors.Is(err, errNoPong):
		c.finish(End{Code: StatusStalled, Reason: fmt.Sprintf("no ping answered for %v", c.pongTimeout), Err: errNoPong})
		return
	case errors.Is(err, errUnfinished):
		c.finish(End{Code: StatusStalled, Reason: fmt.Sprintf("nothing of an unfinished frame for %v", c.pongTimeout), Err: errUnfinished})
		return
	}
	if !c.endsSoon() {
		c.finish(c.lost(err))
	}
}

// endsSoon waits a moment for somebody else to decide the end.
func (c *conn) endsSoon() bool {
	t := time.NewTimer(closeTimeout / 2)
	defer t.Stop()
	select {
	case <-c.ending:
		return true
	case <-t.C:
		return false
	}
}

// Read reads the payload of the viewer's binary messages.
func (c *conn) Read(p []byte) (int, error) { return c.in.read(p) }

// WriteTo writes the payload of the viewer's binary messages to w until one of
// them ends, what came together in one Write. It implements io.WriterTo, so
// that io.Copy needs no buffer.
func (c *conn) WriteTo(w io.Writer) (int64, error) { return c.in.writeTo(w) }

// Consume has take called with the payload of the viewer's binary messages in the goroutine that reads them, for a relay that has
// less to do with a small message than to wake up costs. Take returns how much it took. Consume returns when that is less
// than there was, or when Read would return an error; what wasn't taken is Read's, and no call of take goes on. While one
// goes on nothing is read from the viewer, pongs neither. Take mustn't panic, nor use the connection.
func (c *conn) Consume(take func(p []byte) int) { c.in.consume(take) }

// Write sends p in binary messages. If the write deadline expires it says how
// much was sent; what was begun counts as sent, and its rest goes out with the
// next write.
func (c *conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(p) > 0 && err == nil {
		payload := p[:min(len(p), c.frameSize())]
		var m int
		m, err = c.send(len(payload), appendHeader(c.head[:0], finBinary, len(payload)), payload)
		n += m
		p = p[m:]
	}
	if err == nil && n == 0 {
		err = c.usable()
	}
	return n, err
}

// frameSize is how much the next frame may have if it is copied. Without a
// [Listener] a TLS connection has to take it whole in the write timeout.
func (c *conn) frameSize() int {
	if c.wire.secure && c.wire.sealed == nil {
		return minFrame
	}
	return c.pace.limit(copyFrame)
}

// send sends a frame with a payload of size bytes, in pieces as wire.sendData
// takes them, and returns how many bytes count as sent. It is called with
// writing held.
func (c *conn) send(size int, pieces ...[]byte) (int, error) {
	return c.sendFrame(size, func() error { return c.wire.sendData(pieces...) })
}

// sendFrame has a frame sent, counts what was, and makes the error for the
// stream's user.
func (c *conn) sendFrame(size int, send func() error) (int, error) {
	if err := c.usable(); err != nil {
		return 0, err
	}
	start := time.Now()
	err := send()
	c.pace.took(size, time.Since(start))
	switch {
	case err == nil:
		c.sent.Add(int64(size))
		return size, nil
	case errors.Is(err, errFrameKept):
		c.sent.Add(int64(size))
		return size, c.interrupted()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, c.interrupted()
	}
	c.writeFailed(err)
	return 0, c.usable()
}

// interrupted is the error of a write whose deadline expired: the user's, or
// the one that Close or the end put on it.
func (c *conn) interrupted() error {
	if err := c.usable(); err != nil {
		return err
	}
	return os.ErrDeadlineExceeded
}

// usable is nil while Write has somewhere to write to.
func (c *conn) usable() error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if c.ended() != nil {
		return c.gone(nil)
	}
	return nil
}

// Close ends the use of the stream: calls in progress return, later ones fail
// with net.ErrClosed. The viewer isn't told yet: how the session ended is for
// the relay to say when it returns.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.in.drop(net.ErrClosed)
	c.wire.setUserDeadline(time.Unix(1, 0))
	return nil
}

// LocalAddr returns the address that the viewer connected to.
func (c *conn) LocalAddr() net.Addr { return c.wire.LocalAddr() }

// RemoteAddr returns the address that the viewer's connection comes from.
func (c *conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds Read. A deadline that has expired can be moved.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.in.setDeadline(t)
	return nil
}

// SetWriteDeadline bounds Write. A deadline that has expired can be moved,
// over TLS only if no write was in progress.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.wire.setUserDeadline(t)
	return nil
}
