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
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/account"
)

const maxConns = 128 // connections at once; more wait in the kernel's queue

// A Listener is the control socket. Its connections know who is at their other
// end. Closing it removes the socket's file.
type Listener struct {
	ln    *net.UnixListener
	path  string
	file  fs.FileInfo // of the socket as it was made
	gid   uint32      // group whose members are admitted
	group bool        // whether gid counts

	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
	err    error // of Close
}

// Listen makes the control socket at path, which must be absolute. The
// directory is made (mode 0755) if it isn't there. The socket is its owner's
// alone (0600), or also a group's (0660) if group isn't empty. A socket that
// nobody answers on any more is replaced; one that is answered on, and a file
// that isn't a socket, are errors.
func Listen(path, group string) (*Listener, error) {
	if !filepath.IsAbs(path) || len(path) > api.MaxSocketPath {
		return nil, fmt.Errorf("control: socket %q: the path must be absolute and have at most %d bytes", path, api.MaxSocketPath)
	}
	l := &Listener{path: path, slots: make(chan struct{}, maxConns), closed: make(chan struct{})}
	if group != "" {
		gid, err := account.GroupID(context.Background(), group)
		if err != nil {
			return nil, fmt.Errorf("control: socket %s: %w; create the group or change control.group", path, err)
		}
		l.gid, l.group = gid, true
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	if err := l.bind(); err != nil {
		return nil, fmt.Errorf("control: socket %s: %w", path, err)
	}
	return l, nil
}

// removeStale makes way for a new socket.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control: %s is in the way: it isn't a socket; remove it or change control.socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("control: another daemon answers on %s; stop it first", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("control: whether a daemon answers on %s can't be told: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control: stale socket: %w", err)
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

// Close stops listening and removes the socket's file, unless it has become
// somebody else's. Connections are left alone.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.ln.Close()
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
			l.err = errors.Join(l.err, os.Remove(l.path))
		}
	})
	return l.err
}

// Accept waits for the next connection, and for one to end if there are 128.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.ln.AcceptUnix()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &peerConn{UnixConn: c, refused: l.refuses(c), release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// A peerConn is a connection whose other end has been looked at.
type peerConn struct {
	*net.UnixConn
	refused error // why its other end may not use the API; nil: it may
	release func()
}

// Close closes the connection and makes room for another.
func (c *peerConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}
