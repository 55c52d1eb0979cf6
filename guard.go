package shadow

import (
	"cmp"
	"context"
	"errors"
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
	// revisitInterval is how often a session is looked up of which who waits for its end knows the id only.
	revisitInterval = 10 * time.Second
	// fitInterval is how often a [Fitter] is asked.
	fitInterval = 2 * time.Second
	// lookPatience is how many times in a row nobody may be able to tell whether a session, or its picture, is
	// still the one that its user let be viewed; half a minute, partTime, is too long for fewer.
	lookPatience = 5
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

// guard lets l end with its session, and when its source may show another one. What it starts is joined by l's owner.
func (l *life) guard() {
	session := *l.session // whose monitor is named later
	switch w := l.m.cfg.Sessions.(type) {
	case SessionWatcher:
		l.guards.Go(func() { l.watchSession(&session, func() error { return w.WaitEndOf(l.ctx, &session) }) })
	case SessionWaiter:
		l.guards.Go(func() { l.watchSession(&session, func() error { return w.WaitEnd(l.ctx, session.ID) }) })
		l.guards.Go(func() { l.revisit(&session) })
	}
	if f, ok := l.m.cfg.Source.(carefulSource).Source.(Fitter); ok {
		l.guards.Go(func() { l.watchPicture(f, &session) })
	}
}

// watchSession ends l when its session has ended, for which wait waits, or when nobody can tell whether it has.
func (l *life) watchSession(s *Session, wait func() error) {
	told := false
	var d doubt
	for {
		err := wait()
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
				l.m.cfg.Logger.Warn().Err(err).Str("id", l.id).Str("session", s.ID).
					Msg("the session's end can't be waited for; trying again")
			})
		}
		select {
		case <-time.After(l.m.retry):
		case <-l.ctx.Done():
			return
		}
		if l.look(s, &d) {
			return
		}
	}
}

// revisit looks again and again whether s, of which who waits for its end knows the id only, is the same still. It ends l
// as watchSession does.
func (l *life) revisit(s *Session) {
	tick := time.NewTicker(l.m.revisiting)
	defer tick.Stop()
	var d doubt
	for {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
		if l.look(s, &d) {
			return
		}
	}
}

// look ends l, and returns true, if s has ended, or if that is in doubt for too long.
func (l *life) look(s *Session, d *doubt) (ended bool) {
	began := time.Now()
	over, unclear := l.isOver(s)
	switch {
	case over != nil:
		l.end(over)
	case d.isTooMuch(unclear, began):
		l.end(&End{Reason: SourceFailed, Detail: "cannot tell whether the session is still running: " + detail(unclear), Err: unclear})
	}
	return l.ctx.Err() != nil
}

// A doubt is for how long nobody has been able to tell something. The zero doubt is none.
type doubt struct {
	looks int       // in vain, one after the other
	since time.Time // when the first of them began
}

// isTooMuch notes a look that began at that time and came to err, and reports whether it was one too many.
func (d *doubt) isTooMuch(err error, began time.Time) bool {
	if err == nil {
		*d = doubt{}
		return false
	}
	if d.looks++; d.looks == 1 {
		d.since = began
	}
	return d.looks >= lookPatience || time.Since(d.since) >= partTime
}

// isOver looks whether s has ended, since its end can't be waited for. unclear is why that can't be told.
func (l *life) isOver(s *Session) (over *End, unclear error) {
	now, why := l.lookUp()
	if why == nil {
		why = now.Unavailable
	}
	switch {
	case why != nil && (why.Reason == NoSession || why.Reason == SessionEnded):
		return &End{Reason: SessionEnded}, nil
	case why != nil:
		return nil, pkg.New(cmp.Or(why.Detail, why.Reason.Sentence()))
	case now.UID != s.UID || now.Screen() != s.Screen():
		return &End{Reason: SessionEnded, Detail: "its id is another session's by now"}, nil
	}
	if r := now.Refusal(); r != nil && r.Reason == SessionEnded {
		return r, nil
	}
	return nil, nil
}

// watchPicture ends l when its source may show another session than s, or when nobody can tell whether it does.
func (l *life) watchPicture(f Fitter, s *Session) {
	tick := time.NewTicker(l.m.fitting)
	defer tick.Stop()
	var d doubt
	for {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
		began := time.Now()
		_, err := ask(l.ctx, l.m, ofUser("the source's look at what it shows", s), func(ctx context.Context) (struct{}, error) { return struct{}{}, f.Fits(ctx, s) }, nil)
		why, another := errors.AsType[*End](err)
		switch {
		case l.ctx.Err() != nil:
			return
		case another:
			l.end(why)
			return
		case d.isTooMuch(err, began):
			l.end(&End{Reason: SourceFailed, Detail: "cannot tell whose screen is shown: " + detail(err), Err: err})
			return
		}
	}
}
