package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes a Listener of a socket that listens at path already, whose descriptor somebody has
// kept since it was made there. Who has connected meanwhile waits in it. Its owner and mode become
// those that [Listen] gives. Adopt closes file. Closing the Listener leaves the socket's file.
func Adopt(file *os.File, path, group string) (*Listener, error) {
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("what was kept isn't a socket that listens: %w", err)
	}
	unixListener, ok := ln.(*net.UnixListener)
	if !ok || unixListener.Addr().String() != path {
		_ = ln.Close()
		return nil, fmt.Errorf("what was kept is %s, and not %s", ln.Addr(), path)
	}
	unixListener.SetUnlinkOnClose(false)
	l, err := prepare(path, group)
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	l.ln, l.kept = unixListener, true
	if err := errors.Join(l.setMode(), l.mine()); err != nil {
		_ = ln.Close()
		_ = l.lock.Close()
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l.spares.fill()
	return l, nil
}

// mine makes this process the one that the kernel names to who connects (SO_PEERCRED): that is whoever
// has called listen last.
func (l *Listener) mine() error {
	raw, err := l.ln.SyscallConn()
	if err != nil {
		return err
	}
	const most = 65535 // the kernel takes net.core.somaxconn, if that is less
	var heard error
	err = raw.Control(func(fd uintptr) { heard = unix.Listen(int(fd), most) })
	return errors.Join(err, heard)
}

// Keep gives the socket's descriptor to store, which has to copy it if it is to keep it. If it returns
// nil, Close leaves the socket's file.
func (l *Listener) Keep(store func(fd uintptr) error) error {
	raw, err := l.ln.SyscallConn() // and not File, whose Fd would have the socket block for everybody who has it
	if err != nil {
		return err
	}
	var stored error
	if err := raw.Control(func(fd uintptr) { stored = store(fd) }); err != nil {
		return err
	}
	l.kept = stored == nil
	return stored
}

// Rest has Accept take no more connections, if the socket is kept: they wait for whoever adopts it.
// Otherwise it does nothing. When it returns none is being taken.
func (l *Listener) Rest() {
	if l.kept {
		l.resting.Store(true)
		_ = l.ln.SetDeadline(time.Now())
		l.taking.Lock() // an Accept that the deadline wakes may find a connection that came after it
		defer l.taking.Unlock()
	}
}

// accept is the next connection, or, from Rest on, none until Close.
func (l *Listener) accept() (*net.UnixConn, error) {
	conn, err := l.take()
	if errors.Is(err, os.ErrDeadlineExceeded) && l.resting.Load() {
		<-l.closed
		return nil, net.ErrClosed
	}
	return conn, err
}

func (l *Listener) take() (*net.UnixConn, error) {
	l.taking.Lock()
	defer l.taking.Unlock()
	if l.resting.Load() {
		return nil, os.ErrDeadlineExceeded
	}
	return l.ln.AcceptUnix()
}

// setOwner makes the socket's file nobody's but its owner's, as a new one is.
func (l *Listener) setOwner() error {
	if err := unix.Lchown(l.path, -1, os.Getegid()); err != nil {
		return err
	}
	return os.Chmod(l.path, 0o600)
}
