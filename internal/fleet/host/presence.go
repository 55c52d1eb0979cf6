package host

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/fleet"
)

const (
	// lookTime is for a look at the sessions: longer than logind and the accounts have, 5 s each, and the
	// processes besides. With what else comes between two presences it is shorter than fleet.PresenceTTL.
	lookTime  = 15 * time.Second
	lookEvery = 5 * time.Second        // between two looks: not every change is an event
	settle    = 100 * time.Millisecond // for what changes together
	sayTime   = 5 * time.Second        // for the bus to take a presence
)

// keepPresent says what there is, whenever it changes and every [fleet.PresenceEvery].
func (h *Host) keepPresent(ctx context.Context, js jetstream.JetStream) {
	events := h.Engine.Subscribe(ctx)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var said *fleet.Presence
	var at time.Time
	for must := true; ; must = false {
		p := h.presence(ctx)
		if must || time.Since(at) >= fleet.PresenceEvery-lookEvery/2 || !same(p, said) {
			if h.publish(ctx, js, p) == nil {
				said, at = p, time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.changed:
			said = nil // the bus may have lost it
		case _, open := <-events:
			if !open {
				pause(ctx, time.Second)
				events = h.Engine.Subscribe(ctx)
				continue
			}
			pause(ctx, settle)
			drain(events)
		}
	}
}

// drain takes what has come together.
func drain(events <-chan shadow.Event) {
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		default:
			return
		}
	}
}

// same reports whether a presence says nothing new.
func same(p, said *fleet.Presence) bool {
	if said == nil {
		return false
	}
	a, b := *p, *said
	a.Time, b.Time = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

// presence is what there is now.
func (h *Host) presence(ctx context.Context) *fleet.Presence {
	p := &fleet.Presence{ID: h.ID(), Boot: h.boot, Since: h.since, Version: h.Version, DialsOut: h.Views != nil, Address: h.address(), Sessions: []api.Session{}}
	if h.Terms != nil {
		p.Terms = *h.Terms
	}
	for i, rule := range h.Engine.Rules() {
		p.Rules = append(p.Rules, server.RuleOf(i+1, rule))
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	found, err := h.Engine.Sessions(ctx)
	if err != nil {
		p.Failed = fmt.Sprintf("its sessions can't be listed: %v", err)
	}
	for _, s := range found {
		one := server.SessionOf(s)
		one.Xauthority, one.Bus = "", "" // nobody's concern elsewhere
		p.Sessions = append(p.Sessions, one)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p.Audit = h.audit
	p.Shadows, p.Time = h.shadows(), time.Now() // as late as can be
	if err := fit(p, maxPresence); err != nil {
		h.notice.Wrong(err)
	}
	h.notice.crowded(p.LeftOut)
	return p
}

// shadows are those that haven't ended.
func (h *Host) shadows() []api.Status {
	list := []api.Status{}
	for _, s := range h.Engine.List() {
		list = append(list, server.StatusOf(s))
	}
	return list
}

// publish writes the presence into the bucket.
func (h *Host) publish(ctx context.Context, js jetstream.JetStream, p *fleet.Presence) error {
	value, err := fleet.SignPresence(h.key, p)
	if err != nil {
		h.notice.Wrong(err)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sayTime)
	defer cancel()
	ack, err := js.PublishMsg(ctx, &nats.Msg{Subject: fleet.PresenceSubject(h.ID()), Data: value}, jetstream.WithRetryAttempts(0))
	if err != nil {
		h.notice.unsaid(err)
		return err
	}
	h.said = ack.Sequence
	return nil
}

// farewell takes the presence out of the bucket, so that nobody waits for its end; not that of a run which
// has begun since.
func (h *Host) farewell(ctx context.Context, js jetstream.JetStream) {
	if h.said == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = js.PublishMsg(ctx, &nats.Msg{
		Subject: fleet.PresenceSubject(h.ID()), Header: nats.Header{"KV-Operation": {"DEL"}},
	}, jetstream.WithRetryAttempts(0), jetstream.WithExpectLastSequencePerSubject(h.said))
}
