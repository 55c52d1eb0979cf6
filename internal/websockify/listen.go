package websockify

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// isActivated reports whether systemd passed sockets to this process
// (sd_listen_fds(3)).
func isActivated() bool {
	return os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && os.Getenv("LISTEN_FDS") != ""
}

// open opens the sockets that the options name, or takes those that this
// process was given.
func (o *options) open() ([]net.Listener, error) {
	switch {
	case o.inetd:
		ln, err := fromInetd()
		return []net.Listener{ln}, err
	case o.activated:
		return fromSystemd()
	case o.unixListen != "":
		ln, err := o.listenUnix()
		return []net.Listener{ln}, err
	}
	network, address, err := o.listenAddress()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen(network, address)
	return []net.Listener{ln}, err
}

// listenAddress resolves the host as the Python program does: no host means
// all of IPv4, or of both with --prefer-ipv6; of several addresses IPv4 comes
// first, or last.
func (o *options) listenAddress() (network, address string, err error) {
	switch o.listen.host {
	case "":
		if o.preferIPv6 {
			return "tcp", address6(o.listen.port), nil
		}
		return "tcp4", o.listen.join(), nil
	case "::":
		return "tcp", address6(o.listen.port), nil
	}
	ips, err := net.LookupIP(o.listen.host)
	if err != nil {
		return "", "", err
	}
	is4 := func(ip net.IP) int {
		if (ip.To4() != nil) != o.preferIPv6 {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ips, func(a, b net.IP) int { return is4(a) - is4(b) })
	return "tcp", net.JoinHostPort(ips[0].String(), strconv.Itoa(o.listen.port)), nil
}

func address6(port int) string { return net.JoinHostPort("::", strconv.Itoa(port)) }

// listenUnix replaces a socket that nobody listens on any more. The new one
// has its mode from the beginning.
func (o *options) listenUnix() (net.Listener, error) {
	switch info, err := os.Lstat(o.unixListen); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("%s exists and isn't a socket", o.unixListen)
	default:
		if c, err := net.Dial("unix", o.unixListen); err == nil {
			c.Close()
			return nil, fmt.Errorf("another program listens on %s", o.unixListen)
		}
		if err := os.Remove(o.unixListen); err != nil {
			return nil, err
		}
	}
	old := syscall.Umask(0o777)
	ln, err := net.Listen("unix", o.unixListen)
	syscall.Umask(old)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(o.unixListen, o.socketMode); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

func fromSystemd() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	listeners := slices.DeleteFunc(all, func(ln net.Listener) bool { return ln == nil })
	if len(listeners) == 0 {
		return nil, errors.New("systemd passed no stream socket that listens")
	}
	return listeners, nil
}

// fromInetd takes standard input: a socket that listens ("wait"), or a
// connection ("nowait").
func fromInetd() (net.Listener, error) {
	accepting, err := syscall.GetsockoptInt(0, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("standard input isn't a socket: %w", err)
	}
	if accepting != 0 {
		return net.FileListener(os.Stdin)
	}
	c, err := net.FileConn(os.Stdin)
	if err != nil {
		return nil, err
	}
	return newOneConn(c), nil
}

// A oneConn listens to one connection that is there already, and has ended
// when that has.
type oneConn struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newOneConn(c net.Conn) *oneConn {
	l := &oneConn{addr: c.LocalAddr(), conns: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conns <- c
	return l
}

// Accept implements net.Listener.
func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *oneConn) Addr() net.Addr { return l.addr }

// inodes are those of sockets that listen, as the kernel's tables have them.
func inodes(listeners []net.Listener) map[uint64]bool {
	found := make(map[uint64]bool)
	for _, ln := range listeners {
		sc, ok := ln.(syscall.Conn)
		if !ok {
			continue
		}
		raw, err := sc.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) {
			var st syscall.Stat_t
			if syscall.Fstat(int(fd), &st) == nil {
				found[st.Ino] = true
			}
		})
	}
	return found
}
