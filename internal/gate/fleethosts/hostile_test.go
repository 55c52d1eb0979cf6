package fleethosts_test

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/activity"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/testgate"
)

// A host that is shown out is cut off at once, and can't come back; another one stays.
func TestRevokedHostIsCut(t *testing.T) {
	r := newRig(t, "vda1", "vda2")
	alice := r.gate(t, "gate1").SignIn("alice")
	up(t, alice, 2)
	r.Revoke("vda1")
	up(t, alice, 1)
	var list struct{ Hosts []gate.HostState }
	alice.Get("/api/v1/hosts", &list)
	require.Len(t, list.Hosts, 1)
	assert.Equal(t, "vda2", list.Hosts[0].Name)
	alice.Do(http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "vda1", Session: "s1"}, http.StatusNotFound)

	enrolled, err := r.Registry.Hosts(t.Context())
	require.NoError(t, err)
	require.Len(t, enrolled, 2)
	assert.True(t, enrolled[0].Gone)
	nc, err := nats.Connect(r.Server.URL(), nats.UserJWTAndSeed(r.hosts["vda1"].Credentials.JWT, r.hosts["vda1"].Credentials.Seed), nats.MaxReconnects(0))
	if err == nil {
		nc.Close()
	}
	require.ErrorIs(t, err, nats.ErrAuthorization)

	r.host(t, "vda1") // with another key and a new invitation
	up(t, alice, 2)
}

