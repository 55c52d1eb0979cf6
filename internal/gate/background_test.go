package gate_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// What a page asks by itself doesn't keep a sign-in going, and no stream does.
func TestBackground(t *testing.T) {
	t.Parallel()
	var later atomic.Int64 // ns
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{SignIn: func(c *signin.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	}})
	c := g.SignIn("alice")
	later.Store(int64(5 * time.Minute))
	for path, keeps := range map[string]bool{"/api/v1/me": true, "/api/v1/sessions": true, "/api/v1/sessions/events": false, "/api/v1/events": false} {
		for _, background := range []bool{false, true} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path, nil)
			require.NoError(t, err)
			for _, cookie := range c.Cookies() {
				req.AddCookie(cookie)
			}
			if background {
				req.Header.Set("Shadowgate-Background", "1")
			}
			resp, err := http.DefaultTransport.RoundTrip(req) // without the jar: each comes with the same cookie
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode, path)
			require.Equal(t, keeps && !background, len(resp.Cookies()) > 0, "%s, background: %v", path, background)
		}
	}
}
