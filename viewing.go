package shadow

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/wsproxy"
)

// sourceTime is how long a source may leave a request for a pixel unanswered.
const sourceTime = 10 * time.Second

// A presence is what is known of the viewer of a life.
type presence struct {
	arrived chan struct{} // closed when the viewer with the token is there
	left    chan struct{} // closed when it has left, record and end being set
	dropped atomic.Int64  // its messages that view-only dropped

	returned bool           // it has been there before
	end      *End           // why its viewing ended, unless l had before
	record   wsproxy.Record // of the WebSocket session
}

// restart is for a viewer that may return.
func (p *presence) restart() {
	p.arrived, p.left = make(chan struct{}), make(chan struct{})
	p.returned, p.end, p.record = true, nil, wsproxy.Record{}
}

// came reports whether there was a viewer.
func (p *presence) came() bool {
	select {
	case <-p.arrived:
		return true
	default:
		return false
	}
}

// run opens the port to one viewer, and ends l when that viewer has left,
// when nobody came, or when l is told to end.
func (l *life) run(deadline time.Time) {
	defer l.m.wg.Done()
	l.presence.arrived, l.presence.left = make(chan struct{}), make(chan struct{})
	l.noise = l.m.journal.limited(l.m.cfg.Logger.With().Str("id", l.id).Logger(), quieted(&l.noises))
	l.pauser = l.newPauser()
	proxy := l.proxy()
	handler := l.answers(proxy)
	server, served := l.serve(handler)
	l.await(deadline)
	l.countViewer()
	for l.mayReturn() {
		if _, ok := l.returns.Take(time.Now()); !ok { // each has a source opened, and makes two lines of the audit
			l.end(&End{Reason: ViewerLeft, Detail: "it was cut off too often"})
			break
		}
		server.Close()
		l.leave("the viewers' port", served)
		server, served = l.awaitReturn(handler)
		l.countViewer()
	}

	// From here nothing new begins. What is going on ends with l.ctx.
	if l.ended() == nil {
		l.end(l.presence.end)
	}
	l.endBanner()
	server.Close()
	l.closeViewer(proxy)
	l.leave("the viewers' port", served)
	l.release()
	l.leave("the wait for the session's end", done(l.guards.Wait))
	l.m.forget(l)
	l.farewell()
	close(l.done)
}

// countViewer notes what is known of a viewer's connection that has ended.
func (l *life) countViewer() {
	if l.presence.came() && within(l.presence.left, 0) {
		l.departed.add(l.presence.record)
	}
}

// closeViewer returns when the viewer's connection is closed, or won't be in time.
func (l *life) closeViewer(proxy *wsproxy.Handler) {
	ctx, cancel := context.WithTimeout(context.Background(), viewerTime)
	defer cancel()
	if proxy.Shutdown(ctx) != nil {
		l.abandon("the viewer's connection", done(func() { _ = proxy.Shutdown(context.Background()) }))
	}
}

// pingInterval is the time between pings to a viewer that may return. Whose line is lost without a word is missed this and
// wsproxy's 15 s later at most, when pages still try to come back: they do so for Config.Reconnect, of 30 s by default, from
// when they have noticed, and can't before the port listens again.
const pingInterval = 10 * time.Second

// proxy is the WebSocket end for l's viewer.
func (l *life) proxy() *wsproxy.Handler {
	var ping time.Duration // wsproxy's
	if l.m.cfg.Reconnect > 0 {
		ping = pingInterval
	}
	return &wsproxy.Handler{
		PingInterval:   ping,
		Authorize:      l.authorize,
		Dial:           l.dial,
		Relay:          (*relay)(l),
		OriginPatterns: l.m.cfg.OriginPatterns,
		OnReject: func(r *http.Request, err error) {
			if l.tells(r.RemoteAddr) {
				l.emit(Event{Type: EventRejected, Viewer: r.RemoteAddr, Detail: detail(err)})
			}
		},
		OnEnd: func(record wsproxy.Record) {
			l.presence.record = record
			if l.presence.end == nil { // no relay ran
				l.presence.end = l.viewingEnd(nil, &record.End)
			}
			close(l.presence.left)
		},
		Logger: l.noise,
	}
}

// await returns when the viewer has left or when there is no point in waiting
// for it any longer.
func (l *life) await(deadline time.Time) {
	absent := time.NewTimer(time.Until(deadline))
	defer absent.Stop()
	select {
	case <-l.presence.arrived:
		l.awaitLeft() // Run watches the source
	case <-absent.C:
		if l.shut() {
			l.end(&End{Reason: ViewerAbsent})
		}
	case <-l.current().ended:
		if l.shut() {
			l.end(l.sourceEnd(nil))
		}
	case <-l.ctx.Done():
		l.shut()
	}
}

// shut makes sure that no viewer is admitted any more. If one came first, it waits for that one to
// leave, and returns false.
func (l *life) shut() bool {
	if l.claimed.CompareAndSwap(false, true) {
		return true
	}
	l.awaitLeft()
	return false
}

// awaitLeft returns when the viewer has left, or hasn't in time although l has
// ended.
func (l *life) awaitLeft() {
	select {
	case <-l.presence.left:
	case <-l.ctx.Done():
		within(l.presence.left, viewerTime)
	}
}

