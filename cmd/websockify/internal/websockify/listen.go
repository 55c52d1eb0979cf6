package websockify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
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
	ln, err := o.listenTCP(o.listen)
	return []net.Listener{ln}, err
}

// listenTCP resolves the host as the Python program does: no host means all of
// IPv4, or of both with --prefer-ipv6; of several addresses IPv4 comes first,
// or last.
func (o *options) listenTCP(a address) (net.Listener, error) {
	switch {
	case a.host == "" && !o.preferIPv6:
		return net.Listen("tcp4", a.join())
	case a.host == "", a.host == "::":
		return net.Listen("tcp", address{"::", a.port}.join())
	}
	ips, err := lookUpHost(a.host)
	if err != nil {
		return nil, err
	}
	is4 := func(ip net.IPAddr) int {
		if (ip.IP.To4() != nil) != o.preferIPv6 {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ips, func(a, b net.IPAddr) int { return is4(a) - is4(b) })
	network := "tcp"
	if ips[0].IP.To4() != nil {
		network = "tcp4" // "tcp" would take all of IPv6 with 0.0.0.0
	}
	return net.Listen(network, address{ips[0].String(), a.port}.join())
}

// lookUpHost returns the addresses of a host, an IPv6 address's zone included.
// There is at least one.
func lookUpHost(host string) ([]net.IPAddr, error) {
	if ip, ok := parseIPv4(host); ok {
		return []net.IPAddr{{IP: ip.AsSlice()}}, nil
	}
	return net.DefaultResolver.LookupIPAddr(context.Background(), host)
}

// parseIPv4 reads an address as inet_aton(3) does, and with it getaddrinfo(3),
// which the Python program has names looked up by: one to four numbers,
// decimal, octal (0…) or hexadecimal (0x…), of which the last fills the bytes
// that are left. So 0 is 0.0.0.0, and 127.1 is 127.0.0.1.
func parseIPv4(s string) (ip netip.Addr, ok bool) {
	numbers := strings.Split(s, ".")
	if len(numbers) > 4 {
		return ip, false
	}
	var b [4]byte
	for i, digits := range numbers {
		base, bits := 10, 8
		if i == len(numbers)-1 {
			bits = 8 * (4 - i)
		}
		switch {
		case strings.HasPrefix(digits, "0x"), strings.HasPrefix(digits, "0X"):
			base, digits = 16, digits[2:]
		case strings.HasPrefix(digits, "0"):
			base = 8
		}
		n, err := strconv.ParseUint(digits, base, bits)
		if err != nil {
			return ip, false
		}
		for at := i; bits > 0; at++ {
			bits -= 8
			b[at] = byte(n >> bits)
		}
	}
	return netip.AddrFrom4(b), true
}

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
