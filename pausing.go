package shadow

import (
	"context"
	"time"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/curtain"
)

// The user may pause a viewing by the banner. The source is closed then, so that nothing of the screen
// is even captured, and the relay shows the viewer a picture that says so. What the banner says
// follows what is so, not what was wished. A pause outlives the viewer's connection, and ends with
// the viewing.

// pausedMark is behind the desktop's name while it is paused. The page of a granted port
// knows it (internal/viewer/page/page.js).
const pausedMark = " (paused by the user)"

// newPauser is what pauses l's viewing, or nil.
func (l *life) newPauser() *rfb.Pauser {
	if !l.m.cfg.Pause || l.m.cfg.Banner == nil {
		return nil
	}
	return &rfb.Pauser{Draw: curtain.Draw, Mark: pausedMark, Open: l.openAnew, Changed: l.setPaused}
}

// wish is what the user wants of the viewing.
func (l *life) wish(w consent.Wish) { l.pauser.Set(w == consent.Pause) }

// setPaused notes that the viewing is paused, or goes on.
func (l *life) setPaused(paused bool) {
	l.m.mu.Lock()
	was := l.paused
	l.paused = paused
	l.m.mu.Unlock()
	if was == paused {
		return // a viewer has returned during a pause
	}
	l.tell(l.view())
	kind := EventResumed
	if paused {
		kind = EventPaused
	}
	l.emit(Event{Type: kind})
}

// view is what the banner is to say while the viewer is there.
func (l *life) view() consent.View {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.paused {
		return consent.View{State: consent.Paused}
	}
	return consent.View{}
}

// openAnew opens the source again after a pause, for the viewer whose relay ends with ctx.
func (l *life) openAnew(ctx context.Context) (*rfb.ServerConn, error) {
	l.restBetween(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	old := l.current()
	if old == nil { // the viewer was lost meanwhile
		return nil, pkg.New("the viewing that goes on has no source")
	}
	old.Close()
	l.leave("the source", old.closed)
	upstream, err := l.reopen(ctx)
	if err != nil {
		return nil, err
	}
	l.watchSource()
	return upstream, nil
}

// restBetween waits if the viewing is paused and goes on all the time: each time has a source opened, and
// makes two lines of the audit. The pause lasts meanwhile.
func (l *life) restBetween(ctx context.Context) {
	for {
		if _, ok := l.resumes.Take(time.Now()); ok {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}
