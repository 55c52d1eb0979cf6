package gate_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// Whoever isn't signed in gets nothing from the API.
func TestSignedOut(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	view := g.SignIn("alice").Ask("s1")
	for name, spoil := range map[string]func(c *testgate.Client){
		"nothing":        func(*testgate.Client) {},
		"made-up cookie": func(c *testgate.Client) { c.Header.Set("Cookie", "shadowgate=abc") },
		"empty cookie":   func(c *testgate.Client) { c.Header.Set("Cookie", "shadowgate=") },
		"another key": func(c *testgate.Client) {
			c.Header.Set("Cookie", "shadowgate="+signin.NewSealer().Seal("session 1", []byte(`{"id":"x","n":"alice","m":"password"}`)))
		},
		"another purpose": func(c *testgate.Client) {
			c.Header.Set("Cookie", "shadowgate="+g.Sealer.Seal("view 1", []byte(`{"id":"x","n":"alice","m":"password"}`)))
		},
		"made-up token": func(c *testgate.Client) { c.Header.Set("Authorization", "Bearer sg_00000000_abc") },
		"stated header": func(c *testgate.Client) { c.Header.Set("X-Remote-User", "alice") },
	} {
		c := g.Client()
		spoil(c)
		for _, call := range []string{
			"GET /api/v1/me", "GET /api/v1/hosts", "GET /api/v1/rules", "GET /api/v1/sessions", "GET /api/v1/sessions/events", "GET /api/v1/shadows",
			"POST /api/v1/shadows", "GET /api/v1/shadows/" + view.ID, "DELETE /api/v1/shadows/" + view.ID, "GET /api/v1/events", "GET /api/v1/activity",
			"GET /api/v1/activity?format=csv", "POST /api/v1/signout", "POST /api/v1/rules/test",
			"POST /api/v1/shadows/" + view.ID + "/ticket", "GET /api/v1/me/signins", "POST /api/v1/me/signins/end",
		} {
			method, path, _ := strings.Cut(call, " ")
			var body any
			if method == http.MethodPost {
				body = gate.Wish{Session: "s1"}
			}
			t.Run(name+" "+call, func(t *testing.T) { refused(t, c, method, path, body, http.StatusUnauthorized, "sign_in") })
		}
		closedWith(t, c, view.ID, 1008, "sign_in")
	}
}

// A sign-in begins a new session, whatever cookie the browser came with.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	attacker := g.SignIn("nick")
	planted := attacker.HTTP.Jar.Cookies(mustURL(t, g.URL))
	require.Len(t, planted, 1)
	victim := g.Client()
	victim.HTTP.Jar.SetCookies(mustURL(t, g.URL), planted)
	victim.Do(http.MethodPost, "/api/v1/signin", gate.Credentials{Name: "alice", Password: testgate.Password}, http.StatusNoContent)
	require.NotEqual(t, planted[0].Value, victim.HTTP.Jar.Cookies(mustURL(t, g.URL))[0].Value)
	var me gate.Me
	refused(t, attacker, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in") // a new sign-in ends the old one
	victim.Get("/api/v1/me", &me)
	require.Equal(t, "alice", me.Name)

	// Two cookies of the name, one planted by a neighbouring host, are none.
	both := g.Client()
	both.Header.Set("Cookie", "shadowgate="+planted[0].Value+"; shadowgate="+victim.HTTP.Jar.Cookies(mustURL(t, g.URL))[0].Value)
	refused(t, both, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
}

// A copy of a cookie is worth nothing after its owner has signed out, also to the next gate.
func TestStolenCookieAfterSignOut(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	c, thief := g.SignIn("alice"), g.Client()
	thief.HTTP.Jar.SetCookies(mustURL(t, g.URL), c.HTTP.Jar.Cookies(mustURL(t, g.URL)))
	thief.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	c.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK)
	refused(t, thief, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	g.Stop()
	thief.Gate = testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address()})
	refused(t, thief, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
}

