// Package quiet reads and writes sockets without telling Go's scheduler. A system call of
// package net tells it, for the call could block; after a pause that wakes the runtime's
// monitor thread, which looks about every 20 µs for the next millisecond. Where a few hundred
// bytes come and go thirty times a second, that costs more than all the rest.
//
// A socket of Go's never blocks, so there is nothing to be told: the calls here return at
// once. They are for small amounts; who moves much doesn't notice the difference.
package quiet

import (
	"net"
	"sync"
	"syscall"
)

// Raw gives access to the descriptor of c, if c is a socket and nothing else; nil if it isn't,
// or can't be used here.
func Raw(c net.Conn) syscall.RawConn {
	if !supported {
		return nil
	}
	var raw syscall.RawConn
	switch c := c.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

// A Conn is a socket that is read and written so. Deadlines and Close do what they do to the
// connection in it.
type Conn struct {
	net.Conn
	raw syscall.RawConn

	reading sync.Mutex // guards what follows
	in      []byte
	n       int
	err     error
	read    func(uintptr) bool // readSome; one allocation
}

// New returns a Conn for c, or c itself if it is no socket.
func New(c net.Conn) net.Conn {
	raw := Raw(c)
	if raw == nil {
		return c
	}
	q := &Conn{Conn: c, raw: raw}
	q.read = q.readSome
	return q
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	c.in = p
	err := c.raw.Read(c.read)
	c.in = nil
	if err != nil {
		return 0, err
	}
	return c.n, c.err
}

func (c *Conn) readSome(fd uintptr) (done bool) {
	var waiting bool
	c.n, waiting, c.err = Read(fd, c.in)
	return !waiting
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	n := 0
	err := c.raw.Write(func(fd uintptr) bool {
		n, _ = Write(fd, p, nil) // what is wrong, the next line finds
		return true
	})
	if err != nil || n == len(p) {
		return n, err
	}
	m, err := c.Conn.Write(p[n:])
	return n + m, err
}

// SetReadLowat has the kernel wake nobody for less than n bytes, or for the end of the stream
// (socket(7), SO_RCVLOWAT). It is 1 at first. A read that waits already may return less.
func (c *Conn) SetReadLowat(n int) error {
	var err error
	if controlErr := c.raw.Control(func(fd uintptr) { err = setLowat(fd, n) }); controlErr != nil {
		return controlErr
	}
	return err
}

// CloseWrite ends the direction to the peer.
func (c *Conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }
