package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/account"
)

// A Listener is the control socket. Its connections know who is at their other
// end. Closing it removes the socket's file, if it isn't kept.
type Listener struct {
	ln    *net.UnixListener
	path  string
	file  fs.FileInfo // of the socket as it was made
	gid   uint32      // group whose members are admitted
	group bool        // whether gid counts

	lock    *os.File // beside the socket, so that there is one daemon
	book    book
	spares  spares
	kept    bool        // somebody else has the socket, too: its file stays
	resting atomic.Bool // no connection is taken any more
	taking  sync.Mutex  // held while a connection is taken
	closed  chan struct{}
	once    sync.Once
	err     error // of Close
}

// Listen makes the control socket at path, which must be absolute. The
// directory is made (mode 0755) if it isn't there. The socket is its owner's
// alone (0600), or also a group's (0660) if group isn't empty. A socket that
// nobody answers on any more is replaced; one that is answered on, and a file
// that isn't a socket, are errors.
func Listen(path, group string) (*Listener, error) {
	l, err := prepare(path, group)
	if err != nil {
		return nil, err
	}
	if err := l.open(); err != nil {
		_ = l.lock.Close()
		return nil, err
	}
	l.spares.fill()
	return l, nil
}

// prepare is a Listener without a socket, whose place and lock it has.
func prepare(path, group string) (*Listener, error) {
	if !filepath.IsAbs(path) || len(path) > api.MaxSocketPath {
		return nil, fmt.Errorf("socket %q: the path must be absolute and have at most %d bytes", path, api.MaxSocketPath)
	}
	l := &Listener{path: path, closed: make(chan struct{})}
	if group != "" {
		gid, err := account.GroupID(context.Background(), group)
		if err != nil {
			return nil, fmt.Errorf("socket %s: %w; create the group or change control.group", path, err)
		}
		l.gid, l.group = gid, true
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return l, l.takeLock()
}

// open makes the socket; the lock is l's.
func (l *Listener) open() error {
	if err := removeStale(l.path); err != nil {
		return err
	}
	if err := l.bind(); err != nil {
		return fmt.Errorf("socket %s: %w", l.path, err)
	}
	return nil
}

// takeLock locks the file beside the socket, which stays: of two daemons that find the
// same stale socket at once, one would have its own removed by the other.
func (l *Listener) takeLock() error {
	f, err := os.OpenFile(l.path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("another daemon has %s; stop it first", l.path)
		}
		return fmt.Errorf("lock %s.lock: %w", l.path, err)
	}
	l.lock = f
	return nil
}

// removeStale makes way for a new socket.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way: it isn't a socket; remove it or change control.socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("another daemon answers on %s; stop it first", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot check whether another daemon uses %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("stale socket: %w", err)
	}
	return nil
}

// bind makes the socket, with its final owner and mode before anybody else
// can connect: on Linux the file takes the mode of the descriptor.
func (l *Listener) bind() error {
	mode := func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); e != nil {
			return e
		}
		return err
	}
	ln, err := (&net.ListenConfig{Control: mode}).Listen(context.Background(), "unix", l.path)
	if err != nil {
		return err
	}
	l.ln = ln.(*net.UnixListener)
	l.ln.SetUnlinkOnClose(false) // Close looks first whether the file is still ours
	if err := l.setMode(); err != nil {
		_ = l.ln.Close()
		_ = os.Remove(l.path)
		return err
	}
	return nil
}

func (l *Listener) setMode() error {
	want := fs.FileMode(0o600)
	if l.kept {
		if err := l.setOwner(); err != nil {
			return err
		}
	}
	if l.group {
		want = 0o660
		if err := os.Lchown(l.path, -1, int(l.gid)); err != nil {
			return err
		}
		if err := os.Chmod(l.path, want); err != nil {
			return err
		}
	}
	info, err := os.Lstat(l.path)
	if err != nil {
		return err
	}
	if got := info.Mode(); got.Type() != fs.ModeSocket || got.Perm() != want {
		return fmt.Errorf("its mode is %v where %v was set", got, want)
	}
	l.file = info
	return nil
}

// Addr is the socket's address.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Close stops listening and removes the socket's file, unless it is kept, or has
// become somebody else's. Connections are left alone.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.ln.Close()
		if now, err := os.Lstat(l.path); !l.kept && err == nil && os.SameFile(now, l.file) {
			l.err = errors.Join(l.err, os.Remove(l.path))
		}
		l.spares.close()
		_ = l.lock.Close()
	})
	return l.err
}

// Accept waits for the next connection. Who has too many already is told so in
// an answer, or not even that; nobody waits for another to end.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.accept()
		if noDescriptor(err) && l.spares.give() {
			continue
		}
		if err != nil {
			return nil, err
		}
		l.spares.fill()
		c := &peerConn{UnixConn: conn, l: l}
		who, refused := l.look(conn)
		c.uid, c.pid, c.refused = who.Uid, who.Pid, refused
		c.root = c.uid == 0 || c.uid == uint32(os.Geteuid())
		if l.book.enter(c) {
			return c, nil
		}
		_ = conn.Close()
	}
}

// A peerConn is a connection whose other end has been looked at.
type peerConn struct {
	*net.UnixConn
	l       *Listener
	uid     uint32 // of the process that connected; nobody's if it isn't known
	pid     int32  // its number when it connected
	root    bool
	refused error // why its other end may not use the API; nil: it may

	// Guarded by l.book.mu.
	excess bool // it is only told that there is no room
	stream bool // it carries events
	busy   bool // something is being answered
}

// Close closes the connection and makes room for another.
func (c *peerConn) Close() error {
	err := c.UnixConn.Close()
	c.l.book.leave(c)
	c.l.spares.fill()
	return err
}
