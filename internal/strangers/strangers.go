// Package strangers bounds what those may hold who have connected and not yet
// shown who they are. Limits choose a loser rather than queue: whoever comes is
// let in, and the oldest stranger of the biggest group goes, as with sshd's
// MaxStartups. So nobody who holds connections keeps out the one who has come
// to introduce himself.
package strangers

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Crowd is the strangers of any number of doors. Its fields must not be
// changed once it is in use. It is safe for concurrent use.
type Crowd struct {
	Max        int // strangers in all
	PerDoor    int // at one door
	PerAddress int // at one door from one IP address (IPv6: one /64 network)

	mu    sync.Mutex
	here  []*Stranger // oldest first
	total Turned
}

// Turned counts the strangers that were turned away.
type Turned struct {
	Crowded uint64 // others came, and there was no room
	Late    uint64 // their time was up
}

// A Door is where strangers come in.
type Door struct {
	crowd  *Crowd
	turned Turned // guarded by crowd.mu
}

// A Stranger is a connection whose other end hasn't shown who it is.
type Stranger struct {
	door *Door
	from netip.Prefix
	conn net.Conn
	late *time.Timer
	gone bool // guarded by the crowd's mu
}

// Door makes another door.
func (c *Crowd) Door() *Door { return &Door{crowd: c} }

// Here is how many strangers there are.
func (c *Crowd) Here() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.here)
}

// Turned counts those who were turned away from any door.
func (c *Crowd) Turned() Turned {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Turned counts those who were turned away from d.
func (d *Door) Turned() Turned {
	d.crowd.mu.Lock()
	defer d.crowd.mu.Unlock()
	return d.turned
}

// Arrive lets conn in, and another go if there is no room. Unless it has left
// by then, conn is closed after patience.
func (d *Door) Arrive(conn net.Conn, patience time.Duration) *Stranger {
	s := &Stranger{door: d, from: network(conn.RemoteAddr()), conn: conn}
	c := d.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if loser := c.loser(s); loser != nil {
		c.total.Crowded++
		loser.door.turned.Crowded++
		loser.turnAway()
	}
	c.here = append(c.here, s)
	s.late = time.AfterFunc(patience, s.timeUp)
	return s
}

// loser is who has to go when s comes: nobody while there is room. c.mu is held.
func (c *Crowd) loser(s *Stranger) *Stranger {
	door := func(o *Stranger) any { return o.door }
	place := func(o *Stranger) any { return o.from }
	here := only(c.here, door, s.door)
	switch mine := only(here, place, any(s.from)); {
	case len(mine) >= c.PerAddress:
		return mine[0]
	case len(here) >= c.PerDoor:
		return most(here, place)[0]
	case len(c.here) >= c.Max:
		return most(most(c.here, door), place)[0]
	}
	return nil
}

// only are those of list whose key it is.
func only(list []*Stranger, key func(*Stranger) any, is any) (of []*Stranger) {
	for _, s := range list {
		if key(s) == is {
			of = append(of, s)
		}
	}
	return of
}

// most is the biggest group of list by key; of groups of one size, the one with the oldest.
func most(list []*Stranger, key func(*Stranger) any) []*Stranger {
	size := map[any]int{}
	for _, s := range list {
		size[key(s)]++
	}
	biggest := list[0]
	for _, s := range list {
		if size[key(s)] > size[key(biggest)] {
			biggest = s
		}
	}
	return only(list, key, key(biggest))
}

// Grant gives s so much more time, from now on.
func (s *Stranger) Grant(more time.Duration) {
	c := s.door.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.gone {
		s.late.Reset(more)
	}
}

// Leave says that s is no stranger any more, or has gone. It does nothing to its connection.
func (s *Stranger) Leave() {
	c := s.door.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	s.leave()
}

// timeUp turns s away.
func (s *Stranger) timeUp() {
	c := s.door.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gone {
		return
	}
	c.total.Late++
	s.door.turned.Late++
	s.turnAway()
}

// turnAway closes s's connection, under TLS without a word, for which the peer could let it
// wait. The crowd's mu is held.
func (s *Stranger) turnAway() {
	s.leave()
	conn := s.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}

// leave is Leave with the crowd's mu held.
func (s *Stranger) leave() {
	if s.gone {
		return
	}
	s.gone = true
	s.late.Stop()
	c := s.door.crowd
	for i, o := range c.here {
		if o == s {
			c.here = append(c.here[:i], c.here[i+1:]...)
			return
		}
	}
}

// network is the Network of an address; the zero Prefix if it has none.
func network(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return Network(tcp.AddrPort().Addr())
}

// Network is where an address is: one IPv4 address, one /64 of IPv6, which is what one customer
// has, or all of 127.0.0.0/8, which is what each local user has. Of the zero Addr it is the zero
// Prefix.
func Network(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	switch {
	case ip.Is6():
		bits = 64
	case ip.IsLoopback():
		bits = 8
	}
	p, _ := ip.Prefix(bits)
	return p
}
