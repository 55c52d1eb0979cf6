package gate

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/strangers"
)

// errSignedOut is the cause with which what a session has going on ends.
var errSignedOut = errors.New("signed out")

// patrolEvery is how often it is looked whether sessions with something going on are still good.
const patrolEvery = 2 * time.Second

// A hold is something that a session has going on: a question, a stream, a view. It ends with the
// session.
type hold struct {
	session *signin.Session
	end     context.CancelCauseFunc
}

// hold is ctx, ending with s. release has to be called.
func (g *Gate) hold(ctx context.Context, s *signin.Session) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	own := *s
	h := &hold{&own, cancel}
	g.mu.Lock()
	g.holds[h] = struct{}{}
	g.mu.Unlock()
	if !g.isGood(h) { // it may have ended meanwhile
		cancel(errSignedOut)
	}
	return ctx, func() {
		g.mu.Lock()
		delete(g.holds, h)
		g.mu.Unlock()
		cancel(nil)
	}
}

// patrol ends what belongs to sessions that are over, and tells other gates of sign-ins, until ctx ends.
func (g *Gate) patrol(ctx context.Context) {
	var stopping sync.WaitGroup
	defer stopping.Wait()
	telling := make(chan struct{}, 1)
	for ctx.Err() == nil {
		pause(ctx, patrolEvery)
		g.endHolds()
		for _, v := range g.views.tidy() {
			stopping.Go(func() {
				if !g.stopLater(ctx, v.host, v.ID) {
					g.views.tryAgain(v)
				}
			})
		}
		select {
		case telling <- struct{}{}: // a board may take its time, and what is over waits for none
			stopping.Go(func() {
				defer func() { <-telling }()
				g.tell(ctx)
			})
		default:
		}
	}
}

// endHolds ends what belongs to sessions that aren't good any more.
func (g *Gate) endHolds() {
	g.mu.Lock()
	list := make([]*hold, 0, len(g.holds))
	for h := range g.holds {
		list = append(list, h)
	}
	g.mu.Unlock()
	for _, h := range list {
		if !g.isGood(h) {
			h.end(errSignedOut)
		}
	}
}

// isGood reports whether a hold's session goes on with the same groups. With others it may not have what
// it began any more.
func (g *Gate) isGood(h *hold) bool {
	own := *h.session // Still brings it up to date, and there are several who ask
	return g.Desk.Still(&own) == nil && slices.Equal(own.Groups, h.session.Groups)
}

// A signedIn handles a request of somebody who is signed in.
type signedIn func(w http.ResponseWriter, r *http.Request, s *signin.Session)

// backgroundHeader marks what a page asks by itself while nobody uses it: that doesn't keep a sign-in going.
const backgroundHeader = "Shadowgate-Background"

// person lets those through who are signed in, and keeps their cookies fresh.
func (g *Gate) person(next signedIn) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, p := g.identify(r)
		if p == nil && r.Header.Get(backgroundHeader) == "" && g.Desk.Keep(w, s) != nil {
			p = problem(http.StatusInternalServerError, "who is signed in doesn't fit a cookie")
		}
		if p != nil {
			writeProblem(w, p)
			return
		}
		next(w, r, s)
	}
}

// calling is person for what has a host asked something, but for questions and stops: a person has a share of that, so
// that nobody takes hosts from others.
func (g *Gate) calling(next signedIn) http.HandlerFunc { return g.sharing(&g.calls, next) }

// looking is calling for a look at what goes on at hosts, which pages take by themselves.
func (g *Gate) looking(next signedIn) http.HandlerFunc { return g.sharing(&g.looks, next) }

func (g *Gate) sharing(q *strangers.Quota, next signedIn) http.HandlerFunc {
	return g.person(func(w http.ResponseWriter, r *http.Request, s *signin.Session) {
		leave, p := g.share(&g.underway, q, s)
		if p != nil {
			writeProblem(w, p)
			return
		}
		defer leave()
		next(w, r, s)
	})
}

// share takes one of what s may have hosts asked, by q, and a place among what is under way, which leave gives back. leave has to be
// called if there is no problem.
func (g *Gate) share(underway *counter, q *strangers.Quota, s *signin.Session) (leave func(), p *api.Problem) {
	leave, ok := underway.take(s.Owner())
	if !ok {
		return nil, tooMany(time.Second, "there are too many requests under way")
	}
	if _, wait := q.Take(s.Owner(), time.Now()); wait > 0 {
		leave()
		return nil, tooMany(wait, "you have asked hosts too often")
	}
	return leave, nil
}

// streaming is person for a stream of events, which a page opens again by itself whenever it is lost.
func (g *Gate) streaming(next signedIn) http.HandlerFunc {
	handle := g.person(next)
	return func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(backgroundHeader, "1") // an EventSource can't
		handle(w, r)
	}
}

// identify is who sends r, or why that isn't known.
func (g *Gate) identify(r *http.Request) (*signin.Session, *api.Problem) {
	s, err := g.Desk.Identify(r)
	if err == nil {
		g.known(r, s.Owner())
		g.Desk.Note(r, s)
		g.noteUse(r, s)
		return s, nil
	}
	if errors.Is(err, signin.ErrClock) {
		return nil, refusal(http.StatusUnauthorized, reasonClock, "%v; set this gate's clock, and those of the gates that share its session.keys", err)
	}
	if errors.Is(err, signin.ErrToken) {
		g.noteSignIn(r, signin.ByToken, "wrong", "", nil)
	} else if !errors.Is(err, signin.ErrSignedOut) {
		g.Logger.Error().Err(err).Msg("cannot check sign-ins; treating everyone as signed out")
	}
	return nil, refusal(http.StatusUnauthorized, reasonSignIn, "")
}
