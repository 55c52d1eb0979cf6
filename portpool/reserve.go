package portpool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reserve takes a slot as Listen does, and binds its port without listening:
// connections are refused by the kernel until [Listener.Listen]. So a port can
// be had before anybody may connect to it. Errors are those of Listen.
func (p *Pool) Reserve(ctx context.Context) (*Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.search(ctx, func(s scope, port int) (*Listener, error) {
		held, addr, err := s.bind(port)
		if err != nil {
			return nil, err
		}
		return &Listener{pool: p, port: port, addr: addr, held: held}, nil
	})
}

// Reaches reports whether the pool's ports are bound for the kind of IP that
// addr is, IPv4 or IPv6.
func (p *Pool) Reaches(addr netip.Addr) bool {
	s, err := p.scope()
	switch four := addr.Unmap().Is4(); {
	case err != nil:
		return false
	case s.host != "":
		host, _ := netip.ParseAddr(s.host)
		return host.Is4() == four
	case s.network == "tcp4":
		return four
	}
	return true
}

// Listen begins to listen on a port that is held or reserved. If the listener
// listens already it does nothing; if it is closed or inherited the error is
// [net.ErrClosed].
func (l *Listener) Listen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tcp != nil {
		return nil
	}
	if l.held == nil {
		return l.opError("listen", net.ErrClosed)
	}
	tcp, err := relisten(l.held)
	if err != nil {
		return l.opError("listen", err)
	}
	_ = l.held.Close()
	l.tcp, l.held = tcp, nil
	return nil
}

// relisten makes a held socket listen.
func relisten(held *os.File) (*net.TCPListener, error) {
	err := control(held, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		return os.NewSyscallError("listen", unix.Listen(fd, unix.SOMAXCONN))
	})
	if err != nil {
		return nil, err
	}
	ln, err := net.FileListener(held)
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// bind binds port as [net.Listen] does for the scope, and doesn't listen.
func (s scope) bind(port int) (*os.File, net.Addr, error) {
	ip := netip.IPv6Unspecified()
	switch {
	case s.host != "":
		ip, _ = netip.ParseAddr(s.host)
	case s.network == "tcp4":
		ip = netip.IPv4Unspecified()
	}
	held, err := bind(ip, port, s.host != "")
	if s.host == "" && ip.Is6() && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		ip = netip.IPv4Unspecified() // the host has no IPv6
		held, err = bind(ip, port, false)
	}
	if err != nil {
		return nil, nil, &net.OpError{Op: "bind", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))), Err: err}
	}
	return held, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))), nil
}

// bind makes a TCP socket that is bound and not listening. alone is that one of
// IPv6 takes no IPv4.
func bind(ip netip.Addr, port int, alone bool) (*os.File, error) {
	family := unix.AF_INET6
	var addr unix.Sockaddr
	if ip.Is4() {
		family, addr = unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	} else {
		six := &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
		if zone, err := net.InterfaceByName(ip.Zone()); err == nil {
			six.ZoneId = uint32(zone.Index)
		}
		addr = six
	}
	fd, err := socket(family)
	if err != nil {
		return nil, err
	}
	held := os.NewFile(uintptr(fd), "portpool")
	if err := setUp(fd, family == unix.AF_INET6, alone, addr); err != nil {
		_ = held.Close()
		return nil, err
	}
	return held, nil
}

// socket makes one that no child inherits, and that doesn't block. Not every system can ask
// for that at once.
func socket(family int) (fd int, err error) {
	syscall.ForkLock.RLock()
	fd, err = unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// setUp binds fd. Remains of old connections don't count, but nobody else can bind it then.
func setUp(fd int, six, alone bool, addr unix.Sockaddr) error {
	if six {
		only := 0
		if alone {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, addr); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0))
}
