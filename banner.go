package shadow

import (
	"errors"

	"vda.internal/shadow/consent"
)

// showBanner tells the user that l's viewer is there, if there is a banner to do it. The
// user who can't be told must not be viewed: a banner that can't be shown, or not for as
// long as the viewer is there, ends l. It is not waited for; Shutdown does that.
func (l *life) showBanner() {
	banner := l.m.cfg.Banner
	if banner == nil {
		l.m.cfg.Logger.Warn().Str("id", l.id).Str("session", l.session.ID).Str("admin", l.req.Admin).
			Msg("the user is viewed without a banner, which is switched off")
		return
	}
	l.viewed = make(chan string, 1)
	if l.notice != nil {
		close(l.notice)
	}
	r := l.question()
	stopped := func() { l.end(&ending{reason: StoppedByUser}) }
	l.m.wg.Go(func() {
		if why := bannerEnding(banner.Show(l.m.base, r, l.viewed, stopped)); why != nil {
			l.end(why)
		}
	})
}

// bannerEnding is the end that a banner's end means, or nil.
func bannerEnding(err error) *ending {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, consent.ErrStopped):
		return &ending{reason: StoppedByUser}
	case errors.Is(err, consent.ErrGone):
		return &ending{reason: SessionEnded}
	case errors.Is(err, consent.ErrDisplay):
		return &ending{DisplayUnreachable, err.Error()}
	}
	return &ending{PromptFailed, "the user can't be told of the viewer: " + err.Error()}
}

// endBanner lets the banner say why viewing has ended, which l knows by now. It says so for
// a few seconds, or until the next banner takes its place.
func (l *life) endBanner() {
	if l.viewed != nil {
		l.viewed <- string(l.ended().reason)
	}
}

// lastNotice is where l's banner, or if it had none the one before it, hears that it is to go. l
// has ended.
func (l *life) lastNotice() chan<- string {
	if l.viewed != nil {
		return l.viewed
	}
	return l.notice
}
