package portpool

import (
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Listener is a slot of a [Pool] and the TCP listener on its port. It is
// safe for concurrent use.
type Listener struct {
	pool *Pool
	port int
	addr net.Addr

	mu   sync.Mutex
	tcp  *net.TCPListener // nil once it no longer listens
	held *os.File         // the bound socket, while held
}

// Accept waits for the next connection. Once the listener is held, closed or
// inherited it returns [net.ErrClosed], also to those who are waiting, and
// hands out no connection any more.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	tcp := l.tcp
	l.mu.Unlock()
	if tcp == nil {
		return nil, l.opError("accept", net.ErrClosed)
	}
	return l.accepted(tcp.AcceptTCP())
}

// accepted is what Accept returns for a connection that the kernel has handed over, or for its error.
func (l *Listener) accepted(conn *net.TCPConn, err error) (net.Conn, error) {
	l.mu.Lock()
	over := l.tcp == nil
	l.mu.Unlock()
	switch {
	case over && err == nil:
		_ = conn.SetLinger(0) // reset, as the kernel does with those it had not handed over
		_ = conn.Close()
		fallthrough
	case over:
		return nil, l.opError("accept", net.ErrClosed)
	case err != nil:
		return nil, err
	}
	return conn, nil
}

// Addr is the address it listens on. It stays valid after Hold and Close.
func (l *Listener) Addr() net.Addr { return l.addr }

// Port is the port's number.
func (l *Listener) Port() int { return l.port }

// Hold ends the listening and keeps the port: from now on the kernel refuses
// connections, those that nobody has accepted are reset, and no other program
// can have the port until Close. Holding what is held, closed or inherited
// does nothing. Should the kernel be unable to keep the port, Hold returns an
// error; the listening has ended and the slot is taken all the same.
func (l *Listener) Hold() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hold()
}

// hold is Hold with l.mu held.
func (l *Listener) hold() error {
	tcp := l.tcp
	if tcp == nil {
		return nil
	}
	l.tcp = nil
	// The second descriptor keeps the socket while the first one's Close gets
	// everybody out of Accept: it returns when the last one has left.
	held, err := tcp.File()
	if err == nil {
		err = control(held, func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
			return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_RD))
		})
	}
	_ = tcp.Close()
	if err != nil {
		if held != nil {
			_ = held.Close() // fail closed: it may be listening still
		}
		return l.opError("hold", err)
	}
	l.held = held
	return nil
}

// inherit passes l's port on to a new Listener that listens. l is dead
// afterwards, even if that fails.
func (l *Listener) inherit() (*Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.hold()
	held := l.held
	l.held = nil
	switch {
	case err != nil:
		return nil, err
	case held == nil:
		return nil, l.opError("inherit", net.ErrClosed)
	}
	defer held.Close()
	tcp, err := relisten(held)
	if err != nil {
		return nil, l.opError("inherit", err)
	}
	return &Listener{pool: l.pool, port: l.port, addr: l.addr, tcp: tcp}, nil
}

// Close stops listening and frees the slot and the port. Accepted connections stay open. Closing
// twice, or closing a listener whose slot was inherited, does nothing.
func (l *Listener) Close() error {
	err := l.close()
	l.pool.release(l)
	return err
}

// close is Close but for the slot, which needs the pool's lock: that one is
// taken before a listener's, never after.
func (l *Listener) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	tcp, held := l.tcp, l.held
	l.tcp, l.held = nil, nil
	switch {
	case tcp != nil:
		return tcp.Close()
	case held != nil:
		return held.Close()
	}
	return nil
}

// HoldOnClose returns l as a listener whose Close is l's Hold. It is what to
// hand to [net/http.Server.Serve], which closes its listener when it returns
// and when the server is shut down: the slot then stays taken until l.Close.
func (l *Listener) HoldOnClose() net.Listener { return holdOnClose{l} }

type holdOnClose struct{ *Listener }

func (h holdOnClose) Close() error { return h.Hold() }

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.addr, Err: err}
}

// control calls f with file's descriptor. It leaves the descriptor's mode
// alone, which file.Fd would not: the socket is shared with the poller.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}
