package shadow

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"vda.internal/shadow/portpool"
	"vda.internal/shadow/rfb"
)

// open starts the source, takes a port, ends whoever watches, and lets run
// wait for the viewer. Until the last moment a failure leaves the one who
// watches alone.
func (l *life) open() (*Grant, *End) {
	if _, why := l.connect(l.ctx); why != nil {
		return nil, why
	}
	old := l.m.watcher(l)
	if why := l.listen(old); why != nil {
		l.release()
		return nil, why
	}
	if why := l.ended(); why != nil {
		l.release()
		return nil, why
	}
	if old != nil {
		old.end(&End{Reason: Superseded, Detail: "by " + l.req.Admin})
		select {
		case <-old.done:
		case <-l.ctx.Done():
			l.release()
			return nil, l.refuse(StoppedByAdmin, nil)
		}
	}
	token := rand.Text()
	l.token = sha256.Sum256([]byte(token))
	if why := l.m.seatWatcher(l); why != nil {
		l.release()
		return nil, why
	}
	grant := l.grant(token)
	granted := Event{Type: EventGranted, Until: grant.Expires, Token: hex.EncodeToString(l.token[:4])}
	granted.Detail = l.source.detail()
	l.emit(granted)
	l.m.wg.Add(1)
	go l.run(grant.Expires)
	return grant, nil
}

// connect opens the source and greets it, so that a source that doesn't work
// is a refusal rather than an empty window. What comes when ctx is over is closed.
func (l *life) connect(ctx context.Context) (*rfb.ServerConn, *End) {
	if why := l.ended(); why != nil {
		return nil, why
	}
	conn, err := l.m.cfg.Source.Open(ctx, l.session)
	if why, ok := errors.AsType[*End](err); ok && l.ended() == nil {
		return nil, why
	}
	if err != nil {
		return nil, l.refuse(SourceFailed, err)
	}
	source := newSourceConn(conn)
	var upstream *rfb.ServerConn
	if greeted, ok := conn.(*rfb.ServerConn); ok {
		wrapped := *greeted
		wrapped.Conn = source
		upstream = &wrapped
	} else {
		upstream, err = ask(ctx, l.m, ofUser("the source's server", l.session), func(ctx context.Context) (*rfb.ServerConn, error) { return rfb.Connect(ctx, source) }, nil)
	}
	if f, ok := conn.(Fresher); ok && err == nil {
		upstream.FreshStreams = f.FreshStreams()
	}
	if err == nil && !l.adopt(ctx, source, upstream) {
		err = context.Cause(ctx)
	}
	if err != nil {
		source.Close()
		if why := source.why(); why != nil {
			err = why
		}
		l.leave("the source", source.closed)
		if errors.Is(err, ErrSessionEnded) {
			return nil, l.refuse(SessionEnded, err)
		}
		return nil, l.refuse(SourceFailed, err)
	}
	return upstream, nil
}

// adopt makes source l's, unless ctx is over: then nobody waits for it any more, and l may have
// another one.
func (l *life) adopt(ctx context.Context, source *sourceConn, upstream *rfb.ServerConn) bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	l.source, l.upstream = source, upstream
	return true
}

// current is l's source.
func (l *life) current() *sourceConn {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.source
}

// disown leaves l without a source, and returns the one that it had; nil: none.
func (l *life) disown() *sourceConn {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	old := l.source
	l.source, l.upstream = nil, nil
	return old
}

// listen takes a port; when none is left it inherits that of old.
func (l *life) listen(old *life) *End {
	port := l.takeReserved()
	if port == nil {
		taken, err := l.takePort(old)
		if err != nil {
			return l.refuse(NoPort, err)
		}
		port = taken
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.port = port
	return nil
}

// takePort takes a port of the pool.
func (l *life) takePort(old *life) (*portpool.Listener, error) {
	if old != nil {
		if inherited, ok := old.port.(*portpool.Listener); ok {
			return l.m.cfg.Ports.Replace(l.ctx, inherited)
		}
	}
	return l.m.cfg.Ports.Listen(l.ctx)
}

// release ends what open has started.
func (l *life) release() {
	if l.port != nil {
		l.port.Close()
	}
	if source := l.disown(); source != nil {
		source.Close()
		l.leave("the source", source.closed)
	}
}
