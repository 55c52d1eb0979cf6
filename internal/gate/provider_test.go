package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// freeAddress is a loopback address that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
}

// newProviderGate is a gate whose provider is p.
func newProviderGate(t *testing.T, d *testgate.Daemon, address string, p *testgate.Provider) *testgate.Gate {
	t.Helper()
	return testgate.New(t, d, testgate.Options{
		Listen: address, SignIn: p.SignIn(t, "http://"+address, nil),
		Gate: func(c *gate.Config) { c.Label = "The test's" },
	})
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	hidden     = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// browse follows redirects and fills in the provider's forms, as somebody called kim would, until it is
// at an address that begins with end. It returns that address, not fetched.
func browse(t *testing.T, c *testgate.Client, from, end string) string {
	t.Helper()
	method, at, form := http.MethodGet, from, url.Values(nil)
	for range 20 {
		if strings.HasPrefix(at, end) {
			return at
		}
		r, err := http.NewRequest(method, at, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := c.HTTP.Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if location := resp.Header.Get("Location"); location != "" {
			next, err := resp.Request.URL.Parse(location)
			require.NoError(t, err)
			method, at, form = http.MethodGet, next.String(), nil
			continue
		}
		m := formAction.FindSubmatch(body)
		require.NotNil(t, m, "%s: %d: %s", at, resp.StatusCode, body)
		form = url.Values{}
		for _, field := range hidden.FindAllSubmatch(body, -1) {
			form.Set(string(field[1]), string(field[2]))
		}
		switch {
		case form.Get("prompt") == "login":
			form.Set("login", "kim")
			form.Set("password", "x")
		case form.Get("xsrf") != "":
			form.Set("logout", "yes")
		}
		method, at = http.MethodPost, string(m[1])
	}
	require.FailNow(t, "no end", "from %s", from)
	return ""
}

// The whole way through a real provider: sign-in, groups, a view, sign-out there, too.
func TestProvider(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	p := testgate.StartProvider(t, "http://"+address)
	d := testgate.NewDaemon(t)
	g := newProviderGate(t, d, address, p)
	c := g.Client()
	var ways gate.Methods
	c.Get("/api/v1/signin", &ways)
	require.Equal(t, []string{"oidc", "password"}, ways.Methods)
	require.Equal(t, "The test's", ways.OIDC.Label)

	callback := browse(t, c, g.URL+"/signin/oidc?next=/view/abc", g.URL+"/signin/oidc/callback")
	landing := browse(t, c, callback, g.URL+"/view/")
	require.Equal(t, g.URL+"/view/abc", landing)
	var me gate.Me
	c.Get("/api/v1/me", &me)
	require.Equal(t, "kim@corp", me.Name)
	require.Equal(t, "kim of the test", me.FullName)
	require.Equal(t, []string{"administrators", "staff"}, me.Groups)
	require.Equal(t, "oidc", me.Method)
	view := c.Ask("s1")
	require.Equal(t, "kim@corp", view.Admin)
	v := c.View(view.ID)

	// The answer is good once, and for the browser that has begun only.
	for name, other := range map[string]*testgate.Client{"again": c, "another browser": g.Client()} {
		resp, err := other.Send(t.Context(), http.MethodGet, strings.TrimPrefix(callback, g.URL), nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "/signin?error=state", resp.Header.Get("Location"), name)
	}

	var next gate.Next
	unmarshal(t, c.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK), &next)
	require.True(t, strings.HasPrefix(next.Next, p.Issuer+"/session/end?"), next.Next)
	require.Equal(t, g.URL+"/signin", browse(t, c, next.Next, g.URL+"/signin"))
	code, _ := v.End()
	require.Equal(t, 1000, code)
	again := browse(t, c, g.URL+"/signin/oidc", p.Issuer+"/interaction/")
	require.NotEmpty(t, again, "the provider asks again")
	require.NotContains(t, g.Log.String(), "a secret of the test's")
}

// Who has signed in stays so while the provider is down; who hasn't is told.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	p := testgate.StartProvider(t, "http://"+address)
	d := testgate.NewDaemon(t)
	g := newProviderGate(t, d, address, p)
	c := g.Client()
	callback := browse(t, c, g.URL+"/signin/oidc", g.URL+"/signin/oidc/callback")
	c.Do(http.MethodGet, strings.TrimPrefix(callback, g.URL), nil, http.StatusSeeOther)
	p.Stop()
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	c.View(c.Ask("s1").ID)
	var gone gate.Next
	unmarshal(t, c.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK), &gone)
	require.Equal(t, "/signin?error=exit", gone.Next, "nobody is led to what doesn't answer")
	resp, err := c.Send(t.Context(), http.MethodGet, "/signin/oidc", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "/signin?error=provider", resp.Header.Get("Location"), "also not by a gate that has seen it")

	g.Stop()
	next := newProviderGate(t, d, address, p)
	late := next.Client()
	resp, err = late.Send(t.Context(), http.MethodGet, "/signin/oidc", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "/signin?error=provider", resp.Header.Get("Location"))
	next.SignIn("alice") // the other ways are there
}

// After a sign-in the browser goes to a page of the gate, wherever somebody wanted to lead it.
func TestOpenRedirect(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	p := testgate.StartProvider(t, "http://"+address)
	g := newProviderGate(t, testgate.NewDaemon(t), address, p)
	for next, want := range map[string]string{
		"https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "/view/x?y=z": "/view/x?y=z", "javascript:alert(1)": "/", "/api/v1/signout": "/",
	} {
		c := g.Client()
		callback := browse(t, c, g.URL+"/signin/oidc?next="+escape(next), g.URL+"/signin/oidc/callback")
		resp, err := c.Send(t.Context(), http.MethodGet, strings.TrimPrefix(callback, g.URL), nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.Header.Get("Location"), next)
	}
}
