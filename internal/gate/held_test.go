package gate_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

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

// viewOnHeld is a view that alice has, on a host that can be held.
func viewOnHeld(t *testing.T) (h *held, g *testgate.Gate, alice *testgate.Client, view gate.View, v *testgate.Viewer) {
	t.Helper()
	h = &held{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "held"}, over: make(chan struct{})}
	g = testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{h}})
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
