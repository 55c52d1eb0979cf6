package fleethosts_test

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet/host"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// A deaf engine hears no stop, as if the bus held it back. The pictures of its views come all the same.
type deaf struct {
	host.Engine
	over <-chan struct{}
}

func (d deaf) Stop(ctx context.Context, _ string, _ shadow.Reason) error {
	select {
	case <-d.over:
	case <-ctx.Done():
	}
	return context.Canceled
}

// deafRig is a host that hears no stop, behind two gates that have the same keys. Alice views one session of it through the first.
func deafRig(t *testing.T) (r *rig, gates []*testgate.Gate, alice *testgate.Client, id string, v *testgate.Viewer) {
	t.Helper()
	r = newRig(t)
	over := make(chan struct{})
	r.Run(r.Enroll("vda1"), deaf{testgate.NewDaemon(t).Manager, over}, testfleet.NewSpool())
	t.Cleanup(func() { close(over) })
	for i, dir := 0, ""; i < 2; i++ {
		into := r.into(t, r.Conn([]string{"gate1", "gate2"}[i]))
		g := testgate.New(t, nil, testgate.Options{Dir: dir, Gate: func(c *gate.Config) {
			into(c)
			c.CutAfter = 0
		}})
		dir = g.Dir
		gates = append(gates, g)
		up(t, g.SignIn("alice"), 1)
	}
	alice = gates[0].SignIn("alice")
	id = alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"}).ID
	v = alice.View(id)
	v.Picture()
	return r, gates, alice, id, v
}

// isOver has a client try to get a view back at a gate.
func isOver(t *testing.T, c *testgate.Client, at *testgate.Gate, id string) {
	t.Helper()
	v, err := (&testgate.Client{HTTP: c.HTTP, Gate: at, Header: c.Header}).Connect(id)
	require.NoError(t, err)
	code, reason := v.End()
	require.Equal(t, 1000, code)
	require.Equal(t, "ended", reason)
}

// hears has a client try to get a view back at a gate until that has heard that it was stopped.
func hears(t *testing.T, c *testgate.Client, at *testgate.Gate, id string) {
	t.Helper()
	there := &testgate.Client{HTTP: c.HTTP, Gate: at, Header: c.Header}
	for deadline := time.Now().Add(testgate.Patience); time.Now().Before(deadline); {
		v, err := there.Connect(id)
		require.NoError(t, err)
		_, _, err = v.WS.Reader(t.Context())
		v.Cut()
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return
		}
	}
	require.Fail(t, "the view is to be had at another gate")
}

// A view that was stopped isn't to be had at any gate, also not at one that begins later, though its host hears nothing.
func TestStopHoldsAtEveryGate(t *testing.T) {
	r, gates, alice, id, v := deafRig(t)
	problem(t, gates[0].SignIn("alice"), id)
	code, _ := v.End()
	require.Zero(t, code, "it is cut")
	isOver(t, alice, gates[0], id)
	hears(t, alice, gates[1], id)
	gates[0].Stop()
	again := r.gateIn(t, "gate1", gates[1].Dir)
	up(t, again.SignIn("alice"), 1)
	isOver(t, alice, again, id)
}

// Who may stop nobody else's views stops an own one at whichever gate the request comes to.
func TestOwnViewIsStoppedAtAnotherGate(t *testing.T) {
	r := newRig(t, "vda1")
	one := r.gate(t, "gate1")
	helen := one.SignIn("helen")
	up(t, helen, 1)
	two := r.gateIn(t, "gate2", one.Dir)
	there := &testgate.Client{HTTP: helen.HTTP, Gate: two, Header: helen.Header}
	up(t, there, 1)
	id := helen.AskFor(gate.Wish{Host: "vda1", Session: "s1"}).ID
	lists(t, there, id)
	there.Do(http.MethodDelete, "/api/v1/shadows/"+id, nil, http.StatusNoContent)
}

// Who has the same name by another way of signing in, or states it at the host itself, is somebody else at whichever gate.
func TestViewOfAnotherOfOneName(t *testing.T) {
	r := newRig(t, "vda1")
	one := r.gate(t, "gate1")
	helen := one.SignIn("helen")
	up(t, helen, 1)
	two := r.gateIn(t, "gate2", one.Dir)
	_, token, err := (&signin.Tokens{Path: filepath.Join(two.Dir, "tokens")}).Add("helen", []string{"helpdesk"}, time.Now().Add(time.Hour))
	require.NoError(t, err)
	byToken := two.Client()
	byToken.Header.Set("Authorization", "Bearer "+token)
	up(t, byToken, 1)
	id := helen.AskFor(gate.Wish{Host: "vda1", Session: "s1"}).ID
	lists(t, byToken, id)
	refused(t, byToken, http.MethodDelete, "/api/v1/shadows/"+id, nil, http.StatusForbidden, shadow.NotAllowed)

	atTheHost, err := r.daemons["vda1"].Manager.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "helen"})
	require.NoError(t, err)
	there := &testgate.Client{HTTP: helen.HTTP, Gate: two, Header: helen.Header}
	lists(t, there, atTheHost.ID)
	refused(t, there, http.MethodDelete, "/api/v1/shadows/"+atTheHost.ID, nil, http.StatusForbidden, shadow.NotAllowed)
	refused(t, helen, http.MethodDelete, "/api/v1/shadows/"+atTheHost.ID, nil, http.StatusForbidden, shadow.NotAllowed)
}

// lists waits until a gate knows of a view, of which its host's word comes by the bus.
func lists(t *testing.T, c *testgate.Client, id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/shadows/"+id, nil)
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, testgate.Patience, 20*time.Millisecond)
}

// A stop at a gate that doesn't carry the view cuts it at the one that does.
func TestStopAtAnotherGate(t *testing.T) {
	_, gates, alice, id, v := deafRig(t)
	another := gates[1].SignIn("alice")
	lists(t, another, id)
	problem(t, another, id)
	code, _ := v.End()
	require.Zero(t, code, "it is cut")
	isOver(t, alice, gates[0], id)
}

// problem has somebody stop a view whose host doesn't answer.
func problem(t *testing.T, c *testgate.Client, id string) {
	t.Helper()
	resp, err := c.Send(t.Context(), http.MethodDelete, "/api/v1/shadows/"+id, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
}
