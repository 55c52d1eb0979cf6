package tlsport

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Options are how a port tells its connections apart.
type Options struct {
	Certificates *Certificates // nil: no TLS
	TLSOnly      bool          // plain connections are closed

	// FirstByte is how long a client may say nothing. Then it is closed. 0
	// means 3 s, which is the Python program's.
	FirstByte time.Duration

	// OnRefuse is told why a connection was closed; reason is empty if
	// the client said nothing. Nil ignores.
	OnRefuse func(remote net.Addr, reason string)
}

// maxPending bounds the connections that have not said anything yet, or wait for
// Accept. More wait in the kernel.
const maxPending = 512

// A listener looks at the first byte of each connection.
type listener struct {
	net.Listener
	o      Options
	config *tls.Config

	ready  chan result
	closed chan struct{}
	done   sync.WaitGroup

	mu      sync.Mutex
	isShut  bool
	pending map[net.Conn]struct{}
	slots   chan struct{}
}

type result struct {
	conn net.Conn
	err  error
}

// Listen returns a listener for the connections of inner: a *tls.Conn, not yet
// shaken hands with, for one that begins as TLS does, and else the connection
// as inner gave it, with nothing read. Its Close closes inner, too.
func Listen(inner net.Listener, o Options) net.Listener {
	if o.FirstByte == 0 {
		o.FirstByte = 3 * time.Second
	}
	l := &listener{
		Listener: inner,
		o:        o,
		ready:    make(chan result),
		closed:   make(chan struct{}),
		pending:  make(map[net.Conn]struct{}),
		slots:    make(chan struct{}, maxPending),
	}
	if o.Certificates != nil {
		l.config = o.Certificates.Config()
	}
	l.done.Go(l.accept)
	return l
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case r := <-l.ready:
		return r.conn, r.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that nobody has accepted are closed.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.isShut {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.isShut = true
	close(l.closed)
	for c := range l.pending {
		c.Close()
	}
	l.mu.Unlock()
	err := l.Listener.Close()
	l.done.Wait()
	return err
}

func (l *listener) accept() {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			l.hand(result{err: err})
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if !l.add(c) {
			c.Close()
			return
		}
		l.done.Go(func() { l.sort(c) })
	}
}

// sort hands the connection on as what it is, or closes it.
func (l *listener) sort(c net.Conn) {
	defer func() { <-l.slots }()
	sorted, reason := l.look(c)
	l.mu.Lock()
	delete(l.pending, c)
	l.mu.Unlock()
	if sorted == nil {
		c.Close()
		if l.o.OnRefuse != nil {
			l.o.OnRefuse(c.RemoteAddr(), reason)
		}
		return
	}
	l.hand(result{conn: sorted})
}

func (l *listener) hand(r result) {
	select {
	case l.ready <- r:
	case <-l.closed:
		if r.conn != nil {
			r.conn.Close()
		}
	}
}

func (l *listener) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isShut {
		return false
	}
	l.pending[c] = struct{}{}
	return true
}

// What a connection's first byte says: a TLS handshake record, or what SSL 2
// began with.
const (
	tlsHandshake = 0x16
	ssl2Hello    = 0x80
)

func (l *listener) look(c net.Conn) (sorted net.Conn, reason string) {
	_ = c.SetReadDeadline(time.Now().Add(l.o.FirstByte))
	first, err := peek(c)
	if err != nil {
		return nil, ""
	}
	_ = c.SetReadDeadline(time.Time{})
	switch secure := first == tlsHandshake || first == ssl2Hello; {
	case secure && l.config == nil:
		return nil, "SSL connection but there is no certificate"
	case secure && !l.o.Certificates.Present():
		return nil, "SSL connection but '" + l.o.Certificates.CertFile + "' not found"
	case secure:
		return tls.Server(c, l.config), ""
	case l.o.TLSOnly:
		return nil, "non-SSL connection received but disallowed"
	}
	return c, ""
}

var errSilent = errors.New("the client closed without a word")

// peek returns the first byte and leaves it where it is, so that the
// connection can go on as the socket that it is.
func peek(c net.Conn) (byte, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var first [1]byte
	var n int
	var peekErr error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, peekErr = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK)
			if peekErr != syscall.EINTR {
				return peekErr != syscall.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case peekErr != nil:
		return 0, peekErr
	case n == 0:
		return 0, errSilent
	}
	return first[0], nil
}
