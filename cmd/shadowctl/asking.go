package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/api"
)

// ask asks for a session and waits for the answer. If it is given events, which are from before
// the request, it tells on a terminal when the user is being asked, and how long still. It
// returns those of the events that nobody has looked at.
func (a *app) ask(ctx context.Context, r api.Request, events <-chan shadow.Event, tell bool) (*api.Grant, []shadow.Event, error) {
	type answer struct {
		grant *api.Grant
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		grant, err := a.client.Shadow(ctx, r)
		answers <- answer{grant, err}
	}()
	line := countdown{w: a.stderr, session: clean(r.Session)}
	defer line.clear()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var id string
	var seen []shadow.Event
	for {
		select {
		case got := <-answers:
			return got.grant, seen, got.err
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			seen = append(seen, e)
			switch {
			case id == "" && e.Type == shadow.EventRequested && e.Session == r.Session && e.Admin == r.Admin:
				id = e.ID
			case tell && id != "" && e.ID == id && e.Type == shadow.EventPrompted:
				line.until = e.Until
				line.show()
			}
		case <-tick.C:
			line.show()
		}
	}
}

// A countdown is a line of a terminal that says how long the user still has. It shows nothing
// before until is set.
type countdown struct {
	w       io.Writer
	session string
	until   time.Time
	shown   bool
}

func (c *countdown) show() {
	if c.until.IsZero() {
		return
	}
	left := max(0, int(math.Ceil(time.Until(c.until).Seconds())))
	c.shown = true
	fmt.Fprintf(c.w, "\r\x1b[KAsking the user of session %s: %d s left. Ctrl-C takes the question back.", c.session, left)
}

// clear takes the line away.
func (c *countdown) clear() {
	if c.shown {
		fmt.Fprint(c.w, "\r\x1b[K")
	}
}

// follow hands on the events of a stream until it ends or ctx does. The channel is closed then,
// and the stream's error is in err.
func follow(ctx context.Context, s *api.EventStream, err *error) <-chan shadow.Event {
	events := make(chan shadow.Event)
	go func() {
		defer close(events)
		for {
			var e shadow.Event
			if e, *err = s.Next(); *err != nil {
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				*err = ctx.Err()
				return
			}
		}
	}()
	return events
}

// isTerminal reports whether somebody reads w as it is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// basisTime is how long the event of a grant may come after its answer.
const basisTime = 2 * time.Second

// basisOf is what allows a granted shadow, as its event says, and seen with those of the events that were looked at; empty: it
// isn't known.
func basisOf(seen []shadow.Event, events <-chan shadow.Event, id string) (string, []shadow.Event) {
	late := time.After(basisTime)
	for i := 0; events != nil; {
		for ; i < len(seen); i++ {
			if seen[i].ID == id && seen[i].Type == shadow.EventGranted {
				return seen[i].Consent, seen
			}
		}
		select {
		case e, ok := <-events:
			if !ok {
				return "", seen
			}
			seen = append(seen, e)
		case <-late:
			return "", seen
		}
	}
	return "", seen
}

// allowed says what allows a view.
func allowed(basis string) string {
	switch consent.Basis(basis) {
	case consent.ByAnswer:
		return "The user said Yes."
	case consent.ByNotice:
		return "A rule lets you view: the user wasn't asked, but has seen that you will."
	case consent.BySilence:
		return "The user didn't answer, and a rule takes that for a Yes."
	case consent.ByLock:
		return "The screen is locked, and a rule lets you view it all the same."
	case consent.ByRuleOnly:
		return "The user wasn't asked: this host's rules let you view."
	}
	return "You may view the session."
}

// howToOpen tells a person what to do with a grant.
func howToOpen(w io.Writer, basis string, g *api.Grant) {
	until := g.Expires.Local().Format(time.TimeOnly)
	if g.Page != "" {
		fmt.Fprintf(w, "%s Open this in a browser; it works once, until %s:\n\n  %s\n\nor connect noVNC to:\n\n", allowed(basis), until, clean(g.Page))
		return
	}
	fmt.Fprintf(w, "%s Connect noVNC to this address; it works once, until %s:\n\n", allowed(basis), until)
}
