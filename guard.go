package shadow

import (
	"context"
	"fmt"
	"time"
)

const (
	// settingsInterval is how often the settings are read while anybody is
	// asked or watches.
	settingsInterval = time.Second
	// settingsPatience is how many times in a row they may be unreadable before
	// that counts as switched off: a file that is just being saved, or a
	// registry that is slow for once, ends nothing.
	settingsPatience = 5
	// sessionRetry is how long it takes to wait for a session's end anew when
	// the waiting itself has failed.
	sessionRetry = 5 * time.Second
)

// patrol reads the settings while there is anybody whom they concern, and
// ends all shadows when shadowing is switched off. ShadowingUseSSL concerns
// new requests only. It ends when nobody is asked or watches, and admit starts
// it again.
func (m *Manager) patrol() {
	defer m.wg.Done()
	tick := time.NewTicker(m.interval)
	defer tick.Stop()
	unreadable := 0
	for {
		select {
		case <-tick.C:
		case <-m.base.Done():
			return
		}
		if m.endPatrol() {
			return
		}
		settings, err := m.readSettings(m.base)
		switch {
		case err != nil:
			if unreadable++; unreadable >= settingsPatience {
				m.endAll(&End{Reason: Disabled, Detail: "the settings can't be read: " + detail(err)})
			}
			continue
		case !settings.EnableSessionShadowing:
			m.endAll(&End{Reason: Disabled, Detail: "EnableSessionShadowing is 0"})
		}
		unreadable = 0
	}
}

// settingsTime is how long the settings may take to be read.
const settingsTime = 5 * time.Second

// readSettings reads the settings. What takes too long can't be read.
func (m *Manager) readSettings(ctx context.Context) (Settings, error) {
	ctx, cancel := context.WithTimeout(ctx, m.reading)
	defer cancel()
	type answer struct {
		settings Settings
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		settings, err := m.cfg.Settings(ctx)
		answers <- answer{settings, err}
	}()
	select {
	case a := <-answers:
		return a.settings, a.err
	case <-ctx.Done():
	}
	select { // it may have been the one that noticed
	case a := <-answers:
		return a.settings, a.err
	default:
		return Settings{}, fmt.Errorf("they were not there within %v: %w", m.reading, context.Cause(ctx))
	}
}

// endPatrol reports whether there is nothing left to patrol for.
func (m *Manager) endPatrol() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.patrolling = len(m.seats) > 0
	return !m.patrolling
}

// endAll ends every shadow that is asked about or watched.
func (m *Manager) endAll(why *End) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, place := range m.seats {
		for _, l := range []*life{place.asking, place.watching} {
			if l != nil {
				l.end(why)
			}
		}
	}
}

// guard lets l end with its session. What it starts is joined by l's owner.
func (l *life) guard() {
	if w, ok := l.m.cfg.Sessions.(SessionWaiter); ok {
		l.guards.Go(func() { l.watchSession(w) })
	}
}

// watchSession ends l when its session has ended.
func (l *life) watchSession(w SessionWaiter) {
	told := false
	for {
		err := w.WaitEnd(l.ctx, l.session.ID)
		if l.ctx.Err() != nil {
			return
		}
		if err == nil {
			l.end(&End{Reason: SessionEnded})
			return
		}
		if !told {
			told = true
			l.m.journal.write(func() {
				l.m.cfg.Logger.Warn().Err(err).Str("id", l.id).Str("session", l.session.ID).
					Msg("the session's end can't be waited for; trying again")
			})
		}
		select {
		case <-time.After(sessionRetry):
		case <-l.ctx.Done():
			return
		}
	}
}
