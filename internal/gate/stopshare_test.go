package gate_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
)

// To stop what isn't there has hosts asked whether it is: a person has a share of that, and is served all the same who stops a
// view that the gate carries.
func TestStopsOfNothing(t *testing.T) {
	t.Parallel()
	h, g, alice, view, _ := viewOnHeld(t)
	h.holds.Store(true)
	both := []*testgate.Client{alice, g.SignIn("alice")}
	for i := range gate.MaxUnderwayOne {
		go func() {
			if resp, err := both[i%2].Send(t.Context(), http.MethodDelete, "/api/v1/shadows/nosuch", nil); err == nil {
				_ = resp.Body.Close()
			}
		}()
	}
	eventually(t, "all are under way", func() bool { return g.Gate.Stopping() == gate.MaxUnderwayOne })
	for _, path := range []string{"/api/v1/shadows/nosuch", "/api/v1/shadows/nosuch?host=held", "/api/v1/shadows/" + view.ID + "x"} {
		refused(t, both[1], http.MethodDelete, path, nil, http.StatusTooManyRequests, "too_many")
	}
	refused(t, both[1], http.MethodDelete, "/api/v1/shadows/"+view.ID+"?host=held", nil, http.StatusBadGateway, "host_unreachable") // it is carried: cut, and its host held
}

// Nor does anybody have hosts asked as often as he likes.
func TestManyStopsOfNothing(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	g.Gate.Tire(6)
	alice := g.SignIn("alice")
	view := alice.Ask("s1")
	for range 6 {
		refused(t, alice, http.MethodDelete, "/api/v1/shadows/nosuch", nil, http.StatusNotFound, "ended")
	}
	p := refused(t, alice, http.MethodDelete, "/api/v1/shadows/nosuch", nil, http.StatusTooManyRequests, "too_many")
	require.Positive(t, p.RetryAfter)
	refused(t, g.SignIn("helen"), http.MethodDelete, "/api/v1/shadows/nosuch", nil, http.StatusNotFound, "ended")
	alice.Get("/api/v1/shadows/"+view.ID, new(gate.Standing)) // looks have a share of their own
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
}
