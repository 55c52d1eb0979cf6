package gate_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// A gate whose clock is behind that of the gate that gave a cookie says so; one whose clock is ahead takes it.
func TestClockOff(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	at := func(off time.Duration) func(*signin.Config) {
		return func(c *signin.Config) { c.Now = func() time.Time { return time.Now().Add(off) } }
	}
	first := testgate.New(t, d, testgate.Options{})
	c := first.SignIn("alice")
	first.Stop()
	behind := testgate.New(t, d, testgate.Options{Dir: first.Dir, Listen: first.Address(), SignIn: at(-time.Hour)})
	c.Gate = behind
	p := refused(t, c, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "clock")
	require.Contains(t, p.Detail, "still to come")
	require.Contains(t, p.Detail, "set this gate's clock")
	behind.Stop()
	c.Gate = testgate.New(t, d, testgate.Options{Dir: first.Dir, Listen: first.Address(), SignIn: at(10 * time.Minute)})
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
}
