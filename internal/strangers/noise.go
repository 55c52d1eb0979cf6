package strangers

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// A source of noise may make so many lines of the log at once, and one more after
	// each quietTime.
	noisyLines = 10
	quietTime  = 10 * time.Second
	// maxSources is how many sources of one Noise are told apart. All others have one limit together.
	maxSources = 32
)

// A Noise is what strangers cause in the log at one place: each IPv4 address, or /64 network of IPv6,
// makes a few lines, and the next one says how many of its own were left out. It is safe for concurrent
// use; the zero value is ready.
type Noise struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*Rate
	others  Rate // of those for whom there is no room, and of lines that name nobody
	untold  int  // lines left out that no line has told of
}

// Pass reports whether there may be a line about a source, and how many there were not before it. The zero
// Prefix is nobody's.
func (n *Noise) Pass(source netip.Prefix) (left int, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	left, ok = n.of(source, now).Take(now)
	if !ok {
		n.untold++
	}
	n.untold -= left
	return left, ok
}

// of is the limit for a source. n.mu is held.
func (n *Noise) of(source netip.Prefix, now time.Time) *Rate {
	if r := n.sources[source]; r != nil {
		return r
	}
	if len(n.sources) >= maxSources {
		for s, r := range n.sources {
			if r.rested(now) {
				delete(n.sources, s)
			}
		}
	}
	if !source.IsValid() || len(n.sources) >= maxSources {
		return &n.others
	}
	if n.sources == nil {
		n.sources = map[netip.Prefix]*Rate{}
	}
	n.sources[source] = new(Rate)
	return n.sources[source]
}

// LeftOut is how many lines were left out of which no line has told.
func (n *Noise) LeftOut() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.untold
}

// A Rate limits what somebody else than the administrator repeats as he likes: noisyLines at once, and
// one more each quietTime. It is safe for concurrent use; the zero value is ready.
type Rate struct {
	mu   sync.Mutex
	room float64
	last time.Time
	left int // that were left out since the last
}

// Take reports whether there may be another, and how many were left out before it.
func (r *Rate) Take(now time.Time) (left int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room = r.roomAt(now)
	r.last = now
	if r.room < 1 {
		r.left++
		return 0, false
	}
	r.room--
	left, r.left = r.left, 0
	return left, true
}

// roomAt is for how many there is room at a time that isn't before the last. r.mu is held.
func (r *Rate) roomAt(now time.Time) float64 {
	if r.last.IsZero() {
		return noisyLines
	}
	return min(noisyLines, r.room+now.Sub(r.last).Seconds()/quietTime.Seconds())
}

// rested reports whether r is as a new one would be.
func (r *Rate) rested(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roomAt(now) >= noisyLines
}