// What a page of another site sends changes nothing, and what isn't JSON neither.
func TestCrossSiteRequestForgery(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	view := c.Ask("s1")
	for name, headers := range map[string]http.Header{
		"another site":          {"Sec-Fetch-Site": {"cross-site"}},
		"a neighbouring host":   {"Sec-Fetch-Site": {"same-site"}},
		"an old browser":        {"Origin": {"https://evil.example"}},
		"a sandboxed page":      {"Origin": {"null"}},
		"the same host by http": {"Origin": {"http://evil.example"}, "Sec-Fetch-Site": {"cross-site"}},
	} {
		c.Header = headers
		for _, call := range []string{"POST /api/v1/shadows", "DELETE /api/v1/shadows/" + view.ID, "POST /api/v1/signout", "POST /api/v1/signin", "POST /api/v1/me/signins/end"} {
			method, path, _ := strings.Cut(call, " ")
			t.Run(name+" "+call, func(t *testing.T) { refused(t, c, method, path, gate.Wish{Session: "s2"}, http.StatusForbidden, "") })
		}
	}
	c.Header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""} {
		r, err := http.NewRequest(http.MethodPost, g.URL+"/api/v1/shadows", strings.NewReader(`{"session":"s2"}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", kind)
		resp, err := c.HTTP.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode, "%q", kind)
	}
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK) // and it is still signed in
}

// A name that a page elsewhere has pointed at the gate's address isn't the gate's.
func TestRebinding(t *testing.T) {
	t.Parallel()
	ask := func(g *testgate.Gate, host string) int {
		r, err := http.NewRequest(http.MethodGet, g.URL+"/api/v1/signin", nil)
		require.NoError(t, err)
		r.Host = host
		resp, err := g.Client().HTTP.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{Gate: func(c *gate.Config) { c.Names = []string{"vda1"} }})
	for host, want := range map[string]int{
		"evil.example": 421, "vda1.evil.example": 421, "127.0.0.1.evil.example:8880": 421, "": 421,
		"127.0.0.1": 200, "localhost:8880": 200, "[::1]:80": 200, "VDA1": 200,
	} {
		if host != "" { // net/http's client writes the address instead
			require.Equal(t, want, ask(g, host), "%q", host)
			continue
		}
		c, err := net.Dial("tcp", g.Address())
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "GET /api/v1/signin HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode)
	}
	named := testgate.New(t, testgate.NewDaemon(t), testgate.Options{Gate: func(c *gate.Config) { c.Origin = "https://gate.example" }})
	for host, want := range map[string]int{"gate.example": 200, "gate.example:443": 200, "gate.example:80": 421, "127.0.0.1": 421, "localhost": 421} {
		require.Equal(t, want, ask(named, host), "%q", host)
	}
}

// Every answer says that it isn't to be framed, sniffed or kept.
func TestHeaders(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	for _, path := range []string{"/", "/api/v1/me", "/api/v1/none", "/view/x", "/signin/oidc", "/healthz", "/metrics", "/../etc/passwd"} {
		resp, err := c.Send(t.Context(), http.MethodGet, path, nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.Equal(t, "DENY", resp.Header.Get("X-Frame-Options"), path)
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"), path)
		require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"), path)
		require.Empty(t, resp.Header.Get("Strict-Transport-Security"), path)
		require.Less(t, resp.StatusCode, 500, path)
	}
}

// A fault of the gate's own has an answer that says nothing of it, and a line in the log that does.
func TestFaultOfOurOwn(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{Gate: func(c *gate.Config) {
		c.Pages = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the secret of a fault") })
	}})
	p := refused(t, g.SignIn("alice"), http.MethodGet, "/activity", nil, http.StatusInternalServerError, "")
	require.NotContains(t, p.Detail+p.Title, "secret")
	require.Contains(t, g.Log.String(), "the secret of a fault")
	require.Contains(t, g.Log.String(), "hostile_test.go", "where it was")
}

// Paths lead nowhere but to what there is.
func TestPaths(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	conn := func(line string) string {
		c, err := net.Dial("tcp", g.Address())
		require.NoError(t, err)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(testgate.Patience))
		_, err = fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", line)
		require.NoError(t, err)
		answer, err := io.ReadAll(c)
		require.NoError(t, err)
		return string(answer)
	}
	for _, path := range []string{
		"/view/../../etc/passwd", "/view/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/view/%00", "/api/v1/../../etc/passwd", `/\..\..\etc\passwd`,
		"http://127.0.0.1:22/", "/api/v1/shadows/..%2fsessions",
	} {
		answer := conn("GET " + path)
		require.NotContains(t, answer, "root:", path)
		require.NotRegexp(t, `^HTTP/1\.1 (200|5..)`, answer, path)
		require.NotRegexp(t, `(?i)\nlocation: (https?:)?//`, answer, path)
	}
}

// Names, purposes and sessions of whoever asks can't break out of a header, a log line or a request to
// the host.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	for _, evil := range []string{"s1\r\nSet-Cookie: a=b", "s1\nX: y", "s1\x00", "../../v1/rules", "s1?x=y", "s1#"} {
		body := c.Do(http.MethodPost, "/api/v1/shadows", gate.Wish{Session: evil}, http.StatusConflict)
		require.Contains(t, string(body), "no_session", "%q", evil)
		c.Do(http.MethodGet, "/api/v1/rules?host="+escape(evil), nil, http.StatusNotFound)
		c.Do(http.MethodPost, "/api/v1/signin", gate.Credentials{Name: evil, Password: "x"}, http.StatusUnauthorized)
	}
	require.NotContains(t, g.Log.String(), "\nX: y")
	for line := range strings.Lines(g.Log.String()) {
		require.True(t, json.Valid([]byte(line)), "%q", line)
	}
	refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1", Monitor: "DP-1\r\nx"}, http.StatusBadRequest, "")
}

