package bus

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How many strangers are attended to at a time: TLS, and NATS's look at a key. Without a bound all of those who come at once
// after a restart are begun with, few are through before they are too old, and each who is turned away comes again.
const (
	maxBegun   = 256
	maxBegunOf = 64          // of one network
	idleTime   = time.Second // for which we wait for one, while others wait for us
	turnEvery  = idleTime / 4
)

// turns are whose turn it is. The newest of those who wait is next: older ones may have given up. Whose turn it is keeps it
// until NATS has taken a key, unless we wait for it.
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
	gone chan struct{} // closed by Close
	once sync.Once
	idle atomic.Int64  // since when we wait for the other end, in Unix nanoseconds; 0: we don't
	turn chan struct{} // closed when it is its turn
	from netip.Prefix
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
	a.idle.Store(time.Now().UnixNano())
	defer a.idle.Store(0)
	return a.Conn.Read(p)
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
	for i := len(t.waiting) - 1; i >= 0; i-- {
		v := t.waiting[i]
		if full[v.conn.from] || !t.room(v) {
			full[v.conn.from] = true
			if len(t.begun) >= maxBegun {
				break
			}
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

// room reports whether there is room for v, if need be in the place of one for which we have waited: of its own network where
// that has its share. t.mu is held.
func (t *turns) room(v *visit) bool {
	share := t.of[v.conn.from] >= maxBegunOf
	if !share && len(t.begun) < maxBegun {
		return true
	}
	long := time.Now().Add(-idleTime).UnixNano()
	var loser *visit
	for _, o := range t.begun {
		if idle := o.conn.idle.Load(); idle != 0 && idle < long && (!share || o.conn.from == v.conn.from) {
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
