package gate_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// A gate whose clock is behind that of the gate that gave a cookie says so, by minutes or by an hour; one whose clock is ahead takes
// it, unless that is more than it may be unused. Whoever can't be told to be signed in signs in anew, and loses nothing else.
func TestClockOff(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	at := func(off time.Duration) func(*signin.Config) {
		return func(c *signin.Config) { c.Now = func() time.Time { return time.Now().Add(off) } }
	}
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	id := c.Ask("s1").ID
	c.View(id)
	restart := func(off time.Duration) {
		t.Helper()
		g.Stop()
		g = testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address(), SignIn: at(off)})
		c.Gate = g
	}
	for _, off := range []time.Duration{-time.Hour, -5 * time.Minute} {
		restart(off)
		p := refused(t, c, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "clock")
		require.Contains(t, p.Detail, "still to come")
		require.Contains(t, p.Detail, "set this gate's clock")
	}
	restart(10 * time.Minute)
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	c.View(id).Picture() // it has waited

	restart(time.Hour) // longer than session.idle
	refused(t, c, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	signIn(c)
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	restart(0) // the clock is right again
	refused(t, c, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "clock")
	signIn(c)
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
}

// signIn signs alice in once more.
func signIn(c *testgate.Client) {
	c.Do(http.MethodPost, "/api/v1/signin", gate.Credentials{Name: "alice", Password: testgate.Password}, http.StatusNoContent)
}

// A clock that is set while people are signed in, by an hour and back, ends no view and signs nobody out who goes on; who signs out
// is signed out.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	var off atomic.Int64
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{SignIn: func(c *signin.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		c.Idle = 2 * time.Hour
	}})
	c, other := g.SignIn("alice"), g.SignIn("alice")
	v := c.View(c.Ask("s1").ID)
	for _, by := range []time.Duration{time.Hour, 0, time.Hour} {
		off.Store(int64(by))
		g.Gate.EndHolds()
		v.Picture()
	}
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	require.Len(t, signIns(c).SignIns, 2)
	c.Do(http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true, Password: testgate.Password}, http.StatusNoContent)
	refused(t, other, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	off.Store(0)
	refused(t, other, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	signIn(other) // after the cut, by whichever clock
	other.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
}
