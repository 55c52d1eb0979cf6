package wsproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// A Listener prepares connections for a [Handler]; an [http.Server] takes it in
// place of the listener in it, under TLS if there is any. A Handler does its
// work without one, too.
//
// With TLS it saves time: crypto/tls writes each record of 16 KiB with a system
// call of its own, and a Handler gathers those of one write on connections that
// come from a Listener.
type Listener struct {
	net.Listener

	// ProxyProtocol are the proxies that begin each connection with a PROXY
	// protocol header, of version 1 or 2. The connection's RemoteAddr and
	// LocalAddr are those in the header. A connection of theirs without a
	// header, or whose header doesn't come within five seconds, fails at its
	// first use. The zero value means that nobody sends one.
	ProxyProtocol Proxies
}

// Accept waits for a connection. What its proxy has to say is read when the
// connection is first used, so that nobody can hold up Accept.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	a := &accepted{Conn: c}
	if l.ProxyProtocol.trust(c.RemoteAddr().String()) {
		a.proxied = new(proxied)
	}
	return a, nil
}

// An accepted is a connection of a Listener.
type accepted struct {
	net.Conn
	proxied *proxied // nil: nobody precedes the client

	mu      sync.Mutex
	gather  bool   // what is written goes to records
	records []byte // nil: none
	size    int    // of the memory that they are to have
}

// errTooMuch can't happen while what is sealed at a time fits largeSize.
var errTooMuch = pkg.New("too many TLS records at once")

// Write keeps what it is given while the connection is captured: records that
// crypto/tls has made.
func (a *accepted) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.gather {
		return a.Conn.Write(p)
	}
	if a.records == nil {
		a.records = getMemory(a.size)[:0]
	}
	if len(p) > cap(a.records)-len(a.records) {
		return 0, errTooMuch
	}
	a.records = append(a.records, p...)
	return len(p), nil
}

// capture makes Write keep what it is given, for take.
func (a *accepted) capture() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gather = true
}

// expect says how many bytes are about to be sealed.
func (a *accepted) expect(size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.size = size + size/8 + 512
	if old := a.records; old != nil { // an alert, or the answer to a key update
		a.records = append(getMemory(a.size + len(old))[:0], old...)
		putMemory(old)
	}
}

// take hands over what Write has kept, and its memory.
func (a *accepted) take() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.records
	a.records = nil
	return b
}

// free ends the capture. What is left to send goes first.
func (a *accepted) free() {
	left := a.take()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gather = false
	if left != nil {
		_, _ = a.Conn.Write(left) // an alert, of a connection that is closing
		putMemory(left)
	}
}

// Read reads what follows the proxy's header.
func (a *accepted) Read(p []byte) (int, error) {
	if err := a.proxied.read(a.Conn); err != nil {
		return 0, err
	}
	return a.Conn.Read(p)
}

// RemoteAddr is the client's address.
func (a *accepted) RemoteAddr() net.Addr {
	_ = a.proxied.read(a.Conn) // Read tells
	if a.proxied != nil && a.proxied.src != nil {
		return a.proxied.src
	}
	return a.Conn.RemoteAddr()
}

// LocalAddr is the address that the client connected to.
func (a *accepted) LocalAddr() net.Addr {
	_ = a.proxied.read(a.Conn)
	if a.proxied != nil && a.proxied.dst != nil {
		return a.proxied.dst
	}
	return a.Conn.LocalAddr()
}

// ReadFrom lets net/http send files by sendfile.
func (a *accepted) ReadFrom(r io.Reader) (int64, error) {
	a.mu.Lock()
	gather := a.gather
	a.mu.Unlock()
	if to, ok := a.Conn.(io.ReaderFrom); ok && !gather {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{a}, r)
}

// CloseWrite ends the direction to the client.
func (a *accepted) CloseWrite() error {
	if half, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn gives access to the descriptor, behind the proxy's header.
func (a *accepted) SyscallConn() (syscall.RawConn, error) {
	sc, ok := a.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if err := a.proxied.read(a.Conn); err != nil {
		return nil, err
	}
	return sc.SyscallConn()
}
