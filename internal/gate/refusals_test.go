package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// Whatever is refused has a line with who has tried, and from where; whoever goes on makes a few.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	line := func(what string, try func(), with ...string) {
		t.Helper()
		before := len(g.Log.String())
		try()
		for _, one := range append(with, `"message":"refused"`, `"from":"127.0.0.1"`) {
			require.Contains(t, g.Log.String()[before:], one, what)
		}
	}
	alice, helen := g.SignIn("alice"), g.SignIn("helen")
	view := alice.Ask("s1")
	table := []string{`"why":"access"`, `"name":"helen"`}
	line("a session", func() {
		refused(t, helen, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s2"}, http.StatusConflict, shadow.NoSession)
	}, table...)
	line("a host", func() {
		refused(t, helen, http.MethodGet, "/api/v1/rules?host=none", nil, http.StatusNotFound, "")
	}, table...)
	line("what happened", func() {
		refused(t, helen, http.MethodGet, "/api/v1/activity", nil, http.StatusForbidden, shadow.NotAllowed)
	}, table...)
	line("a stop", func() {
		refused(t, helen, http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusForbidden, shadow.NotAllowed)
	}, table...)
	line("a view", func() { closedWith(t, helen, view.ID, 1008, "not_yours") }, `"why":"view"`, `"name":"helen"`, view.ID)
	line("another site", func() {
		_, err := alice.ConnectFrom(view.ID, "https://evil.example")
		require.Error(t, err)
	}, `"why":"site"`)
	line("another name", func() {
		r, err := http.NewRequest(http.MethodGet, g.URL+"/api/v1/signin", nil)
		require.NoError(t, err)
		r.Host = "evil.example"
		resp, err := g.Client().HTTP.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}, `"why":"host"`)

	begun := time.Now()
	for range 100 {
		refused(t, helen, http.MethodGet, "/api/v1/activity", nil, http.StatusForbidden, shadow.NotAllowed)
	}
	require.LessOrEqual(t, strings.Count(g.Log.String(), `"message":"refused"`), 12+int(time.Since(begun)/(10*time.Second)))
	metrics := string(g.Client().Do(http.MethodGet, "/metrics", nil, http.StatusOK))
	require.Contains(t, metrics, `shadowgate_refusals_total{why="access"} 104`)
	require.Contains(t, metrics, `shadowgate_build_info{version="test"} 1`)
}

// Who comes by a token or a header has a line as who signs in with a password has, though not for each request.
func TestSignInsWithoutASignInAreLogged(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{SignIn: func(c *signin.Config) {
		c.Header = &signin.Header{Name: "X-Remote-User", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	}})
	_, text, err := (&signin.Tokens{Path: filepath.Join(g.Dir, "tokens")}).Add("nightly", nil, time.Now().Add(time.Hour))
	require.NoError(t, err)
	lines := func(method, result string) int {
		return strings.Count(g.Log.String(), fmt.Sprintf(`"method":"%s","result":"%s"`, method, result))
	}
	c := g.Client()
	c.Header.Set("Authorization", "Bearer "+text)
	for range 3 {
		c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	}
	require.Equal(t, 1, lines("token", "done"))
	require.Contains(t, g.Log.String(), `"name":"nightly"`)
	begun := time.Now()
	most := func() int { return 10 + int(time.Since(begun)/(10*time.Second)) }
	c.Header.Set("Authorization", "Bearer "+text+"x")
	for range 30 {
		c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized)
	}
	require.Positive(t, lines("token", "wrong"))
	require.LessOrEqual(t, lines("token", "wrong"), most())

	c = g.Client()
	c.Header.Set("X-Remote-User", "kim")
	for range 3 {
		c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	}
	require.Equal(t, 1, lines("header", "done"), "the others have the cookie")
	for range 30 {
		script := g.Client()
		script.Header.Set("X-Remote-User", "kim")
		script.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	}
	require.LessOrEqual(t, lines("header", "done"), most())
	metrics := string(g.Client().Do(http.MethodGet, "/metrics", nil, http.StatusOK))
	require.Contains(t, metrics, `shadowgate_sign_ins_total{method="header",result="done"} 31`)
	require.Contains(t, metrics, `shadowgate_sign_ins_total{method="token",result="wrong"} 30`)
	require.NotContains(t, g.Log.String(), text[len(text)-20:])
}

// The figures are for those whom web.metrics names, and for nobody of whom a proxy says nothing.
func TestMetricsAreForWhoIsNamed(t *testing.T) {
	t.Parallel()
	get := func(g *testgate.Gate, host, forwarded string) int {
		r, err := http.NewRequest(http.MethodGet, g.URL+"/metrics", nil)
		require.NoError(t, err)
		if host != "" {
			r.Host = host
		}
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		resp, err := g.Client().HTTP.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	d := testgate.NewDaemon(t)
	plain := testgate.New(t, d, testgate.Options{})
	require.Equal(t, http.StatusOK, get(plain, "", ""))
	require.Equal(t, http.StatusForbidden, get(plain, "", "203.0.113.9"), "a proxy that nobody has named")
	require.Equal(t, http.StatusMisdirectedRequest, get(plain, "evil.example", ""), "a page whose name leads here")
	far := testgate.New(t, d, testgate.Options{Gate: func(c *gate.Config) { c.Metrics = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }})
	require.Equal(t, http.StatusForbidden, get(far, "", ""))
	proxied := testgate.New(t, d, testgate.Options{Gate: func(c *gate.Config) {
		c.Origin, c.Proxies = "https://gate.example", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		c.Metrics = append(c.Metrics, netip.MustParsePrefix("192.0.2.7/32"))
	}})
	for from, want := range map[string]int{"": 403, "unknown": 403, "203.0.113.9": 403, "192.0.2.7": 200, "127.0.0.1": 403} {
		require.Equal(t, want, get(proxied, "", from), "%q", from)
	}
}

// silent is a host that says nothing of its sessions.
type silent struct{ *hosts.Local }

func (silent) Sessions(ctx context.Context) ([]api.Session, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A person has a share of the whole lists that are under way, and no host is asked of which somebody may list nothing.
func TestListsOfOne(t *testing.T) {
	t.Parallel()
	table := append(testgate.Access(), access.Rule{Names: []string{"nick"}, Hosts: []string{testgate.Host}, May: []access.Right{access.List}})
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{
		Hosts: []hosts.Host{silent{&hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "silent"}}},
		Gate:  func(c *gate.Config) { c.Access = table },
	})
	up(t, g)
	alice, nick := g.SignIn("alice"), g.SignIn("nick")
	free := g.Gate.HoldLists("alice")
	refused(t, alice, http.MethodGet, "/api/v1/sessions", nil, http.StatusTooManyRequests, "too_many")
	refused(t, g.SignIn("alice"), http.MethodGet, "/api/v1/sessions", nil, http.StatusTooManyRequests, "too_many")
	begun := time.Now()
	nick.Do(http.MethodGet, "/api/v1/sessions", nil, http.StatusOK)
	require.Less(t, time.Since(begun), gate.LookTime, "the other host was waited for")
	free()
}
