package shadow

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/wsproxy"
)

// A viewer whose connection was lost may return within Config.Reconnect, without a new question. The
// port listens again; only the same token from the same address is admitted, to a fresh source. The view of
// a fleet's gate may come back through another one, so from any address. A viewer that brought no token
// can't show that it is the same, and doesn't return. The banner says that the viewer is away, and for how
// long.

// statusReload is the close code by which our page says that it is about to be loaded anew.
const statusReload = 4000

// lost reports whether a viewer was cut off, rather than having closed its view: the connection
// broke, its browser left the page or loads it anew (1001), or it is there no more by all signs. A
// script that closes its WebSocket, as noVNC's Disconnect does, gives 1000 or no status, and the page
// of a granted port 4000 when it is loaded anew: its browser asks for the page before it closes.
func lost(r wsproxy.Record) bool {
	switch r.Code {
	case wsproxy.StatusAbnormalClosure, wsproxy.StatusStalled:
		return true
	case wsproxy.StatusGoingAway, statusReload:
		return r.ByViewer
	}
	return false
}

// mayReturn reports whether l's viewer has left and may come back.
func (l *life) mayReturn() bool {
	return l.m.cfg.Reconnect > 0 && !l.bare.Load() && l.ended() == nil && l.presence.came() && within(l.presence.left, 0) &&
		lost(l.presence.record) && l.presence.end.Reason == ViewerLeft
}

// awaitReturn waits for a viewer that was lost until it has returned and left again, or l ends.
func (l *life) awaitReturn(handler http.Handler) (server *http.Server, served <-chan struct{}) {
	until := time.Now().Add(l.m.cfg.Reconnect)
	record := l.presence.record
	old := l.disown()
	l.presence.restart()
	l.setState(Away, record.Remote)
	l.again.Store(true)
	if l.caller == nil || l.caller.Gate == "" { // a fleet's view may come back through another gate
		home := addressOf(record.Remote)
		l.home.Store(&home)
	}
	l.claimed.Store(false)
	if err := l.port.Listen(); err != nil {
		l.end(&End{Reason: NoPort, Detail: "its port can't be opened again: " + detail(err)})
	}
	// Whoever hears it may come at once, and is let in after it.
	l.emit(Event{Type: EventAway, Viewer: record.Remote, Until: until})
	l.tell(consent.View{State: consent.Away, Until: until})
	server, served = l.serve(handler)
	if old != nil { // a page that is loaded anew doesn't wait for it
		old.Close()
		l.leave("the source", old.closed)
	}
	absent := time.NewTimer(time.Until(until))
	defer absent.Stop()
	select {
	case <-l.presence.arrived:
		l.awaitLeft()
	case <-absent.C:
		if l.shut() {
			l.end(&End{Reason: ViewerLeft, Detail: "it was cut off and did not return in time"})
		}
	case <-l.ctx.Done():
		l.shut()
	}
	return server, served
}

// isElsewhere reports whether a request comes from another place than a viewer that may return.
func (l *life) isElsewhere(r *http.Request) bool {
	home := l.home.Load()
	return home != nil && addressOf(r.RemoteAddr) != *home
}

// addressOf is the IP address in a remote address; none if it has none.
func addressOf(remote string) netip.Addr {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap()
}

// dial is the source's connection for the viewer: the one that was opened before the grant, or a
// fresh one for a viewer that has returned.
func (l *life) dial(context.Context, *http.Request) (net.Conn, error) {
	if l.upstream != nil {
		return l.upstream, nil
	}
	upstream, err := l.reopen(l.ctx)
	if err != nil {
		return nil, err // and no *rfb.ServerConn in a net.Conn
	}
	return upstream, nil
}

// reopen opens the source again. That it can't be ends l, unless ctx is over: it was for a viewer that
// has gone.
func (l *life) reopen(ctx context.Context) (*rfb.ServerConn, error) {
	why := l.findSame()
	if why == nil {
		var upstream *rfb.ServerConn
		if upstream, why = l.connect(ctx); why == nil {
			return upstream, nil
		}
	}
	if ctx.Err() != nil && l.ended() == nil {
		return nil, context.Cause(ctx)
	}
	l.end(why)
	return nil, why.closing()
}

// findSame makes sure that the session is still the one that its user let be viewed. A lock that came
// since matters as little as in a view that goes on.
func (l *life) findSame() *End {
	now, why := l.lookUp()
	if why != nil {
		return why
	}
	if now.UID != l.session.UID || now.Screen() != l.session.Screen() {
		return &End{Reason: SessionEnded, Detail: "its id is another session's by now"}
	}
	return nil
}

// A departed is what is known of the connections of a viewer that were there before.
type departed struct {
	viewer         string
	duration       time.Duration
	sent, received int64
}

// add counts one more.
func (d *departed) add(r wsproxy.Record) {
	d.viewer = r.Remote
	d.duration += r.Duration
	d.sent += r.Sent
	d.received += r.Received
}