// Whoever rules the bus can make neither a question nor a grant: what a gate hasn't signed, or has been here,
// is refused by the host; what the host hasn't signed, by the gate.
func TestHostileBus(t *testing.T) {
	r := newRig(t)
	var asked atomic.Int64
	r.host(t, "vda1", func(d *testgate.Daemon) {
		d.Answer = func(context.Context, consent.Request) (consent.Decision, error) {
			asked.Add(1)
			return consent.Granted, nil
		}
	})
	alice := r.gate(t, "gate1").SignIn("alice")
	up(t, alice, 1)
	bus := r.Hostile()
	caught, err := bus.SubscribeSync(fleet.Subject("vda1", fleet.Shadow))
	require.NoError(t, err)
	require.NoError(t, bus.Flush())
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	order, err := caught.NextMsg(testfleet.Patience)
	require.NoError(t, err)
	require.NoError(t, caught.Unsubscribe())
	require.EqualValues(t, 1, asked.Load())

	refused := func(name, subject string, header nats.Header, data []byte) {
		t.Helper()
		answer, err := bus.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: data}, testfleet.Patience)
		require.NoError(t, err, name)
		assert.Equal(t, "403", answer.Header.Get("Nats-Service-Error-Code"), name)
		assert.NotContains(t, string(answer.Data), "token", name)
	}
	refused("the same again", order.Subject, order.Header, order.Data)
	refused("unsigned", order.Subject, nil, order.Data)
	refused("as another order", fleet.Subject("vda1", fleet.Stop), order.Header, order.Data)
	var o fleet.Order
	require.NoError(t, json.Unmarshal(order.Data, &o))
	o.ID = "another"
	data, err := json.Marshal(o)
	require.NoError(t, err)
	refused("changed", order.Subject, order.Header, data)
	require.EqualValues(t, 1, asked.Load(), "a user was asked")

	// A presence, and a line of the audit, that the host hasn't signed.
	p := fleet.Presence{ID: "vda1", Boot: "x", Time: time.Now(), Since: time.Now(), Sessions: []api.Session{{ID: "forged", User: "eve"}}}
	plain, err := json.Marshal(p)
	require.NoError(t, err)
	require.NoError(t, bus.Publish(fleet.KeptPresence("vda1"), append([]byte("AAAA\n"), plain...)))
	event, err := json.Marshal(shadow.Event{Type: shadow.EventEnded, ID: "forged", Admin: "eve", Time: time.Now()})
	require.NoError(t, err)
	_, err = bus.Request(fleet.KeptAudit("vda1"), event, testfleet.Patience) // the stream takes it
	require.NoError(t, err)
	later := &shadow.Session{ID: "later", User: "bob", UID: 1002, Display: ":3", Type: "x11"}
	r.daemons["vda1"].SetSessions(later, &shadow.Session{ID: "s2", User: "bob", UID: 1002, Display: ":2", Type: "x11"})
	require.Eventually(t, func() bool { // a true one, which the gate reads behind it
		var rows gate.RowList
		alice.Get("/api/v1/sessions", &rows)
		there := false
		for _, row := range rows.Sessions {
			assert.NotEqual(t, "forged", row.Session.ID)
			there = there || row.Session.ID == "later"
		}
		return there
	}, testgate.Patience, 20*time.Millisecond)
	assert.NotContains(t, string(alice.Do(http.MethodGet, "/api/v1/activity", nil, http.StatusOK)), "forged")

	// An answer that comes before the host's.
	_, err = bus.Subscribe(fleet.Subject("vda1", fleet.Shadow), func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"grant":{"id":"forged","scheme":"ws","host":"192.0.2.1","port":80,"token":"x"}}`))
	})
	require.NoError(t, err)
	require.NoError(t, bus.Flush())
	resp, err := alice.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "vda1", Session: "s2"})
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.NotContains(t, string(body), "forged")
}

// A gate that dies while a user is asked has its question taken back.
func TestGateGoesWhileAsking(t *testing.T) {
	r := newRig(t)
	asked, gone := make(chan struct{}), make(chan struct{})
	r.host(t, "vda1", func(d *testgate.Daemon) {
		d.Answer = func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			close(asked)
			<-ctx.Done()
			close(gone)
			return consent.Denied, ctx.Err()
		}
	})
	conn := r.Conn("gate1")
	alice := r.gateOn(t, conn).SignIn("alice")
	up(t, alice, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if resp, err := alice.Send(ctx, http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "vda1", Session: "s1"}); err == nil {
			_ = resp.Body.Close()
		}
	}()
	wait(t, asked)
	conn.Close() // without a word, as in a kill
	wait(t, gone)
}

// The host's question, rules and limits hold for a gate's order as for a call on its control socket, and the audit has the
// gate's name.
func TestHostRulesHoldForGates(t *testing.T) {
	r := newRig(t)
	var asked atomic.Int64
	r.host(t, "vda1", func(d *testgate.Daemon) {
		d.Answer = func(_ context.Context, q consent.Request) (consent.Decision, error) {
			asked.Add(1)
			assert.Equal(t, "alice", q.Admin)
			return consent.Granted, nil
		}
		d.Change = func(c *shadow.Config) {
			c.Rules = policy.Rules{{Accounts: []string{"gate:gate1"}, Users: []string{"bob"}, Answer: policy.Deny}}
		}
	})
	alice := r.gate(t, "gate1").SignIn("alice")
	up(t, alice, 1)
	events := r.daemons["vda1"].Manager.Subscribe(t.Context())
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	require.EqualValues(t, 1, asked.Load(), "nobody was asked")
	for e := range events {
		if e.Type == shadow.EventGranted {
			require.NotNil(t, e.Caller)
			assert.Equal(t, "gate1", e.Caller.Gate)
			assert.Equal(t, "alice", e.Admin)
			break
		}
	}
	alice.View(view.ID).Picture() // so that it came to something
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)

	bobs := gate.Wish{Host: "vda1", Session: "s2"}
	refused(t, alice, http.MethodPost, "/api/v1/shadows", bobs, http.StatusForbidden, shadow.NotAllowed)                               // by the rule
	refused(t, alice, http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "vda1", Session: "w1"}, http.StatusConflict, shadow.Wayland) // nor what can't be viewed
	other := r.gate(t, "gate2").SignIn("alice")
	up(t, other, 1)
	other.AskFor(bobs) // the rule is about the other gate
	require.EqualValues(t, 2, asked.Load())
	for n := 2; ; n++ {
		require.Less(t, n, 40, "there is no limit")
		resp, err := alice.Send(t.Context(), http.MethodPost, "/api/v1/shadows", bobs)
		require.NoError(t, err)
		var p api.Problem
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&p))
		require.NoError(t, resp.Body.Close())
		if p.Reason == shadow.PromptBusy {
			require.Positive(t, p.RetryAfter)
			break
		}
		require.Equal(t, shadow.NotAllowed, p.Reason)
	}
	require.EqualValues(t, 2, asked.Load())
}

// What happened is on the bus once, whoever asks.
func TestActivityFromTheBus(t *testing.T) {
	r := newRig(t, "vda1", "vda2")
	alice := r.gate(t, "gate1").SignIn("alice")
	up(t, alice, 2)
	view := alice.AskFor(gate.Wish{Host: "vda2", Session: "s1", Purpose: "INC-9"})
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	other := r.gate(t, "gate2").SignIn("alice")
	for _, c := range []*testgate.Client{alice, other} {
		require.Eventually(t, func() bool {
			var list gate.HappeningList
			c.Get("/api/v1/activity?host=vda2&type=ended", &list)
			return len(list.Events) == 1 && list.Events[0].ID == view.ID && list.Events[0].Host == "vda2"
		}, testgate.Patience, 50*time.Millisecond)
		var list gate.HappeningList
		c.Get("/api/v1/activity?host=vda1", &list)
		assert.Empty(t, list.Events)
		c.Get("/api/v1/activity?type=requested&q=INC-9", &list)
		assert.Len(t, list.Events, 1)
		c.Get("/api/v1/activity?limit=1", &list)
		require.Len(t, list.Events, 1)
		first := list.Events[0].Type
		c.Get("/api/v1/activity?limit=1&before="+list.Next, &list)
		require.Len(t, list.Events, 1)
		assert.NotEqual(t, first, list.Events[0].Type, "the next page goes on")
	}
	require.Eventually(t, func() bool { return r.hosts["vda2"].Spool.Waiting() == 0 }, testgate.Patience, 20*time.Millisecond)
}

// A line that the stream has twice, since it came again when its id was forgotten, is told once.
func TestActivityTellsALineOnce(t *testing.T) {
	r := newRig(t, "vda1")
	alice := r.gate(t, "gate1").SignIn("alice")
	up(t, alice, 1)
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	ended := func() (n int) {
		var list gate.HappeningList
		alice.Get("/api/v1/activity?type=ended", &list)
		return len(list.Events)
	}
	require.Eventually(t, func() bool { return ended() == 1 }, testgate.Patience, 50*time.Millisecond)
	conn := r.Conn("gate2")
	stream, err := conn.JS.Stream(t.Context(), fleet.AuditStream)
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond
	_, err = conn.JS.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	first := info.State.Msgs
	for seq := range first {
		line, err := stream.GetMsg(t.Context(), seq+1)
		require.NoError(t, err)
		again := &nats.Msg{Subject: fleet.KeptAudit("vda1"), Header: line.Header, Data: line.Data}
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			ack, err := conn.JS.PublishMsg(context.Background(), again)
			require.NoError(t, err)
			require.False(t, ack.Duplicate)
		}, testgate.Patience, 50*time.Millisecond)
	}
	info, err = stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*first, info.State.Msgs)
	assert.Equal(t, 1, ended())
	var all gate.HappeningList
	alice.Get("/api/v1/activity", &all)
	assert.Len(t, all.Events, int(first))
}

// What happened on the gate's own machine is among what the bus has, in the order of time, page by page.
func TestActivityOfBoth(t *testing.T) {
	r := newRig(t, "vda1")
	store, err := activity.Open(t.TempDir(), 1<<20)
	require.NoError(t, err)
	defer store.Close()
	local := func(id string) {
		t.Helper()
		require.NoError(t, store.Add("local", shadow.Event{Time: time.Now().UTC(), Type: shadow.EventRequested, ID: id, User: "ann"}))
	}
	local("before")
	g := testgate.New(t, nil, testgate.Options{Gate: func(c *gate.Config) {
		r.into(t, r.Conn("gate1"))(c)
		c.Activity = c.Directory.(*fleethosts.Directory).Activity(store)
	}})
	alice := g.SignIn("alice")
	up(t, alice, 1)
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	require.Eventually(t, func() bool {
		var list gate.HappeningList
		alice.Get("/api/v1/activity?host=vda1&type=ended", &list)
		return len(list.Events) == 1
	}, testgate.Patience, 50*time.Millisecond)
	local("after1")
	local("after2")
	var all, paged gate.HappeningList
	alice.Get("/api/v1/activity", &all)
	require.Greater(t, len(all.Events), 3)
	assert.Equal(t, []string{"after2", "after1"}, []string{all.Events[0].ID, all.Events[1].ID})
	assert.Equal(t, view.ID, all.Events[2].ID)
	assert.Equal(t, "before", all.Events[len(all.Events)-1].ID)
	for range all.Events {
		var page gate.HappeningList
		alice.Get("/api/v1/activity?limit=1&before="+url.QueryEscape(paged.Next), &page)
		require.Len(t, page.Events, 1)
		paged = gate.HappeningList{Events: append(paged.Events, page.Events...), Next: page.Next}
	}
	assert.Equal(t, all.Events, paged.Events)
	assert.Empty(t, paged.Next)
	alice.Do(http.MethodGet, "/api/v1/activity?before=7", nil, http.StatusBadRequest)
}

// A view whose gate has gone comes back through another one.
func TestViewComesBackThroughAnotherGate(t *testing.T) {
	r := newRig(t, "vda1")
	one := r.gate(t, "gate1")
	alice := one.SignIn("alice")
	up(t, alice, 1)
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	v := alice.View(view.ID)
	one.Stop()
	v.Cut()
	two := r.gateIn(t, "gate2", one.Dir)
	again := &testgate.Client{HTTP: alice.HTTP, Gate: two, Header: alice.Header}
	comesBack(t, again, view.ID)
	again.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
}

// comesBack has a page come back to a view, which it tries again as long as it is told to.
func comesBack(t *testing.T, c *testgate.Client, id string) {
	t.Helper()
	for deadline := time.Now().Add(testgate.Patience); time.Now().Before(deadline); {
		v, err := c.Connect(id)
		require.NoError(t, err)
		_, _, err = v.WS.Reader(t.Context())
		if err == nil {
			v.Cut() // it has begun
			c.View(id).Picture()
			return
		}
		require.Equal(t, websocket.StatusTryAgainLater, websocket.CloseStatus(err), "the page takes that as final: %v", err)
	}
	require.Fail(t, "the view doesn't come back")
}

// late is a directory that doesn't begin before it may.
type late struct {
	hosts.Directory
	may chan struct{}
}

func (l late) Run(ctx context.Context, add, remove func(hosts.Host)) error {
	select {
	case <-l.may:
		return l.Directory.Run(ctx, add, remove)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A gate that doesn't know its hosts yet tells the page to try again, and nothing to who has no ticket.
func TestViewComesBackBeforeItsHostIsKnown(t *testing.T) {
	r := newRig(t, "vda1")
	one := r.gate(t, "gate1")
	alice := one.SignIn("alice")
	up(t, alice, 1)
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	alice.View(view.ID).Cut()
	one.Stop()
	may := make(chan struct{})
	two := testgate.New(t, nil, testgate.Options{Dir: one.Dir, Gate: func(c *gate.Config) {
		r.into(t, r.Conn("gate2"))(c)
		c.Directory = late{c.Directory, may}
	}})
	again := &testgate.Client{HTTP: alice.HTTP, Gate: two, Header: alice.Header}
	v, err := again.Connect(view.ID)
	require.NoError(t, err)
	code, reason := v.End()
	assert.Equal(t, 1013, code)
	assert.Equal(t, "host_unreachable", reason)
	v, err = again.Connect("another")
	require.NoError(t, err)
	code, reason = v.End()
	assert.Equal(t, 1008, code)
	assert.Equal(t, "ended", reason)
	close(may)
	comesBack(t, again, view.ID)
}

// The views of a host that is shown out end, and don't come back.
func TestRevokedHostsViewEnds(t *testing.T) {
	r := newRig(t, "vda1", "vda2")
	alice := r.gate(t, "gate1").SignIn("alice")
	up(t, alice, 2)
	view, other := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"}), alice.AskFor(gate.Wish{Host: "vda2", Session: "s1"})
	v, stays := alice.View(view.ID), alice.View(other.ID)
	r.Revoke("vda1")
	v.End()
	v, err := alice.Connect(view.ID)
	require.NoError(t, err)
	code, reason := v.End()
	assert.Equal(t, 1000, code)
	assert.Equal(t, "ended", reason)
	stays.Picture()
}

// A gate whose bus is up is ready, though no host has enrolled.
func TestReadyWithoutHosts(t *testing.T) {
	r := newRig(t)
	conn := r.Conn("gate1")
	c := r.gateOn(t, conn).Client()
	c.Do(http.MethodGet, "/readyz", nil, http.StatusOK)
	conn.Close()
	c.Do(http.MethodGet, "/readyz", nil, http.StatusServiceUnavailable)
}
