package shadow

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow/consent"
)

const (
	// After a No the same administrator waits before the same user is asked again, from
	// firstPause, doubled with every further No, up to lastPause.
	firstPause = 15 * time.Second
	lastPause  = 15 * time.Minute
	// claimPause is the longest pause of all the names together that a service states and no account has: another name
	// gets nobody round a pause, and none keeps others out for long.
	claimPause = time.Minute
	// A No is forgotten so long after the end of its pause.
	forgiven = 30 * time.Minute
	// shownName is how many letters of a long name the user is sure to be shown.
	shownName = 63
	// maxPauses bounds what is remembered.
	maxPauses = 4096
)

// A pauser knows who was told No, so that nobody can be asked until he gives in.
type pauser struct {
	off bool // it is no user who answers

	mu     sync.Mutex
	pauses map[pauseKey]pause
}

// A pauseKey is who asks, see life.askers, and whose screen he wanted to see.
type pauseKey struct {
	asker, screen string
	uid           uint32
}

type pause struct {
	admin  string // who was told No
	length time.Duration
	until  time.Time
}

// pauseKeys are those of l: each has a pause of its own.
func (l *life) pauseKeys() []pauseKey {
	var keys []pauseKey
	for _, asker := range l.askers() {
		keys = append(keys, pauseKey{asker, l.session.Screen(), l.session.UID})
	}
	return keys
}

// isPolicy reports whether a prompter says by itself that it answers without asking anybody, as
// [consent.Deny] and [consent.Allow] do.
func isPolicy(p consent.Prompter) bool {
	_, ok := p.(interface{ AsksNobody() })
	return ok
}

// check refuses l while its administrator's pause lasts.
func (p *pauser) check(l *life) *End {
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest pause
	for _, key := range l.pauseKeys() {
		if last := p.pauses[key]; last.until.After(longest.until) {
			longest = last
		}
	}
	left := time.Until(longest.until)
	if left <= 0 {
		return nil
	}
	return &End{
		Reason:     PromptBusy,
		Detail:     fmt.Sprintf("the user has said No to %s; ask again in %d s", longest.admin, int(math.Ceil(left.Seconds()))),
		RetryAfter: left,
	}
}

// no notes that l's user has said No.
func (p *pauser) no(l *life) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off {
		return
	}
	now := time.Now()
	p.forget(now)
	if p.pauses == nil {
		p.pauses = map[pauseKey]pause{}
	}
	for _, key := range l.pauseKeys() {
		longest := lastPause
		if strings.HasPrefix(key.asker, claims) {
			longest = claimPause
		}
		length := min(max(2*p.pauses[key].length, firstPause), longest)
		p.pauses[key] = pause{l.req.Admin, length, now.Add(length)}
	}
}

// yes forgets every No to l's administrator.
func (p *pauser) yes(l *life) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range l.pauseKeys() {
		delete(p.pauses, key)
	}
}

// forget drops what is long over and, if that doesn't help, what ends first. p.mu is held.
func (p *pauser) forget(now time.Time) {
	for key, pause := range p.pauses {
		if now.Sub(pause.until) > forgiven {
			delete(p.pauses, key)
		}
	}
	for len(p.pauses) >= maxPauses {
		var first pauseKey
		var until time.Time
		for key, pause := range p.pauses {
			if until.IsZero() || pause.until.Before(until) {
				first, until = key, pause.until
			}
		}
		delete(p.pauses, first)
	}
}
