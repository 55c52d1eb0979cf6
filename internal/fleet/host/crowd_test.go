package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/host"
	"vda.internal/shadow/internal/fleet/testfleet"
)

// An engine has sessions and nothing else.
type engine struct {
	sessions []*shadow.Session
	look     func() // before each list; nil: nothing
}

func (e *engine) Shadow(context.Context, shadow.Request) (*shadow.Grant, error) {
	return nil, &shadow.End{Reason: shadow.NoSession}
}
func (e *engine) Judge(context.Context, shadow.Request) (policy.Verdict, error) {
	return policy.Verdict{}, shadow.ErrNotFound
}
func (e *engine) List() []shadow.Status                             { return nil }
func (e *engine) Stop(context.Context, string, shadow.Reason) error { return shadow.ErrNotFound }
func (e *engine) Rules() policy.Rules                               { return nil }
func (e *engine) Subscribe(context.Context) <-chan shadow.Event     { return make(chan shadow.Event) }
func (e *engine) Sessions(context.Context) ([]*shadow.Session, error) {
	if e.look != nil {
		e.look()
	}
	return e.sessions, nil
}

// of are n sessions of a user.
func of(user string, uid uint32, n int) (list []*shadow.Session) {
	for i := range n {
		list = append(list, &shadow.Session{
			ID: fmt.Sprintf("%s-%d", user, i), User: user, UID: uid, Locale: strings.Repeat("a", 128), Type: "tty", Class: "user",
			State: "closing", Since: time.Unix(1700000000, 0),
		})
	}
	return list
}

// said waits for a host's presence.
func said(t *testing.T, f *testfleet.Fleet, id string) (p *fleet.Presence) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := f.Registry.Hosts(t.Context())
		require.NoError(t, err)
		for _, one := range list {
			if one.ID == id {
				p = one.Presence
			}
		}
		return p != nil
	}, testfleet.Patience, 20*time.Millisecond, "the host isn't there")
	return p
}

// A user who opens thousands of sessions makes neither his host vanish from the fleet nor anybody else's
// session.
func TestThousandsOfSessions(t *testing.T) {
	f := testfleet.New(t)
	e := &engine{sessions: append(of("mallory", 1001, 3200), of("alice", 1002, 2)...)}
	desktop := *e.sessions[3199]
	desktop.ID, desktop.Display, desktop.Type, desktop.State = "desktop", ":1", "x11", "active"
	e.sessions[3199] = &desktop
	f.Host("vda1", e)
	p := said(t, f, "vda1")
	assert.Empty(t, p.Failed)
	assert.Equal(t, 3202, len(p.Sessions)+p.LeftOut)
	assert.Greater(t, len(p.Sessions), 500)
	there := map[string]bool{} // whether it can be shadowed
	for _, s := range p.Sessions {
		there[s.ID] = s.Shadowable
	}
	for id, shadowable := range map[string]bool{"alice-0": false, "alice-1": false, "desktop": true, "mallory-0": false} {
		is, listed := there[id]
		assert.True(t, listed, id)
		assert.Equal(t, shadowable, is, id)
	}
}

// A host that answers as many orders as it takes hears a stop all the same.
func TestStopsHaveTheirOwnPlace(t *testing.T) {
	f := testfleet.New(t)
	var hang atomic.Bool
	release := make(chan struct{})
	h := f.Host("vda1", &engine{look: func() {
		if hang.Load() {
			<-release
		}
	}})
	defer h.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	defer close(release)
	boot := said(t, f, "vda1").Boot
	hang.Store(true)
	gate := f.Conn("gate1")
	enrolled, err := f.Registry.Hosts(t.Context())
	require.NoError(t, err)
	order := func(kind fleet.Kind, body string) *fleet.Answer {
		ctx, cancel := context.WithTimeout(t.Context(), testfleet.Patience)
		defer cancel()
		sent, err := gate.Signer.Sign(fleet.Order{Kind: kind, Host: "vda1", Boot: boot, At: time.Now(), Body: json.RawMessage(body)})
		if !assert.NoError(t, err) {
			return nil
		}
		msg, err := gate.NATS.RequestMsgWithContext(ctx, &nats.Msg{Subject: sent.Subject, Data: sent.Data, Header: sent.Header})
		if err != nil {
			return nil // it hangs until the test's end
		}
		a, err := sent.Open(enrolled[0].Key, msg.Header.Get, msg.Data)
		assert.NoError(t, err)
		return a
	}
	full := make(chan *fleet.Answer, 65)
	for range 65 {
		asking.Go(func() { full <- order(fleet.Sessions, `{}`) })
	}
	a := <-full // all others hang
	require.NotNil(t, a)
	require.NotNil(t, a.Problem)
	require.Equal(t, http.StatusServiceUnavailable, a.Problem.Status)
	a = order(fleet.Stop, `{"shadow":"s1"}`)
	require.NotNil(t, a)
	require.NotNil(t, a.Problem)
	assert.Equal(t, http.StatusNotFound, a.Problem.Status, "the engine wasn't asked: %s", a.Problem.Detail)
}

// A line that the bus can't take keeps no later one back.
func TestLineThatIsTooLong(t *testing.T) {
	f := testfleet.New(t)
	h := f.Host("vda1", &engine{})
	require.NoError(t, h.Spool.Add("e1", strings.Repeat("x", fleet.MaxLine)))
	require.NoError(t, h.Spool.Add("e2", shadow.Event{Type: shadow.EventRequested}))
	require.Eventually(t, func() bool { return h.Spool.Waiting() == 0 }, testfleet.Patience, 20*time.Millisecond)
	stream, err := f.Conn("gate1").JS.Stream(t.Context(), fleet.AuditStream)
	require.NoError(t, err)
	last, err := stream.GetLastMsgForSubject(t.Context(), fleet.AuditSubject("vda1"))
	require.NoError(t, err)
	assert.Contains(t, string(last.Data), "requested")
}

// A host that goes is gone at once, and takes no presence away that a later run has said.
func TestFarewell(t *testing.T) {
	f := testfleet.New(t)
	c := f.Enroll("vda1")
	looks, release := 0, make(chan struct{})
	h, err := host.New(host.Config{Engine: &engine{look: func() {
		if looks++; looks > 1 {
			<-release // so that it says nothing more
		}
	}}, Credentials: c, Logger: testfleet.Logger(t)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	boot := said(t, f, "vda1").Boot
	second := f.Run(c, &engine{}, testfleet.NewSpool())
	require.Eventually(t, func() bool { return said(t, f, "vda1").Boot != boot }, testfleet.Patience, 20*time.Millisecond)
	stop()
	close(release)
	require.NoError(t, <-ended)
	list, err := f.Registry.Hosts(t.Context())
	require.NoError(t, err)
	require.NotNil(t, list[0].Presence)
	require.NotEqual(t, boot, list[0].Presence.Boot)
	second.Stop()
	list, err = f.Registry.Hosts(t.Context())
	require.NoError(t, err)
	require.Nil(t, list[0].Presence)
}
