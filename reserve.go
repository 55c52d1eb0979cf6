package shadow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"vda.internal/shadow/portpool"
)

// lookUpTime bounds the look-up of this host's own name.
const lookUpTime = 2 * time.Second

// reserve makes sure of a port before the user is asked. Without one a Yes would be worthless,
// unless there is somebody whose port it can inherit.
func (l *life) reserve() *End {
	if l.req.Port != nil {
		port, err := l.req.Port()
		if err != nil {
			return l.refuse(NoPort, err)
		}
		l.reserved = port
		return nil
	}
	if err := l.reachable(); err != nil {
		return l.refuse(NoPort, err)
	}
	port, err := l.m.cfg.Ports.Reserve(l.ctx)
	if errors.Is(err, portpool.ErrExhausted) && l.m.watcher(l) != nil {
		return nil
	}
	if err != nil {
		return l.refuse(NoPort, err)
	}
	l.reserved = port
	return nil
}

// takeReserved begins to listen on the port that was reserved. Without one, and if another
// program was quicker, there is none.
func (l *life) takeReserved() Port {
	port := l.reserved
	l.reserved = nil
	if port != nil && port.Listen() != nil {
		port.Close()
		port = nil
	}
	return port
}

// unreserve lets the port go if l hasn't come to listen on it.
func (l *life) unreserve() {
	if l.reserved != nil {
		l.reserved.Close()
		l.reserved = nil
	}
}

// reachable is an error if viewers who look up this host's name find only addresses of a kind
// of IP on which the ports aren't bound. What can't be looked up here may be known to them.
func (l *life) reachable() error {
	pool := l.m.cfg.Ports
	if pool.Reaches(netip.IPv4Unspecified()) && pool.Reaches(netip.IPv6Unspecified()) {
		return nil
	}
	addrs := []netip.Addr(nil)
	if addr, err := netip.ParseAddr(l.host); err == nil {
		addrs = append(addrs, addr)
	} else {
		ctx, cancel := context.WithTimeout(l.ctx, lookUpTime)
		defer cancel()
		if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", l.host); err != nil {
			return nil
		}
	}
	for _, addr := range addrs {
		if pool.Reaches(addr) {
			return nil
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	return fmt.Errorf("%s has no address on which viewers' ports listen (%s)", l.host, pool.Host)
}