// The gate connects to its host and to nothing else, whatever the host says of its granted port.
func TestServerSideRequestForgery(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 8)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			reached <- struct{}{}
			_ = c.Close()
		}
	}()
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Change = func(c *shadow.Config) { c.Host = "192.0.2.1" } // TEST-NET-1: not this machine
	})
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	view := c.Ask("s1")
	v, err := c.Connect(view.ID)
	require.NoError(t, err)
	code, reason := v.End()
	require.Equal(t, 1013, code)
	require.Equal(t, "host_unreachable", reason)
	require.Contains(t, g.Log.String(), "isn't this machine")
	c.Do(http.MethodPost, "/api/v1/shadows", gate.Wish{Host: ln.Addr().String(), Session: "s1"}, http.StatusNotFound)
	c.Do(http.MethodGet, "/api/v1/rules?host="+escape("http://"+ln.Addr().String()), nil, http.StatusNotFound)
	require.Empty(t, reached)
}

// Of two hundred guesses few are looked at, and none tells anything. Neither password nor guess is logged.
func TestTwoHundredWrongPasswords(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	signedIn := g.SignIn("alice")
	c := g.Client()
	looked, limited := 0, 0
	begun := time.Now()
	for i := range 200 {
		password := fmt.Sprintf("guess number %d", i)
		if i == 150 {
			password = testgate.Password // the right one is as good as any other by now
		}
		resp, err := c.Send(t.Context(), http.MethodPost, "/api/v1/signin", gate.Credentials{Name: "alice", Password: password})
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		switch resp.StatusCode {
		case http.StatusUnauthorized:
			looked++
		case http.StatusTooManyRequests:
			limited++
			require.NotEmpty(t, resp.Header.Get("Retry-After"))
		default:
			require.FailNow(t, "unexpected", "%d %s", resp.StatusCode, body)
		}
		require.Empty(t, resp.Cookies())
	}
	require.LessOrEqual(t, looked, 10)
	require.Equal(t, 200, looked+limited)
	lines := strings.Count(g.Log.String(), `"message":"sign-in"`)
	require.Positive(t, lines)
	require.LessOrEqual(t, lines, 12+int(time.Since(begun)/(10*time.Second)), "whoever tries makes as many lines as he likes")
	require.NotContains(t, g.Log.String(), "guess number")
	require.NotContains(t, g.Log.String(), testgate.Password)
	signedIn.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK) // who is signed in stays so
	g.SignIn("helen")                                             // and others are let in from the same address
}

