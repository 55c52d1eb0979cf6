package gate_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// providerDir is where npm has put the certified provider that the lock file names: a cache, for it takes
// a while and the network.
func providerDir(t *testing.T) string {
	t.Helper()
	npm := testenv.Program(t, "npm", "npm")
	const from = "testdata/oidc-provider"
	lock, err := os.ReadFile(filepath.Join(from, "package-lock.json"))
	require.NoError(t, err)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "shadow-test", "oidc-provider-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); err == nil {
		return dir
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	require.NoError(t, err)
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(fresh, name), data, 0o644))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		testenv.Lack(t, "npm can't fetch oidc-provider: %v: %s", err, out)
	}
	_ = os.Rename(fresh, dir) // another test may have been quicker
	return dir
}

// A provider is npm's oidc-provider, running.
type provider struct {
	Issuer string
	stop   func()
}

func startProvider(t *testing.T, gateURL string) *provider {
	t.Helper()
	node := testenv.Program(t, "node", "nodejs")
	dir := providerDir(t)
	script, err := os.ReadFile("testdata/oidc-provider/provider.mjs")
	require.NoError(t, err)
	own := filepath.Join(dir, "provider.mjs")
	require.NoError(t, os.WriteFile(own, script, 0o644))
	cmd := exec.Command(node, own, gateURL+"/signin/oidc/callback", gateURL+"/signin")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ended := false
	p := &provider{stop: func() {
		if !ended {
			ended = true
			_ = in.Close()
			_ = cmd.Wait()
		}
	}}
	t.Cleanup(p.stop)
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the provider says where it is")
	p.Issuer = lines.Text()
	return p
}

// freeAddress is a loopback address that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
}

// newProviderGate is a gate whose provider is at issuer.
func newProviderGate(t *testing.T, d *testgate.Daemon, address, issuer string, change func(*signin.OIDC)) *testgate.Gate {
	t.Helper()
	return testgate.New(t, d, testgate.Options{
		Listen: address,
		SignIn: func(c *signin.Config) {
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			c.OIDC = &signin.OIDC{
				Issuer: issuer, ClientID: "gate", Secret: "a secret of the test's", Origin: "http://" + address, Scopes: []string{"openid", "profile", "groups"},
				NameClaim: "preferred_username", GroupsClaim: "groups", ProviderExit: true, Client: &http.Client{Transport: transport, Timeout: time.Minute},
			}
			if change != nil {
				change(c.OIDC)
			}
		},
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
	p := startProvider(t, "http://"+address)
	d := testgate.NewDaemon(t)
	g := newProviderGate(t, d, address, p.Issuer, nil)
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
	p := startProvider(t, "http://"+address)
	d := testgate.NewDaemon(t)
	g := newProviderGate(t, d, address, p.Issuer, nil)
	c := g.Client()
	callback := browse(t, c, g.URL+"/signin/oidc", g.URL+"/signin/oidc/callback")
	c.Do(http.MethodGet, strings.TrimPrefix(callback, g.URL), nil, http.StatusSeeOther)
	p.stop()
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	c.View(c.Ask("s1").ID)

	g.Stop()
	next := newProviderGate(t, d, address, p.Issuer, nil)
	late := next.Client()
	resp, err := late.Send(t.Context(), http.MethodGet, "/signin/oidc", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "/signin?error=provider", resp.Header.Get("Location"))
	next.SignIn("alice") // the other ways are there
}

// After a sign-in the browser goes to a page of the gate, wherever somebody wanted to lead it.
func TestOpenRedirect(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	p := startProvider(t, "http://"+address)
	g := newProviderGate(t, testgate.NewDaemon(t), address, p.Issuer, nil)
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
