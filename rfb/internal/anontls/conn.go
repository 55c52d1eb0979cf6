package anontls

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxIdle   = 16          // records in a row without data
	closeTime = time.Second // telling the server of the end
)

// A Conn is a connection inside TLS. Like any net.Conn it is safe for one reader, one writer and who closes it or sets
// deadlines. A Read whose deadline has passed may be repeated; a Write that failed was the last.
type Conn struct {
	conn net.Conn

	reading sync.Mutex
	in      reader
	data    []byte // read and not taken
	idle    int    // records in a row without data
	ended   error  // of reading; nil: not yet

	writing sync.Mutex
	out     half
	sealed  []byte
	failed  error // of writing; nil: not yet
	closed  bool  // the server was told, or can't be any more
}

// Client performs the handshake over conn, within the deadline that conn has, and never closes it. An error wraps
// ErrProtocol, ErrRefused or ErrUnfit, or is the connection's.
func Client(conn net.Conn) (*Conn, error) { return client(conn, rand.Reader) }

func client(conn net.Conn, random io.Reader) (*Conn, error) {
	c := &Conn{conn: conn}
	c.in.from = conn
	if err := c.handshake(random); err != nil {
		var f *fault
		if errors.As(err, &f) {
			_ = c.send(typeAlert, []byte{2, byte(f.alert)})
		}
		return nil, clean(err)
	}
	return c, nil
}

// clean is an error without what the server is told of it.
func clean(err error) error {
	var f *fault
	if errors.As(err, &f) {
		return f.err
	}
	return err
}

// send writes one record of at most maxPlain bytes.
func (c *Conn) send(t contentType, p []byte) (err error) {
	version := uint16(version12)
	if !c.in.agreed {
		version = version10
	}
	if c.sealed, err = c.out.seal(c.sealed[:0], version, t, p); err == nil {
		_, err = c.conn.Write(c.sealed)
	}
	return err
}

// Read implements net.Conn. It returns io.EOF if the server said that it has ended, and io.ErrUnexpectedEOF if the
// stream was cut.
func (c *Conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for len(c.data) == 0 {
		if c.ended != nil {
			return 0, c.ended
		}
		if len(p) == 0 {
			return 0, nil
		}
		if err := c.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// more reads a record. An error that the next Read may not change is kept.
func (c *Conn) more() error {
	t, p, err := c.in.next()
	if err == nil {
		err = c.take(t, p)
	}
	var f *fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		c.ended = f.err
		c.part(f.err, []byte{2, byte(f.alert)})
	case errors.Is(err, io.EOF): // without a word before
		if c.ended = io.ErrUnexpectedEOF; err == errClosed {
			c.ended = io.EOF
		}
	case errors.Is(err, ErrRefused):
		c.ended = err
	default:
		return err
	}
	return c.ended
}

// errClosed is the server's close_notify.
var errClosed = fmt.Errorf("%w", io.EOF)

// take is what a record means once the handshake is over.
func (c *Conn) take(t contentType, p []byte) error {
	if t == typeData && len(p) > 0 {
		c.data, c.idle = p, 0
		return nil
	}
	if c.idle++; c.idle > maxIdle {
		return wrong(alertUnexpectedMessage, "%d records in a row without data", c.idle)
	}
	switch t {
	case typeData:
		return nil
	case typeAlert:
		return told(p)
	case typeHandshake:
		return wrong(alertNoRenegotiation, "it wants another handshake")
	}
	return wrong(alertUnexpectedMessage, "record of type %d", t)
}

// told is what an alert means: nothing, an end, or an error.
func told(p []byte) error {
	switch {
	case len(p) != 2 || p[0] != 1 && p[0] != 2:
		return wrong(alertDecodeError, "alert of %d bytes", len(p))
	case alert(p[1]) == alertCloseNotify:
		return errClosed
	case p[0] == 1:
		return nil // a warning
	}
	return fmt.Errorf("%w: %v", ErrRefused, alert(p[1]))
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(p) > 0 && c.failed == nil {
		part := p[:min(len(p), maxPlain)]
		if c.failed = c.send(typeData, part); c.failed == nil {
			n += len(part)
		}
		p = p[len(part):]
	}
	return n, c.failed
}

// part tells the server of the end, if nobody is writing, and ends writing: err is what a Write returns then.
func (c *Conn) part(err error, last []byte) {
	if !c.writing.TryLock() {
		return
	}
	defer c.writing.Unlock()
	if c.failed == nil && !c.closed {
		_ = c.conn.SetWriteDeadline(time.Now().Add(closeTime))
		_ = c.send(typeAlert, last)
	}
	c.closed = true
	if c.failed == nil {
		c.failed = err
	}
}

// Close tells the server of the end, unless a Write is under way, for which it doesn't wait, and closes the connection
// below. It takes closeTime at most, if that one's Close takes none.
func (c *Conn) Close() error {
	c.part(net.ErrClosed, []byte{1, byte(alertCloseNotify)})
	return c.conn.Close()
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }
