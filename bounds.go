package shadow

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// partTime is how long a part of a Config may take for one answer: to find a session or a group's name,
// to read a certificate, to look at a source or to open one. It is longer than what this module's own
// parts take at most.
const partTime = 30 * time.Second

const (
	// maxHanging is how many calls of a part may hang for one user, or one name, before no more are made.
	maxHanging = 4
	// maxAllHanging is how many may for all together.
	maxAllHanging = 64
)

// A part of the Config is called for somebody.
type part struct {
	what string // "the source"
	whom string // a user, a session or a host; empty: everybody
}

// ofUser is the part what, called for s's user.
func ofUser(what string, s *Session) part {
	if s == nil {
		return part{what, ""}
	}
	return part{what, strconv.FormatUint(uint64(s.UID), 10)}
}

// hanging counts the calls that were left behind and haven't returned. Each keeps memory, and perhaps a
// thread of the process.
type hanging struct {
	mu  sync.Mutex
	n   map[part]int
	all map[string]int // by what
}

// add notes n more.
func (h *hanging) add(p part, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == nil {
		h.n, h.all = map[part]int{}, map[string]int{}
	}
	if h.n[p] += n; h.n[p] == 0 {
		delete(h.n, p)
	}
	if h.all[p.what] += n; h.all[p.what] == 0 {
		delete(h.all, p.what)
	}
}

// full reports whether p isn't called any more.
func (h *hanging) full(p part) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n[p] >= maxHanging || h.all[p.what] >= maxAllHanging
}

// ask calls f, a part of the Config, and is what f returns. Nobody waits for longer than partTime, nor after
// ctx has ended: what hasn't returned a moment later is left behind, and late, unless it is nil, is given
// what it returns after all. A panic is an error. A part of which
// too many calls hang isn't called. On success the context that f was given goes on with ctx.
func ask[T any](ctx context.Context, m *Manager, p part, f func(context.Context) (T, error), late func(T)) (T, error) {
	var none T
	what := p.what
	if m.hanging.full(p) {
		return none, pkg.Errorf("%s isn't asked: too many earlier calls of it have not returned", what)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer time.AfterFunc(partTime, func() {
		cancel(pkg.Errorf("%s gave no answer within %v", what, partTime))
	}).Stop()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	ended := done(func() {
		a := answer{err: pkg.Errorf("%s ended its goroutine", what)}
		defer func() { answers <- a }()
		defer caught(what, &a.err)
		a.value, a.err = f(ctx)
	})
	select {
	case <-ended:
	case <-ctx.Done():
		if !within(ended, m.tidy) {
			m.hanging.add(p, 1)
			m.abandon(what, done(func() {
				defer m.hanging.add(p, -1)
				if a := <-answers; a.err == nil && late != nil {
					late(a.value)
				}
			}))
			return none, context.Cause(ctx)
		}
	}
	a := <-answers
	if isNil(a.err) { // as a nil *End is
		a.err = nil
	}
	if a.err != nil {
		cancel(a.err)
	}
	return a.value, a.err
}

// abandon leaves what behind, which ends when done is closed.
func (m *Manager) abandon(what string, done <-chan struct{}) {
	m.left.add(what, done)
	m.journal.write(func() { m.cfg.Logger.Error().Msg(what + " has not answered in time and was given up") })
}
