package fleethosts_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// at is the same browser at another gate.
func at(c *testgate.Client, g *testgate.Gate) *testgate.Client {
	return &testgate.Client{HTTP: c.HTTP, Gate: g, Header: c.Header}
}

// status is what a gate says to who asks who is signed in.
func status(t *testing.T, c *testgate.Client) int {
	t.Helper()
	resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/me", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// signedOut waits until a gate has heard of a sign-out.
func signedOut(t *testing.T, c *testgate.Client) {
	t.Helper()
	require.Eventually(t, func() bool { return status(t, c) == http.StatusUnauthorized }, testgate.Patience, 20*time.Millisecond)
}

// Gates of a fleet that share the keys of cookies know of each other's sign-ins: one is listed, and ended, wherever it was begun,
// and who has signed out has done so everywhere, also at a gate that is started later.
func TestSignInsOfTheFleet(t *testing.T) {
	r := newRig(t, "vda1")
	one := r.gate(t, "gate1")
	two := r.gateIn(t, "gate2", one.Dir)
	first, second, third, helen := one.SignIn("alice"), two.SignIn("alice"), one.SignIn("alice"), one.SignIn("helen")
	up(t, helen, 1)
	up(t, at(helen, two), 1)
	require.Eventually(t, func() bool {
		var here, there gate.SignInList
		first.Get("/api/v1/me/signins", &here)
		second.Get("/api/v1/me/signins", &there)
		return len(here.SignIns) == 3 && len(there.SignIns) == 3
	}, testgate.Patience, 20*time.Millisecond)
	view := second.View(second.AskFor(gate.Wish{Host: "vda1", Session: "s1"}).ID)

	require.Equal(t, http.StatusOK, status(t, at(third, two)))
	third.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK)
	signedOut(t, at(third, two))

	require.Equal(t, http.StatusOK, status(t, at(first, two)))
	first.Do(http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true}, http.StatusNoContent)
	signedOut(t, second)
	_, _ = view.End()
	require.Equal(t, http.StatusOK, status(t, at(first, two)))
	require.Equal(t, http.StatusOK, status(t, at(helen, two)))

	later := testgate.New(t, nil, testgate.Options{Dir: one.Dir, Gate: r.into(t, r.Conn("gate3")), SignIn: func(c *signin.Config) { c.Ended = nil }})
	up(t, at(helen, later), 1)
	require.Equal(t, http.StatusUnauthorized, status(t, at(third, later)), "who has signed out is known before the hosts are")
	require.Equal(t, http.StatusUnauthorized, status(t, at(second, later)))
	require.Equal(t, http.StatusOK, status(t, at(first, later)))
}
