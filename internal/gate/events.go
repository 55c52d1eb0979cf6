package gate

import (
	"context"
	"net/http"
	"strings"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/strangers"
)

// happened is given every event of every host.
func (g *Gate) happened(e Happening) {
	if e.Type == shadow.EventEnded {
		g.metrics.ends.WithLabelValues(wordOf(e.Reason)).Inc()
		g.views.ended(e.Host, e.ID)
	}
	if g.Activity == nil {
		return
	}
	if err := g.Activity.Add(e.Host, e.Event); err != nil {
		g.metrics.lost.Inc()
		g.Logger.Error().Err(err).Msg("an event can't be kept for the activity; the host's own audit has it")
	}
}

// hostChanged logs that a host came or went, or can't be listed for another reason, which it says itself: each has a few lines, and
// the next one says how many were left out. It isn't called by two at once.
func (g *Gate) hostChanged(h HostState) {
	rate := g.changes[h.Name]
	if rate == nil {
		rate = new(strangers.Rate)
		g.changes[h.Name] = rate
	}
	left, ok := rate.Take(time.Now())
	if !ok {
		return
	}
	e := g.Logger.Info()
	if h.State != "up" {
		e = g.Logger.Warn().Str("detail", h.Detail)
	}
	leftOut(e, left).Str("host", h.Name).Str("state", h.State).Msg("host")
}

// mayRead reports whether somebody may read of an event.
func (g *Gate) mayRead(s *signin.Session, host, user string) bool {
	return g.Access.May(s.Person(), access.Audit, host, user)
}

// nameOf is what an event is called on the stream. A host's word must not break out of its line.
func nameOf(e Happening) string {
	if strings.ContainsFunc(string(e.Type), func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }) {
		return "other"
	}
	return string(e.Type)
}

func (g *Gate) followEvents(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	if !g.Access.MayAnywhere(s.Person(), access.Audit) {
		g.refuse(w, r, s, noAudit())
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	feed := g.hub.subscribe(ctx) // before the browser is told that nothing is missed from now on
	out, release, ok := g.stream(w, r, s)
	if !ok {
		return
	}
	defer release()
	for {
		select {
		case <-feed.wake:
			if !g.tellEvents(out, s, feed) {
				return
			}
		case <-out.beat.C:
			if !out.send([]byte(": alive\n\n")) {
				return
			}
		case <-out.done:
			return
		}
	}
}

// tellEvents tells what has happened, and of which hosts events were left out. It reports whether there may be more.
func (g *Gate) tellEvents(out *sse, s *signin.Session, f *feed) bool {
	events, left, over := g.hub.drain(f)
	for _, e := range events {
		if g.mayRead(s, e.Host, e.User) && !out.event(nameOf(e), e) {
			return false
		}
	}
	for host, n := range left {
		if g.mayHost(s.Person(), host) && !out.event("left_out", LeftOut{Host: host, Events: n}) {
			return false
		}
	}
	return !over
}
