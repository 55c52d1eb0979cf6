package wrap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// ErrForeign reports that a connection to where the program listens is served by somebody else.
var ErrForeign = errors.New("somebody else than the wrapped program listens there")

// errUnknown reports that nothing says whose the other end of a connection is.
var errUnknown = errors.New("the system doesn't report who serves the connection")

// serverOf is the users who may serve a TCP connection to this host, as the kernel's tables have it: who has accepted
// it, or, as long as nobody has, everybody who listens there.
func serverOf(conn net.Conn) ([]uint32, error) {
	near, ok1 := addrPort(conn.LocalAddr())
	far, ok2 := addrPort(conn.RemoteAddr())
	if !ok1 || !ok2 {
		return nil, errUnknown
	}
	// In this order: a connection that isn't accepted at the second look is in the queue of a socket that was there at the first.
	listening := listenersAt(tcpSockets(), far)
	for range 3 { // the table isn't read in one piece, so that one may slip through
		all := tcpSockets()
		i := slices.IndexFunc(all, func(s socket) bool { return s.local == far && s.remote == near && !s.listens() })
		switch {
		case i < 0:
		case all[i].inode != 0:
			return []uint32{all[i].uid}, nil
		case len(listening) > 0:
			return listening, nil
		}
	}
	return nil, errUnknown
}

// listenersAt is whose the sockets are that may take connections to at. One of IPv6 takes those of IPv4 only if it has
// their place, too, so that there is none of IPv4.
func listenersAt(all []socket, at netip.AddrPort) (uids []uint32) {
	anywhere := netip.IPv6Unspecified()
	if at.Addr().Is4() {
		anywhere = netip.IPv4Unspecified()
	}
	for _, where := range [][]netip.Addr{{at.Addr(), anywhere}, {netip.IPv6Unspecified()}} {
		for _, s := range all {
			if s.listens() && s.local.Port() == at.Port() && slices.Contains(where, s.local.Addr()) {
				uids = append(uids, s.uid)
			}
		}
		if len(uids) > 0 {
			return uids
		}
	}
	return nil
}

func addrPort(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), at.IsValid()
}

// foreign is the error for who serves conn.
func foreign(conn net.Conn, uid uint32) error {
	return fmt.Errorf("%s is served by a program of uid %d: %w; if it is the wrapped one, which has changed its user and left its parent, run websockify as that user",
		conn.RemoteAddr(), uid, ErrForeign)
}