// An unknown name is answered as a wrong password is.
func TestUnknownName(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.Client()
	known := c.Do(http.MethodPost, "/api/v1/signin", gate.Credentials{Name: "alice", Password: "wrong"}, http.StatusUnauthorized)
	unknown := c.Do(http.MethodPost, "/api/v1/signin", gate.Credentials{Name: "nobody", Password: "wrong"}, http.StatusUnauthorized)
	require.Equal(t, string(known), string(unknown))
	require.NotContains(t, g.Log.String(), "nobody", "people type passwords into the wrong field")
}

// A proxy's header counts from the proxy only.
func TestHeaderSignIn(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	with := func(from string) testgate.Options {
		return testgate.Options{SignIn: func(c *signin.Config) {
			c.Header = &signin.Header{Name: "X-Remote-User", Groups: "X-Remote-Groups", From: []netip.Prefix{netip.MustParsePrefix(from)}, SignedOut: "/logout"}
		}}
	}
	far := testgate.New(t, d, with("192.0.2.0/24")).Client()
	far.Header = http.Header{"X-Remote-User": {"alice"}, "X-Remote-Groups": {"administrators"}, "X-Forwarded-For": {"192.0.2.1"}}
	refused(t, far, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")

	g := testgate.New(t, d, with("127.0.0.1/32"))
	c := g.Client()
	c.Header = http.Header{"X-Remote-User": {"kim@CORP"}, "X-Remote-Groups": {"administrators, staff"}, "Sec-Fetch-Site": {"same-origin"}}
	var me gate.Me
	c.Get("/api/v1/me", &me)
	require.Equal(t, "kim@CORP", me.Name)
	require.Equal(t, []string{"administrators", "staff"}, me.Groups)
	require.Equal(t, "header", me.Method)
	since := me.Since
	view := c.Ask("s1")
	c.View(view.ID)
	c.Get("/api/v1/me", &me)
	require.Equal(t, since, me.Since, "it is one session")

	c.Header.Set("X-Remote-User", "lee")
	c.Get("/api/v1/me", &me)
	require.Equal(t, "lee", me.Name, "the proxy's word counts, not the cookie's")
	closedWith(t, c, view.ID, 1008, "not_yours")
	for name, spoil := range map[string]func(http.Header){
		"no header":          func(h http.Header) { h.Del("X-Remote-User") },
		"an empty one":       func(h http.Header) { h.Set("X-Remote-User", " ") },
		"two":                func(h http.Header) { h.Add("X-Remote-User", "root") },
		"two lists":          func(h http.Header) { h.Add("X-Remote-Groups", "x") },
		"too long":           func(h http.Header) { h.Set("X-Remote-User", strings.Repeat("a", 257)) },
		"too many groups":    func(h http.Header) { h.Set("X-Remote-Groups", manyGroups()) },
		"not UTF-8":          func(h http.Header) { h.Set("X-Remote-User", "a\xff") },
		"another's spelling": func(h http.Header) { h.Del("X-Remote-User"); h["X_Remote_User"] = []string{"alice"} },
	} {
		c.Header = http.Header{"X-Remote-User": {"kim"}, "X-Remote-Groups": {"administrators"}}
		spoil(c.Header)
		t.Run(name, func(t *testing.T) {
			refused(t, c, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
		})
	}
	c.Header = http.Header{"X-Remote-User": {"kim"}, "Sec-Fetch-Site": {"same-origin"}}
	require.JSONEq(t, `{"next":"/logout"}`, string(c.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK)))
}

func manyGroups() string {
	var all []string
	for i := range 65 {
		all = append(all, fmt.Sprint("g", i))
	}
	return strings.Join(all, ",")
}

// A script's token does what its groups may, needs no cookie and leaves none, and is over when it is removed.
func TestTokens(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	tokens := &signin.Tokens{Path: filepath.Join(g.Dir, "tokens")}
	made, text, err := tokens.Add("nightly", []string{"helpdesk"}, time.Now().Add(time.Hour))
	require.NoError(t, err)
	_, expired, err := tokens.Add("old", []string{"administrators"}, time.Now().Add(-time.Second))
	require.NoError(t, err)
	c := g.Client()
	c.Header = http.Header{"Authorization": {"Bearer " + text}}
	var me gate.Me
	c.Get("/api/v1/me", &me)
	require.Equal(t, "nightly", me.Name)
	require.Equal(t, "token", me.Method)
	require.Empty(t, c.HTTP.Jar.Cookies(mustURL(t, g.URL)))
	view := c.Ask("s1")
	v, err := c.ConnectFrom(view.ID, "")
	require.NoError(t, err)
	v.Greet()

	for name, authorization := range map[string][]string{
		"expired": {"Bearer " + expired}, "half": {"Bearer " + text[:len(text)-1]}, "more": {"Bearer " + text + "a"}, "none": {"Bearer "},
		"another's id": {"Bearer " + strings.Replace(expired, "sg_", "sg_"+made.ID, 1)},
	} {
		bad := g.Client()
		bad.Header = http.Header{"Authorization": authorization}
		t.Run(name, func(t *testing.T) {
			refused(t, bad, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
		})
	}
	data, err := os.ReadFile(tokens.Path)
	require.NoError(t, err)
	secret := text[strings.LastIndex(text[:20], "_")+1:]
	require.NotContains(t, string(data), secret)
	require.NotContains(t, g.Log.String(), secret)
	require.NoError(t, tokens.Remove(made.ID))
	refused(t, c, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	code, _ := v.End()
	require.Equal(t, 1000, code, "its view ends")
}

// Spreadsheets run what looks like a formula.
func TestFormulas(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	var view gate.View
	require.NoError(t, json.Unmarshal(c.Do(http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1", Purpose: `=cmd|'/c calc'!A1`}, http.StatusCreated), &view))
	eventually(t, "it is kept", func() bool {
		var list gate.HappeningList
		c.Get("/api/v1/activity?type=granted", &list)
		return len(list.Events) == 1
	})
	resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/activity?format=csv", nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, resp.Header.Get("Content-Disposition"), "attachment")
	require.Contains(t, string(data), `,'=cmd|'/c calc'!A1,`)
	require.NotContains(t, string(data), `,=cmd`)
	jsonl := string(c.Do(http.MethodGet, "/api/v1/activity?format=jsonl", nil, http.StatusOK))
	require.Contains(t, jsonl, `"host":"vda1"`)
}

// Streams of one session are bounded.
func TestLimits(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	for range 32 {
		resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/sessions/events", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		defer resp.Body.Close()
	}
	refused(t, c, http.MethodGet, "/api/v1/sessions/events", nil, http.StatusTooManyRequests, "too_many")
	g.SignIn("helen").Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
}

// Who holds connections doesn't keep people from signing in, and those who are signed in aren't touched.
func TestHeldConnections(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	view := c.Ask("s1")
	v := c.View(view.ID)
	var held []net.Conn
	for range 300 {
		conn, err := net.Dial("tcp", g.Address())
		require.NoError(t, err)
		defer conn.Close()
		held = append(held, conn)
	}
	require.NoError(t, held[0].SetReadDeadline(time.Now().Add(testgate.Patience)))
	_, err := held[0].Read(make([]byte, 1))
	require.Error(t, err)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the oldest had to go")
	g.SignIn("helen")
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	v.Picture()
}
