package shadow

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// backlog is how many events a subscriber may fall behind.
const backlog = 256

// A broadcaster writes each event to the audit and to every subscriber, in one
// order.
type broadcaster struct {
	audit zerolog.Logger

	mu     sync.Mutex
	closed bool
	subs   map[chan Event]struct{}
}

// send never blocks: a subscriber that has fallen behind is dropped.
func (b *broadcaster) send(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Time = time.Now()
	b.write(e)
	for sub := range b.subs {
		select {
		case sub <- e:
		default:
			delete(b.subs, sub)
			close(sub)
		}
	}
}

// write is the audit line.
func (b *broadcaster) write(e Event) {
	line := b.audit.Info().Str("event", "shadow."+string(e.Type)).Str("id", e.ID).Str("session", e.Session).Str("admin", e.Admin)
	for _, field := range []struct{ key, value string }{
		{"user", e.User}, {"client", e.Client}, {"viewer", e.Viewer}, {"token", e.Token},
		{"reason", string(e.Reason)}, {"detail", e.Detail},
	} {
		if field.value != "" {
			line = line.Str(field.key, field.value)
		}
	}
	if e.Port != 0 {
		line = line.Int("port", e.Port)
	}
	if e.Type == EventEnded && e.Viewer != "" {
		line = line.Float64("seconds", e.Duration).Int64("sent", e.Sent).Int64("received", e.Received).Int64("dropped", e.Dropped)
	}
	line.Msg("shadow " + string(e.Type))
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
