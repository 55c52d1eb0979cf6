package fleethosts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/host"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/testgate"
)

// audited is a daemon whose audit goes into a spool.
func audited(spool *testfleet.Spool) func(*testgate.Daemon) {
	return func(d *testgate.Daemon) {
		before := d.Change
		d.Change = func(c *shadow.Config) {
			if before != nil {
				before(c)
			}
			var n atomic.Int64
			c.Audit = func(e shadow.Event) error { return spool.Add(fmt.Sprintf("%p-%d", spool, n.Add(1)), e) }
		}
	}
}

// A rig is a fleet of hosts behind a gate.
type rig struct {
	*testfleet.Fleet
	daemons map[string]*testgate.Daemon
	hosts   map[string]*testfleet.Host
}

func newRig(t *testing.T, ids ...string) *rig {
	r := &rig{Fleet: testfleet.New(t), daemons: map[string]*testgate.Daemon{}, hosts: map[string]*testfleet.Host{}}
	for _, id := range ids {
		r.host(t, id)
	}
	return r
}

func (r *rig) host(t *testing.T, id string, change ...func(*testgate.Daemon)) {
	spool := testfleet.NewSpool()
	r.daemons[id] = testgate.NewDaemon(t, append(change, audited(spool))...)
	r.hosts[id] = r.Run(r.Enroll(id), r.daemons[id].Manager, spool)
}

// gate is a gate in front of the fleet; gateOn has a connection of its own, gateIn the files of an earlier one.
func (r *rig) gate(t *testing.T, name string) *testgate.Gate { return r.gateOn(t, r.Conn(name)) }

func (r *rig) gateOn(t *testing.T, conn *bus.Conn) *testgate.Gate {
	return testgate.New(t, nil, testgate.Options{Gate: r.into(t, conn)})
}

func (r *rig) gateIn(t *testing.T, name, dir string) *testgate.Gate {
	return testgate.New(t, nil, testgate.Options{Dir: dir, Gate: r.into(t, r.Conn(name))})
}

func (r *rig) into(t *testing.T, conn *bus.Conn) func(*gate.Config) {
	d := fleethosts.New(conn, fleethosts.Options{Fleet: r.Keys.Fleet(), Revoked: r.Server.Revoke, Logger: testfleet.Logger(t)})
	return func(c *gate.Config) {
		c.Directory = d
		c.Activity = d.Activity(nil)
	}
}

// up waits until the gate has so many hosts.
func up(t *testing.T, c *testgate.Client, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var list struct{ Hosts []gate.HostState }
		c.Get("/api/v1/hosts", &list)
		there := 0
		for _, h := range list.Hosts {
			if h.State == "up" {
				there++
			}
		}
		return there == n
	}, testgate.Patience, 20*time.Millisecond, "not %d hosts", n)
}

// Two hosts behind one gate: their sessions are listed, one is asked and viewed, and what happened is
// there.
func TestTwoHosts(t *testing.T) {
	r := newRig(t, "vda1", "vda2")
	g := r.gate(t, "gate1")
	alice := g.SignIn("alice")
	up(t, alice, 2)
	var rows struct{ Sessions []gate.Row }
	alice.Get("/api/v1/sessions", &rows)
	require.Len(t, rows.Sessions, 6)

	view := alice.AskFor(gate.Wish{Host: "vda2", Session: "s1", Purpose: "INC-7"})
	require.Equal(t, "vda2", view.Host)
	v := alice.View(view.ID)
	v.Picture()
	status := r.daemons["vda2"].Manager.List()
	require.Len(t, status, 1)
	assert.Equal(t, "alice", status[0].Admin)
	assert.Equal(t, "INC-7", status[0].Purpose)
	assert.Empty(t, r.daemons["vda1"].Manager.List())

	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	code, _ := v.End()
	assert.Equal(t, 1000, code)
}

// A lagging engine lists sessions as they were.
type lagging struct {
	host.Engine
	sessions []*shadow.Session
}

func (l lagging) Sessions(context.Context) ([]*shadow.Session, error) { return l.sessions, nil }

// A session that was another user's when the gate's user chose it isn't asked, however late the list is.
func TestSessionIsAnotherUsersByNow(t *testing.T) {
	r := newRig(t)
	d := testgate.NewDaemon(t)
	before, err := d.Manager.Sessions(t.Context())
	require.NoError(t, err)
	r.Run(r.Enroll("vda1"), lagging{d.Manager, before}, testfleet.NewSpool())
	g := r.gate(t, "gate1")
	alice := g.SignIn("alice")
	up(t, alice, 1)
	d.SetSessions(&shadow.Session{ID: "s1", User: "bob", UID: 1002, Display: ":1", Type: "x11"})
	resp, err := alice.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "vda1", Session: "s1"})
	require.NoError(t, err)
	defer resp.Body.Close()
	var problem api.Problem
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&problem))
	assert.Equal(t, shadow.NoSession, problem.Reason)
	assert.Empty(t, d.Manager.List())
}

// A host with more sessions than it can tell of is said to have them; one with few isn't.
func TestCrowdedHost(t *testing.T) {
	r := newRig(t, "vda2")
	var many []*shadow.Session
	for i := range 4000 {
		many = append(many, &shadow.Session{ID: fmt.Sprint("s", i), User: strings.Repeat("u", 100) + fmt.Sprint(i), UID: uint32(1000 + i), Display: fmt.Sprint(":", i), Type: "x11"})
	}
	d := testgate.NewDaemon(t)
	r.Run(r.Enroll("vda1"), lagging{d.Manager, many}, testfleet.NewSpool())
	alice := r.gate(t, "gate1").SignIn("alice")
	up(t, alice, 2)
	require.Eventually(t, func() bool {
		var list gate.HostList
		alice.Get("/api/v1/hosts", &list)
		crowded := map[string]bool{}
		for _, h := range list.Hosts {
			crowded[h.ID] = h.Crowded
		}
		return crowded["vda1"] && !crowded["vda2"]
	}, testgate.Patience, 50*time.Millisecond)
}

// A question whose asker has gone is taken back.
func TestAskIsTakenBack(t *testing.T) {
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
	g := r.gate(t, "gate1")
	alice := g.SignIn("alice")
	up(t, alice, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		resp, err := alice.Send(ctx, http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "vda1", Session: "s1"})
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	wait(t, asked)
	cancel()
	wait(t, gone)
}

func wait(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(testgate.Patience):
		require.Fail(t, "it doesn't happen")
	}
}
