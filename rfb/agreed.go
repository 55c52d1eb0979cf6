package rfb

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

// agreed is what each direction of a session must know of the other: how large
// the framebuffer is and what the server has confirmed, which the server's
// stream tells, which encodings rectangles may have and which extensions may
// be used, which follows from what was asked for, and fences that wait for
// their answer. It is safe for concurrent use.
type agreed struct {
	size      atomic.Uint32 // width<<16 | height
	encodings atomic.Uint64 // an encodingSet
	features  atomic.Uint32 // a feature set

	fences fences
	turn   turn
}

// A feature is something that one of the peers has said it knows.
type feature uint32

const (
	askedFences   feature = 1 << iota // Fence and ContinuousUpdates
	hasUpdates                        // the server knows ContinuousUpdates
	hasFences                         // the server has sent a fence
	askedColorMap                     // the viewer wants, or has wanted, the colours of a map
)

func newAgreed(width, height uint16) *agreed {
	a := new(agreed)
	a.fences.more = make(chan struct{}, 1)
	a.turn.news = a.fences.more
	a.resize(width, height)
	a.allow(encodingBit(EncodingRaw)) // a server may always use it
	return a
}

func (a *agreed) resize(width, height uint16) { a.size.Store(uint32(width)<<16 | uint32(height)) }

func (a *agreed) framebuffer() (width, height uint16) {
	s := a.size.Load()
	return uint16(s >> 16), uint16(s)
}

// allow adds to the encodings. None is ever taken away: an update may be under
// way when a viewer changes its mind.
func (a *agreed) allow(set encodingSet) { a.encodings.Or(uint64(set)) }

func (a *agreed) allows(bit encodingSet) bool {
	return encodingSet(a.encodings.Load())&bit != 0
}

// learn adds a feature.
func (a *agreed) learn(f feature) { a.features.Or(uint32(f)) }

// knows reports whether all of f was said.
func (a *agreed) knows(f feature) bool { return feature(a.features.Load())&f == f }

// fences are a server's fences that wait for the viewer's answer, the oldest
// first.
type fences struct {
	mu      sync.Mutex
	waiting []waitingFence
	some    atomic.Bool   // waiting has some; written under mu
	more    chan struct{} // has a value after one was added, or the turn has news
}

// A waitingFence is one of them. The answer has the server's own payload.
type waitingFence struct {
	flags FenceFlags
	since time.Time
	n     int
	bytes [maxFence]byte
}

func (w *waitingFence) payload() []byte { return w.bytes[:w.n] }

// add notes a fence that is being shown to the viewer. It reports false if too
// many wait: answers can't be sent as fast.
func (f *fences) add(flags FenceFlags, payload []byte, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == maxFences {
		return false
	}
	w := waitingFence{flags: flags & fenceKnown, since: now}
	w.n = copy(w.bytes[:], payload)
	f.waiting = append(f.waiting, w)
	f.some.Store(true)
	select {
	case f.more <- struct{}{}:
	default:
	}
	return true
}

// answer takes the fence with a payload that the viewer answers. It reports
// false if there is none.
func (f *fences) answer(payload []byte) (waitingFence, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.waiting {
		if bytes.Equal(f.waiting[i].payload(), payload) {
			return f.take(i), true
		}
	}
	return waitingFence{}, false
}

// late takes the oldest fence if the viewer has had its time to answer, or if
// so many wait that there must soon be room. It reports false if there is none.
func (f *fences) late(now time.Time) (waitingFence, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 || len(f.waiting) <= maxFences/2 && now.Sub(f.waiting[0].since) < fenceTime {
		return waitingFence{}, false
	}
	return f.take(0), true
}

func (f *fences) take(i int) waitingFence {
	w := f.waiting[i]
	f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
	f.some.Store(len(f.waiting) > 0)
	return w
}

// next is when the oldest fence will be late; zero if there is none.
func (f *fences) next() time.Time {
	if !f.some.Load() {
		return time.Time{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		return time.Time{}
	}
	return f.waiting[0].since.Add(fenceTime)
}
