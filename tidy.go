package shadow

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of an end. An end is decided first: the viewer is closed, the port
// and the place are free, and whoever waits is answered. What belonged to the
// shadow and hasn't ended by then is left behind, logged, and waited for by
// Shutdown alone.
const (
	// tidyTime is how long an end waits for what ends properly, so that whoever
	// hears of the end finds nothing left.
	tidyTime = time.Second
	// viewerTime is how long a viewer's connection may take to close: two
	// seconds of closing handshake, and what surrounds it.
	viewerTime = 5 * time.Second
	// leftTime is how long Shutdown waits for what was left behind.
	leftTime = 3 * time.Second
)

// within reports whether done is closed within d.
func within(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done:
		return true
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// done is closed when f has returned, which runs on a goroutine of its own.
func done(f func()) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		defer close(c)
		f()
	}()
	return c
}

// leftovers are the things that shadows have left behind.
type leftovers struct {
	mu   sync.Mutex
	left map[<-chan struct{}]string // what it is, by what is closed when it ends
}

// add notes what, which ends when done is closed.
func (l *leftovers) add(what string, done <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == nil {
		l.left = map[<-chan struct{}]string{}
	}
	l.left[done] = what
	go func() {
		<-done
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.left, done)
	}()
}

// wait waits up to d for all, and says what hasn't ended, in order.
func (l *leftovers) wait(d time.Duration) []string {
	end := time.Now().Add(d)
	for {
		l.mu.Lock()
		var next <-chan struct{}
		var left []string
		for done, what := range l.left {
			next, left = done, append(left, what)
		}
		l.mu.Unlock()
		if next == nil {
			return nil
		}
		if !within(next, time.Until(end)) {
			slices.Sort(left)
			return left
		}
		l.mu.Lock()
		delete(l.left, next)
		l.mu.Unlock()
	}
}

// leave gives done tidyTime, after which what is left behind.
func (l *life) leave(what string, done <-chan struct{}) {
	if within(done, l.m.tidy) {
		return
	}
	l.abandon(what, done)
}

// abandon leaves what behind, which ends when done is closed.
func (l *life) abandon(what string, done <-chan struct{}) {
	l.m.left.add(fmt.Sprintf("%s of shadow %s", what, l.id), done)
	l.m.journal.error(l.m.cfg.Logger, l.id, what+" has not ended in time and was given up")
}

// A sourceConn closes a Source's connection in the background; closed is closed
// when Close has returned.
type sourceConn struct {
	net.Conn
	ended   <-chan struct{} // closed when the server has ended; nil: nobody says
	notes   <-chan Note     // what it says; nil: nothing
	once    sync.Once
	closing atomic.Bool // Close was called
	closed  chan struct{}
}

func newSourceConn(conn net.Conn) *sourceConn {
	c := &sourceConn{Conn: conn, closed: make(chan struct{})}
	if e, ok := conn.(Ender); ok {
		guarded(func() { c.ended = e.Ended() })
	}
	if n, ok := conn.(Noter); ok {
		guarded(func() { c.notes = n.Notes() })
	}
	return c
}

// detail is what the source has to say to the audit.
func (c *sourceConn) detail() (text string) {
	if d, ok := c.Conn.(Detailer); ok {
		guarded(func() { text = d.Detail() })
	}
	return text
}

// Close implements net.Conn.
func (c *sourceConn) Close() error {
	c.closing.Store(true)
	c.once.Do(func() {
		go func() {
			defer close(c.closed)
			guarded(func() { _ = c.Conn.Close() })
		}()
	})
	return nil
}

// Read implements net.Conn. A panic in it, as in what follows, is an error: they are called where nobody
// would catch one.
func (c *sourceConn) Read(p []byte) (n int, err error) {
	defer caught("the source", &err)
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *sourceConn) Write(p []byte) (n int, err error) {
	defer caught("the source", &err)
	return c.Conn.Write(p)
}

// SetReadLowat is the socket's, if the source's connection is one: the relay wakes seldom then.
func (c *sourceConn) SetReadLowat(n int) (err error) {
	defer caught("the source", &err)
	if l, ok := c.Conn.(interface{ SetReadLowat(n int) error }); ok {
		return l.SetReadLowat(n)
	}
	return errors.ErrUnsupported
}

// SetDeadline implements net.Conn.
func (c *sourceConn) SetDeadline(t time.Time) (err error) {
	defer caught("the source", &err)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *sourceConn) SetReadDeadline(t time.Time) (err error) {
	defer caught("the source", &err)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *sourceConn) SetWriteDeadline(t time.Time) (err error) {
	defer caught("the source", &err)
	return c.Conn.SetWriteDeadline(t)
}

// lastWord is how long a source has to end and to say why, once its connection
// has failed.
const lastWord = 2 * time.Second

// why is why the source ended, if it knows and soon does.
func (c *sourceConn) why() error {
	if c.ended == nil || !within(c.ended, lastWord) {
		return nil
	}
	says := make(chan error, 1)
	go func() {
		err := errors.New("the source ended its goroutine")
		defer func() { says <- err }()
		defer caught("the source", &err)
		err = c.Conn.(Ender).Err()
	}()
	t := time.NewTimer(lastWord)
	defer t.Stop()
	select {
	case err := <-says:
		return err
	case <-t.C:
		return nil
	}
}
