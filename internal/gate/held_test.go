package gate_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/testgate"
)

// A held host's line for calls is held, or cut. Its views' pixels come all the same.
type held struct {
	*hosts.Local
	holds atomic.Bool   // calls get no answer
	fails atomic.Bool   // calls fail
	over  chan struct{} // closed at the test's end
}

func (h *held) wait(ctx context.Context) error {
	if h.holds.Load() {
		<-h.over
		return context.Canceled
	}
	if h.fails.Load() {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

func (h *held) Stop(ctx context.Context, id string) error {
	if err := h.wait(ctx); err != nil {
		return err
	}
	return h.Local.Stop(ctx, id)
}

func (h *held) Shadows(ctx context.Context) ([]api.Status, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	return h.Local.Shadows(ctx)
}

// soon has a gate cut views as soon as it does for people.
func soon(c *gate.Config) { c.CutAfter = 0 }

// viewOnHeld is a view that alice has, on a host that can be held.
func viewOnHeld(t *testing.T) (h *held, g *testgate.Gate, alice *testgate.Client, view gate.View, v *testgate.Viewer) {
	t.Helper()
	h = &held{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "held"}, over: make(chan struct{})}
	g = testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{h}, Gate: soon})
	t.Cleanup(func() { close(h.over) })
	alice = g.SignIn("alice")
	view = alice.AskFor(gate.Wish{Host: "held", Session: "s1"})
	v = alice.View(view.ID)
	v.Picture()
	return h, g, alice, view, v
}

// Who signs out has no picture any more, though the view's host can't be told: the call that tells it is held
// for longer than the test waits.
func TestSignedOutOfAHeldHost(t *testing.T) {
	t.Parallel()
	h, _, alice, _, v := viewOnHeld(t)
	h.holds.Store(true)
	alice.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK)
	code, _ := v.End()
	require.Zero(t, code, "it is cut")
}

// A view that an administrator stops is carried no more, and can't be had again, though its host doesn't answer; nor is
// that waited for before he is told, nor any other host.
func TestStopOnAHeldHost(t *testing.T) {
	t.Parallel()
	h, g, alice, view, v := viewOnHeld(t)
	h.holds.Store(true)
	refused(t, g.SignIn("alice"), http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusBadGateway, "host_unreachable") // the host is held for longer
	code, _ := v.End()
	require.Zero(t, code, "it is cut")
	closedWith(t, alice, view.ID, 1000, "ended")
}

// What fails at once is no stop either. The host is told again, and until then the view isn't said to have ended by itself.
func TestStopOnACutHost(t *testing.T) {
	t.Parallel()
	h, _, alice, view, v := viewOnHeld(t)
	h.fails.Store(true)
	refused(t, alice, http.MethodGet, "/api/v1/shadows/"+view.ID, nil, http.StatusBadGateway, "host_unreachable")
	refused(t, alice, http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusBadGateway, "host_unreachable")
	code, _ := v.End()
	require.Zero(t, code, "it is cut")
	h.fails.Store(false)
	eventually(t, "the host was told again", func() bool {
		list, err := h.Local.Shadows(t.Context())
		return err == nil && len(list) == 0
	})
}

// An ending host waits for whatever ends a call.
type ending struct {
	*hosts.Local
	called chan string // the call that waits
	ended  chan error  // why it waits no more
}

func (e *ending) wait(ctx context.Context, call string) error {
	e.called <- call
	<-ctx.Done()
	e.ended <- ctx.Err()
	return ctx.Err()
}

func (e *ending) Stop(ctx context.Context, _ string) error { return e.wait(ctx, "stop") }

// A gate that is to end waits for no host that is told of a view's end.
func TestShutdownWhileAHostIsTold(t *testing.T) {
	t.Parallel()
	h := &ending{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "held"}, called: make(chan string, 64), ended: make(chan error, 64)}
	g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{h}})
	alice := g.SignIn("alice")
	alice.AskFor(gate.Wish{Host: "held", Session: "s1"}) // nobody connects to it
	alice.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK)
	require.Equal(t, "stop", <-h.called)
	g.Stop()
	require.ErrorIs(t, <-h.ended, context.Canceled)
}

// lost is a host whose views can't be reached, and which doesn't say why.
type lost struct {
	*ending
	is *atomic.Bool
}

func (l lost) Dial(context.Context, hosts.Target) (net.Conn, error) {
	l.is.Store(true)
	return nil, errors.New("no way there")
}

func (l lost) Sessions(ctx context.Context) ([]api.Session, error) {
	if l.is.Load() { // a look at the list comes no further
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.Local.Sessions(ctx)
}

func (l lost) Shadows(ctx context.Context) ([]api.Status, error) {
	if l.is.Load() {
		return nil, l.wait(ctx, "shadows")
	}
	return l.Local.Shadows(ctx)
}

// Nor for one that is asked what has become of a view.
func TestShutdownWhileAHostIsAsked(t *testing.T) {
	t.Parallel()
	h := lost{is: new(atomic.Bool), ending: &ending{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "held"}, called: make(chan string, 64), ended: make(chan error, 64)}}
	g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{h}})
	alice := g.SignIn("alice")
	view := alice.AskFor(gate.Wish{Host: "held", Session: "s1"})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if v, err := alice.Connect(view.ID); err == nil {
			v.Cut()
		}
	}()
	defer func() { <-gone }()
	require.Equal(t, "shadows", <-h.called)
	g.Stop()
	require.ErrorIs(t, <-h.ended, context.Canceled)
}

// wrong is a held host whose grant can't be meant.
type wrong struct{ *held }

func (wrong) Ask(context.Context, api.Request) (*api.Grant, error) {
	return &api.Grant{ID: "a/b", Session: "s1"}, nil
}

// Who has asked is answered, though the host is held when it is told that nobody has the view.
func TestAskOnAHeldHost(t *testing.T) {
	t.Parallel()
	h := wrong{&held{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "held"}, over: make(chan struct{})}}
	g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{holdingStops{h}}, Gate: soon})
	t.Cleanup(func() { close(h.over) })
	refused(t, g.SignIn("alice"), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "held", Session: "s1"}, http.StatusBadGateway, "host_unreachable")
}

// holdingStops holds nothing but stops.
type holdingStops struct{ wrong }

func (h holdingStops) Stop(context.Context, string) error {
	<-h.over
	return context.Canceled
}

// A changing host's session s1 is bob's by the time that it is asked.
type changing struct {
	*hosts.Local
	d *testgate.Daemon
}

func (c *changing) Ask(ctx context.Context, r api.Request) (*api.Grant, error) {
	c.d.SetSessions(&shadow.Session{ID: "s1", User: "bob", UID: 1002, Display: ":2", Type: "x11", Class: "user", State: "active"})
	return c.Local.Ask(ctx, r)
}

// Who may view ann's sessions doesn't have bob's, though it has the id by now that ann's had.
func TestSessionIsAnotherUsersWhenItsHostIsAsked(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{&changing{&hosts.Local{Client: d.Client, Called: "vda1"}, d}}})
	refused(t, g.SignIn("helen"), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "vda1", Session: "s1"}, http.StatusConflict, "no_session")
}
