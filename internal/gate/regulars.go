package gate

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// maxRegular is how many connections one person may have, besides those of views.
const maxRegular = 256

// regulars are the connections of people who are signed in. Beyond maxRegular of one person the one that was first
// used goes, so that nobody takes the gate's descriptors from the others. The zero value is ready.
type regulars struct {
	proxies []netip.Prefix // whose connections are everybody's

	mu  sync.Mutex
	who map[net.Conn]string
	yet map[net.Conn]bool     // these aren't views when they leave their server
	of  map[string][]net.Conn // by person, the oldest first
}

// note says that a connection is a person's. One that several people share counts for the first.
func (r *regulars) note(c net.Conn, person string) {
	if r.shared(c) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.who[c]; known {
		return
	}
	if r.who == nil {
		r.who, r.of = map[net.Conn]string{}, map[string][]net.Conn{}
	}
	if theirs := r.of[person]; len(theirs) >= maxRegular {
		oldest := theirs[0]
		r.forget(oldest)
		if t, ok := oldest.(*tls.Conn); ok {
			oldest = t.NetConn() // without a word, for which the peer could let it wait
		}
		_ = oldest.Close()
	}
	r.who[c] = person
	r.of[person] = append(r.of[person], c)
}

// shared reports whether a connection is a reverse proxy's.
func (r *regulars) shared(c net.Conn) bool {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	return err == nil && slices.ContainsFunc(r.proxies, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) })
}

// leave says that a connection has gone, or is a view's now, but for one that lingers.
func (r *regulars) leave(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.yet[c] {
		r.forget(c)
	}
}

// linger keeps a connection, if it is a person's, until it is said to have gone.
func (r *regulars) linger(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.who[c]; !known {
		return
	}
	if r.yet == nil {
		r.yet = map[net.Conn]bool{}
	}
	r.yet[c] = true
}

// gone says that a connection that has lingered has gone.
func (r *regulars) gone(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.yet, c)
	r.forget(c)
}

// forget is leave with mu held.
func (r *regulars) forget(c net.Conn) {
	person, known := r.who[c]
	if !known {
		return
	}
	delete(r.who, c)
	if left := slices.DeleteFunc(r.of[person], func(o net.Conn) bool { return o == c }); len(left) > 0 {
		r.of[person] = left
	} else {
		delete(r.of, person)
	}
}
