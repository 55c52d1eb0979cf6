package bus

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// How many strangers are attended to at a time: TLS, and NATS's look at a key. Without a bound all of those who come at once
// after a restart are begun with, few are through before they are too old, and each who is turned away comes again.
const (
	maxBegun   = 256
	maxBegunOf = 64              // of one network
	idleTime   = 2 * time.Second // for which we wait for one in all, while others wait for us
	turnEvery  = idleTime / 8
)

// turns are whose turn it is. Next is who waits of the network that has fewest of them, and of its the newest: older ones may have
// given up. Whose turn it is keeps it until NATS has taken a key, unless we wait for it.
type turns struct {
	mu      sync.Mutex
	begun   []*visit
	of      map[netip.Prefix]int // of begun
	waiting []*visit             // newest last
	look    *time.Timer          // nil: nobody waits
}

// An arrival is a connection that can be waited with.
type arrival struct {
	net.Conn
	gone   chan struct{} // closed by Close
	once   sync.Once
	mu     sync.Mutex
	waited time.Duration // for the other end, before
	since  time.Time     // when we began to wait for it; zero: we don't
	turn   chan struct{} // closed when it is its turn
	from   netip.Prefix
}

// Close says so to who waits with it.
func (a *arrival) Close() error {
	a.once.Do(func() { close(a.gone) })
	return a.Conn.Close()
}

// CloseWrite says that nothing more comes, where the connection can.
func (a *arrival) CloseWrite() error {
	if c, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// Read notes for how long it waits.
func (a *arrival) Read(p []byte) (int, error) {
	a.mu.Lock()
	a.since = time.Now()
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.waited += time.Since(a.since)
		a.since = time.Time{}
	}()
	return a.Conn.Read(p)
}

// idle is for how long we have waited for the other end, however little it sent now and then.
func (a *arrival) idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() {
		return a.waited
	}
	return a.waited + time.Since(a.since)
}

// begin waits for v's turn. False: v has gone.
func (t *turns) begin(v *visit) bool {
	t.mu.Lock()
	t.waiting = append(t.waiting, v)
	t.next()
	t.mu.Unlock()
	select {
	case <-v.conn.turn:
		return true
	case <-v.conn.gone:
		return false
	}
}

// end has it be others' turn. v need not have had one.
func (t *turns) end(v *visit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, v); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.finish(v)
	t.next()
}

// finish takes v's turn. t.mu is held.
func (t *turns) finish(v *visit) {
	i := slices.Index(t.begun, v)
	if i < 0 {
		return
	}
	t.begun = slices.Delete(t.begun, i, i+1)
	if t.of[v.conn.from]--; t.of[v.conn.from] == 0 {
		delete(t.of, v.conn.from)
	}
}

// next begins with whom there is room for, and looks again soon if somebody waits. t.mu is held.
func (t *turns) next() {
	full := map[netip.Prefix]bool{}
	for {
		i := t.first(full)
		if i < 0 {
			break
		}
		v := t.waiting[i]
		if !t.room(v) {
			if len(t.begun) >= maxBegun {
				break
			}
			full[v.conn.from] = true
			continue
		}
		t.waiting = slices.Delete(t.waiting, i, i+1)
		t.begun = append(t.begun, v)
		if t.of == nil {
			t.of = map[netip.Prefix]int{}
		}
		t.of[v.conn.from]++
		close(v.conn.turn)
	}
	switch {
	case len(t.waiting) == 0:
		t.look = nil
	case t.look == nil:
		t.look = time.AfterFunc(turnEvery, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.look = nil
			t.next()
		})
	}
}

// first is who of those who wait is next; -1: nobody. Full networks have their share. t.mu is held.
func (t *turns) first(full map[netip.Prefix]bool) int {
	best, fewest := -1, 0
	for i, v := range slices.Backward(t.waiting) {
		if n := t.of[v.conn.from]; !full[v.conn.from] && (best < 0 || n < fewest) {
			best, fewest = i, n
		}
	}
	return best
}

// room reports whether there is room for v, if need be in the place of one for which we have waited: of its own network where
// that has its share. t.mu is held.
func (t *turns) room(v *visit) bool {
	share := t.of[v.conn.from] >= maxBegunOf
	if !share && len(t.begun) < maxBegun {
		return true
	}
	long := idleTime
	var loser *visit
	for _, o := range t.begun {
		if idle := o.conn.idle(); idle > long && (!share || o.conn.from == v.conn.from) {
			long, loser = idle, o
		}
	}
	if loser == nil {
		return false
	}
	t.finish(loser)
	_ = loser.conn.Close()
	return true
}
