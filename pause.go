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
	// A No is forgotten so long after the end of its pause.
	forgiven = 30 * time.Minute
	// maxPauses bounds what is remembered.
	maxPauses = 4096
)

// A pauser knows who was told No, so that nobody can be asked until he gives in.
type pauser struct {
	off bool // it is no user who answers

	mu     sync.Mutex
	pauses map[pauseKey]pause
}

// A pauseKey is an administrator and whose screen he wanted to see. A name in other capitals
// is the same administrator's.
type pauseKey struct {
	admin, screen string
	uid           uint32
}

type pause struct {
	length time.Duration
	until  time.Time
}

func (l *life) pauseKey() pauseKey {
	return pauseKey{strings.ToLower(strings.TrimSpace(l.req.Admin)), l.session.Screen(), l.session.UID}
}

// isPolicy reports whether a prompter answers No without asking anybody.
func isPolicy(p consent.Prompter) bool {
	_, ok := p.(consent.Deny)
	return ok
}

// check refuses l while its administrator's pause lasts.
func (p *pauser) check(l *life) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := time.Until(p.pauses[l.pauseKey()].until)
	if left <= 0 {
		return nil
	}
	return &Refusal{
		Reason:     PromptBusy,
		Detail:     fmt.Sprintf("the user has said No to %s; ask again in %d s", l.req.Admin, int(math.Ceil(left.Seconds()))),
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
	length := min(max(2*p.pauses[l.pauseKey()].length, firstPause), lastPause)
	if p.pauses == nil {
		p.pauses = map[pauseKey]pause{}
	}
	p.pauses[l.pauseKey()] = pause{length, now.Add(length)}
}

// yes forgets every No to l's administrator.
func (p *pauser) yes(l *life) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pauses, l.pauseKey())
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
