package shadow

import (
	"fmt"
	"math"
	"time"
)

const (
	// An administrator may ask so often for nothing, and once more after each asksEvery. Each request makes lines
	// of the audit, which has room for so many: beyond that they are only counted.
	maxAsks   = 30
	asksEvery = 5 * time.Minute
)

// allowed refuses l, without a word in the audit, if its administrator has asked too often for nothing: was
// refused, or granted what no viewer came to see. Otherwise l counts until its viewer is there.
func (l *life) allowed() *End {
	now := time.Now()
	left, wait := l.m.asks.Take(l.counted(), now)
	if wait > 0 {
		l.m.tellTooMany(l.req.Admin, l.caller)
		return &End{
			Reason:     PromptBusy,
			Detail:     fmt.Sprintf("too many requests of this administrator came to nothing; ask again in %d s", int(math.Ceil(wait.Seconds()))),
			RetryAfter: wait,
		}
	}
	if left > 0 {
		l.before = fmt.Sprintf("%d more requests of this administrator were refused before, too many having come to nothing", left)
	}
	return nil
}

// tellTooMany logs that somebody asks too often, now and then.
func (m *Manager) tellTooMany(admin string, caller *Caller) {
	left, ok := m.tooMany.Take(time.Now())
	if !ok {
		return
	}
	m.journal.write(func() {
		m.cfg.Logger.Warn().Str("admin", admin).Interface("caller", caller).Int("left_out", left).
			Msg("a request was refused that the audit has no line of: too many of the same administrator came to nothing")
	})
}

// uncount says that l was no request for nothing: its viewer is there, or it is nobody's doing that there is none.
func (l *life) uncount() { l.m.asks.GiveBack(l.counted(), time.Now()) }
