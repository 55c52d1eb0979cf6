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
	r := l.question()
	l.m.wg.Go(func() {
		if why := bannerEnding(banner.Show(l.m.base, r, l.viewed)); why != nil {
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

// endBanner lets the banner say why viewing has ended, which l knows by now. The user
// isn't told where that would only be in the way of the next banner.
func (l *life) endBanner() {
	if l.viewed == nil {
		return
	}
	why := l.ended().reason
	if why != Superseded {
		l.viewed <- string(why)
	}
	close(l.viewed)
}
