package shadow

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// backlog is how many events a subscriber may fall behind.
const backlog = 256

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
func (b *broadcaster) send(e Event) { b.publish(e, false) }

// request is send for an event on whose line something depends. The error is
// that it could not be written, or not in time.
func (b *broadcaster) request(ctx context.Context, e Event) error {
	written := b.publish(e, true)
	t := time.NewTimer(auditTime)
	defer t.Stop()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return fmt.Errorf("it has taken no line for %v", auditTime)
	}
}

func (b *broadcaster) publish(e Event, request bool) (written <-chan error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Time = time.Now()
	written = b.audit.put(e, request)
	for sub := range b.subs {
		select {
		case sub <- e:
		default:
			delete(b.subs, sub)
			close(sub)
		}
	}
	return written
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