// authorize admits the viewer that brings the token; from then on nobody else
// can connect to the port.
func (l *life) authorize(r *http.Request) error {
	if err := l.claim(r); err != nil {
		return err
	}
	known(r)
	if l.presence.returned {
		l.tell(l.view())
	} else {
		l.uncount()
		l.showBanner()
	}
	close(l.presence.arrived)
	if err := l.port.Hold(); err != nil {
		l.m.journal.error(l.m.cfg.Logger, l.id, "the port of a connected viewer still listens: "+err.Error())
	}
	return nil
}

// relay is l as the wsproxy.Relay between its viewer and its source.
type relay life

// Run implements wsproxy.Relay.
func (r *relay) Run(ctx context.Context, viewer, server net.Conn) error {
	l := (*life)(r)
	l.setState(Viewing, viewer.RemoteAddr().String())
	came := EventConnected
	if l.presence.returned {
		came = EventReturned
	}
	l.emit(Event{Type: came, Viewer: viewer.RemoteAddr().String()})
	session := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })()
	l.cutSource = cancel
	l.watchSource()
	defer func() { l.stopWatching() }()
	err := l.inspect(ctx, viewer, server)
	if session.Err() != nil {
		// The WebSocket end is over and has closed both connections: what the
		// relay met then is a consequence, and no fault of the source.
		err = context.Cause(session)
	}
	why := l.ended()
	if why == nil {
		why = l.viewingEnd(err, wsproxy.EndOf(viewer))
	}
	l.presence.end = why
	if why.Reason != ViewerLeft || l.m.cfg.Reconnect <= 0 { // a viewer that was lost may return
		// Nobody sees anything any more. The viewer has two seconds for the closing handshake,
		// and the user isn't to wait for it.
		l.end(why)
		l.endBanner()
	}
	return why.closing()
}

// inspect is the relay. A source that doesn't let go of it is left behind: the
// viewer, which is open still, can be told why.
func (l *life) inspect(ctx context.Context, viewer, server net.Conn) error {
	decided, result := make(chan error, 1), make(chan error, 1)
	inspect := rfb.Relay{
		ServerTimeout: l.m.answer, Pauser: l.pauser,
		OnDrop: func(rfb.ClientMessageType) { l.presence.dropped.Add(1) },
		OnEnd:  func(err error) { decided <- err },
	}
	ended := done(func() { result <- inspect.Run(ctx, viewer, server) })
	var err error
	select {
	case <-ended:
		return <-result
	case err = <-decided:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if within(ended, l.m.tidy) {
		return <-result
	}
	l.abandon("the relay", ended)
	return err
}

// errSourceEnded is why the relay's context ends when the source has: while the
// viewer still greets, nobody reads from the source.
var errSourceEnded = pkg.New("the source ended")

// watchSource ends the relay when the source has ended by itself, if it says so, until stopWatching is
// called. It replaces the one before it.
func (l *life) watchSource() {
	if l.stopWatching != nil {
		l.stopWatching()
	}
	l.stopWatching = func() {}
	source, cancel := l.current(), l.cutSource
	if source == nil || source.ended == nil {
		return
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for notes := source.notes; ; {
			select {
			case note, ok := <-notes:
				if !ok {
					notes = nil
					continue
				}
				l.noted(note)
				continue
			case <-source.ended:
				if !source.closing.Load() { // as at a pause
					cancel(errSourceEnded)
				}
			case <-quit:
			}
			return
		}
	}()
	l.stopWatching = func() { close(quit); <-gone; l.stopWatching = func() {} }
}

// noted hands on what the source says, unless that is too much.
func (l *life) noted(n Note) {
	limit := &l.notes
	if n.Changed {
		limit = &l.changes
	}
	left, ok := limit.Take(time.Now())
	switch {
	case !ok:
	case n.Changed && left > 0:
		l.emit(Event{Type: EventChanged, Detail: fmt.Sprintf("%s; %d changes before that are left out here", n.Text, left)})
	case n.Changed:
		l.emit(Event{Type: EventChanged, Detail: n.Text})
	default:
		l.m.journal.write(func() {
			l.m.cfg.Logger.Info().Str("id", l.id).Str("session", l.req.Session).Int("left_out", left).Msg("the source says: " + n.Text)
		})
	}
}

// farewell announces the end.
func (l *life) farewell() {
	why := l.ended()
	e := Event{Type: EventEnded, Reason: why.Reason, Detail: why.Detail, Dropped: l.presence.dropped.Load(), Rejected: l.turnedAway()}
	e.Viewer, e.Duration = l.departed.viewer, l.departed.duration.Seconds()
	e.Sent, e.Received = l.departed.sent, l.departed.received
	if t := l.door.Turned(); t.Crowded+t.Late > 0 {
		l.m.journal.write(func() {
			l.m.cfg.Logger.Warn().Str("id", l.id).Uint64("crowded", t.Crowded).Uint64("late", t.Late).
				Msg("connections without a token were turned away from the port")
		})
	}
	if n := l.noises.LeftOut(); n > 0 {
		l.m.journal.write(func() {
			l.m.cfg.Logger.Warn().Str("id", l.id).Int("left_out", n).
				Msg("lines about connections to the port were left out of this log")
		})
	}
	l.emit(e)
}
