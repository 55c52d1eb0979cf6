package shadow

import (
	"errors"
	"sync"
	"time"

	"vda.internal/shadow/consent"
)

const (
	// farewellTime is how long banners may go on telling their users why viewing has ended
	// when everything else has been shut down.
	farewellTime = 5 * time.Second
	// handover is how long a banner waits for the one before it, which is to go at once.
	handover = 500 * time.Millisecond
)

// A banner is one that is shown on a display.
type banner struct {
	over chan struct{} // closed when it is to say why viewing has ended, which its life knows by then
	told sync.Once     // closes over
	next chan struct{} // closed when the next banner is to take its place
	down chan struct{} // closed when it is down

	mu      sync.Mutex
	changes chan consent.View // what it is to say, if it hasn't taken that yet
}

func newBanner() *banner {
	return &banner{
		over: make(chan struct{}), next: make(chan struct{}), down: make(chan struct{}), changes: make(chan consent.View, 1),
	}
}

// tell makes l's banner say how the viewing goes on. Of what it hasn't taken yet, the last counts.
func (l *life) tell(v consent.View) {
	if l.banner == nil {
		return
	}
	l.banner.mu.Lock()
	defer l.banner.mu.Unlock()
	select {
	case <-l.banner.changes:
	default:
	}
	l.banner.changes <- v
}

// showBanner tells the user that l's viewer is there, if there is a banner to do it. The
// user who can't be told must not be viewed: a banner that can't be shown, or not for as
// long as the viewer is there, ends l, whether it says what was wrong or not. It is not
// waited for; Shutdown does that.
func (l *life) showBanner() {
	if l.m.cfg.Banner == nil {
		l.m.journal.write(func() {
			l.m.cfg.Logger.Warn().Str("id", l.id).Str("session", l.session.ID).Str("admin", l.req.Admin).
				Msg("the user is viewed without a banner, which is switched off")
		})
		return
	}
	l.banner = newBanner()
	before := l.m.replaceBanner(l)
	l.m.banners.Go(func() {
		defer l.m.removeBanner(l)
		before.wait()
		l.runBanner()
	})
}

// runBanner shows l's banner, and ends l when the banner does before.
func (l *life) runBanner() {
	r := l.question()
	r.Changes = l.banner.changes
	if l.pauser != nil {
		r.Wish = l.wish
	}
	first := consent.NewShowing()
	first.Start(l.m.showing, l.m.cfg.Banner, r)
	err := l.follow(first, l.banner.over)
	if err == nil && l.ended() != nil {
		return
	}
	why := bannerEnd(err)
	l.end(why)
	if why.Reason != PromptFailed {
		return
	}
	// The user saw who is viewing, and not that it is over. Another banner says that much, if
	// it can. It has nothing to say if the first has taken the words.
	<-l.banner.over
	if first.Told() {
		return
	}
	last := consent.NewShowing()
	last.End(string(l.ended().Reason))
	last.Start(l.m.showing, l.m.cfg.Banner, r)
	_ = l.follow(last, nil)
}

// follow tells a banner what it is to do until it is down, and returns how it went. over is closed when the
// banner is to say why l has ended; nil: it knows.
func (l *life) follow(b *consent.Showing, over <-chan struct{}) error {
	stopped, next := b.Stopped(), l.banner.next
	for {
		select {
		case <-stopped:
			stopped = nil
			l.end(&End{Reason: StoppedByUser})
		case <-over:
			over = nil
			b.End(string(l.ended().Reason))
		case <-next:
			next = nil
			b.Close()
		case <-b.Done():
			return b.Err()
		}
	}
}

// replaceBanner makes l's banner its display's, and tells the one before to go, which may
// still be saying why an earlier viewing ended. It returns that one, or nil.
func (m *Manager) replaceBanner(l *life) *banner {
	m.mu.Lock()
	defer m.mu.Unlock()
	screen := l.session.Screen()
	before := m.shown[screen]
	if before != nil {
		close(before.next) // its life has ended, and said all it had to
	}
	m.shown[screen] = l.banner
	return before
}

// removeBanner notes that l's banner is down.
func (m *Manager) removeBanner(l *life) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if screen := l.session.Screen(); m.shown[screen] == l.banner {
		delete(m.shown, screen)
	}
	close(l.banner.down)
}

// wait returns when b, if there is one, is down, or hasn't gone in time.
func (b *banner) wait() {
	if b == nil {
		return
	}
	t := time.NewTimer(handover)
	defer t.Stop()
	select {
	case <-b.down:
	case <-t.C:
	}
}

// bannerEnd is the end that a banner's end means while somebody is viewing.
func bannerEnd(err error) *End {
	switch {
	case err == nil:
		return &End{Reason: PromptFailed, Detail: "the banner is gone although viewing has not ended, so the user can't know of the viewer"}
	case errors.Is(err, consent.ErrStopped):
		return &End{Reason: StoppedByUser}
	case errors.Is(err, consent.ErrGone):
		return &End{Reason: SessionEnded}
	case errors.Is(err, consent.ErrDisplay):
		return &End{Reason: DisplayUnreachable, Detail: detail(err)}
	}
	return &End{Reason: PromptFailed, Detail: "the banner failed, so the user can't know of the viewer: " + detail(err)}
}

// endBanner lets the banner say why viewing has ended, which l knows by now. It says so for
// a few seconds, or until the next banner of the display takes its place. Called again, also at
// once, it does nothing.
func (l *life) endBanner() {
	if l.banner == nil {
		return
	}
	l.banner.told.Do(func() { close(l.banner.over) })
}
