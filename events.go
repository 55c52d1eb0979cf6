package shadow

import (
	"context"
	"strings"
	"sync"
	"time"
)

// backlog is how many events a subscriber may fall behind.
const backlog = 256

// maxDetail is how many bytes an event's detail has at most, so that there is room for the event wherever
// it is to be kept.
const maxDetail = 1000

// A broadcaster gives each event to the audit and to every subscriber, in one
// order.
type broadcaster struct {
	audit *auditor

	mu     sync.Mutex
	closed bool
	subs   map[chan Event]struct{}
}

// send never blocks: the audit is written by a goroutine of its own, and a
// subscriber that has fallen behind is dropped.
func (b *broadcaster) send(e Event) { b.publish(e, ofShadow) }

// awaitAudit waits for how an attempt to write a line goes. The error is that it could not be written, or
// not in time.
func awaitAudit(ctx context.Context, written <-chan error) error {
	t := time.NewTimer(auditTime)
	defer t.Stop()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return errAuditHangs
	}
}

// publish is send for an event of a kind; kept and written are auditor.put's.
func (b *broadcaster) publish(e Event, of kind) (kept bool, written <-chan error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Time = time.Now()
	if len(e.Detail) > maxDetail { // as of an error that quotes what a peer has said
		e.Detail = strings.ToValidUTF8(e.Detail[:maxDetail], "") + "…"
	}
	kept, written = b.audit.put(e, of)
	for sub := range b.subs {
		select {
		case sub <- e:
		default:
			delete(b.subs, sub)
			close(sub)
		}
	}
	return kept, written
}

func (b *broadcaster) subscribe(ctx context.Context) <-chan Event {
	sub := make(chan Event, backlog)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(sub)
		return sub
	}
	if b.subs == nil {
		b.subs = map[chan Event]struct{}{}
	}
	b.subs[sub] = struct{}{}
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, ok := b.subs[sub]; ok {
			delete(b.subs, sub)
			close(sub)
		}
	})
	return sub
}

func (b *broadcaster) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for sub := range b.subs {
		close(sub)
	}
	b.subs = nil
}

// request records that there is a request. The channel tells how the first attempt to write that went.
func (l *life) request() <-chan error {
	kept, written := l.m.events.publish(l.complete(Event{Type: EventRequested, Detail: l.before}), ofRequest)
	l.recorded.Store(kept)
	return written
}

// refused is emit for a request that came to nothing. Without its request the audit doesn't get it.
func (l *life) refused(e Event) {
	of := ofNothing
	if l.recorded.Load() {
		of = ofRefusal
	}
	l.m.events.publish(l.complete(e), of)
}
