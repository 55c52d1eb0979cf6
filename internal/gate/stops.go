package gate

import (
	"context"
	"net/http"
	"time"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/hosts"
)

const (
	stopTime  = 15 * time.Second // bounds a stop that nobody waits for
	graceTime = 2 * time.Second  // for a host to have stopped a view that the gate has cut, before who asked is answered
	tellTime  = 2 * time.Second  // for the bus to have it that a view was stopped

	maxStopped  = 16384          // views that are known to have been stopped, by whichever gate
	stoppedTime = 24 * time.Hour // for which they are
)

// stopOne has a shadow's host stop it, also if who asked goes. While the host doesn't say that it has, the view is carried for a
// second more at most, by this gate, in which it is v, and by others. Soon who asked is told then that the host doesn't answer;
// that is told until it does.
func (g *Gate) stopOne(ctx context.Context, v *viewing, one Standing) *api.Problem {
	host, ok := g.hub.host(one.Host)
	if !ok {
		return problemOf(errNoHost)
	}
	answer := make(chan *api.Problem, 1)
	told := make(chan struct{})
	go func() { answer <- g.stopAt(context.WithoutCancel(ctx), host, v, one.ID, func() { close(told) }) }()
	late := time.After(g.CutAfter + graceTime)
	var lateAndTold <-chan struct{} // before, only its host can say that it has ended
	for {
		select {
		case p := <-answer:
			return p
		case <-late:
			if v != nil {
				return refusal(http.StatusBadGateway, reasonHost, "the view is cut off here, but its host doesn't answer; the gate keeps trying")
			}
			lateAndTold = told
		case <-lateAndTold:
			return refusal(http.StatusBadGateway, reasonHost, "the host doesn't answer; the gate that carries the view cuts it off and keeps trying")
		case <-ctx.Done():
			return problemOf(context.Cause(ctx))
		}
	}
}

// stopAt has a host stop a shadow. If it doesn't within a second, v is ended here, which may be nil, and other gates are told,
// of which told is called once they hear it; v's host is told again.
func (g *Gate) stopAt(ctx context.Context, host hosts.Host, v *viewing, id string, told func()) *api.Problem {
	cut := func() { // a host that waits for the viewer to say goodbye has no more to wait for then
		if v != nil {
			g.views.shut(v)
		}
		if g.tellGates(host.Name(), id) {
			told()
		}
	}
	late := time.AfterFunc(g.CutAfter, cut)
	defer late.Stop()
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	err := host.Stop(ctx, id)
	if err == nil {
		return nil
	}
	p := problemOf(err)
	if p.Status == http.StatusNotFound {
		if v != nil {
			g.views.shut(v)
		}
		return p
	}
	if late.Stop() {
		cut()
	}
	if v != nil {
		g.views.tryAgain(v)
	}
	return p
}

// stopLater ends a view that nobody is to have. It reports whether the view is gone.
func (g *Gate) stopLater(ctx context.Context, host hosts.Host, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if err := host.Stop(ctx, id); err != nil && problemOf(err).Status != http.StatusNotFound {
		g.Logger.Warn().Err(err).Str("host", host.Name()).Str("id", id).Msg("cannot stop a view; it ends by itself if nobody connects")
		return false
	}
	return true
}

// stopSoon has a host stop a view, and reports whether it has said within a second that it has. One that hangs keeps
// no view open, and nobody waiting; other gates are told then.
func (g *Gate) stopSoon(host hosts.Host, id string) bool {
	stopped := make(chan bool, 1)
	go func() {
		late := time.AfterFunc(g.CutAfter, func() { g.tellGates(host.Name(), id) })
		ok := g.stopLater(context.Background(), host, id)
		stopped <- ok
		if late.Stop() && !ok {
			g.tellGates(host.Name(), id)
		}
	}()
	select {
	case ok := <-stopped:
		return ok
	case <-time.After(g.CutAfter):
		return false
	}
}

// tellGates tells all gates that nobody is to have a view any more, and reports whether they will hear it.
func (g *Gate) tellGates(host, id string) bool {
	shared, ok := g.Directory.(hosts.Shared)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellTime)
	defer cancel()
	if err := shared.TellStopped(ctx, host, id); err != nil {
		g.Logger.Error().Err(err).Str("host", host).Str("id", id).Msg("stopped a view, but can reach neither its host nor other gates")
		return false
	}
	return true
}

// heardStopped ends a view that was stopped, here or at another gate, if this one carries it, and never begins it: its host
// hadn't said that it knows.
func (vs *views) heardStopped(host, id string) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	key := endKey(host, id)
	if _, known := vs.stopped[key]; !known && len(vs.stopped) >= maxStopped {
		vs.forgetStopped()
	}
	vs.stopped[key] = time.Now()
	v := vs.all[key]
	if v == nil || v.over {
		return
	}
	vs.end(v)
	v.again = true // this gate tells the host, too
	if v.cut != nil {
		v.cut()
	}
}

// forgetStopped makes room: it forgets the view that was stopped first. vs.mu is held.
func (vs *views) forgetStopped() {
	var first string
	for key, at := range vs.stopped {
		if first == "" || at.Before(vs.stopped[first]) {
			first = key
		}
	}
	delete(vs.stopped, first)
}
