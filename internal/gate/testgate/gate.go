package testgate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/activity"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
)

// Password is everybody's.
const Password = "correct horse battery"

// Host is what the daemon's machine is called.
const Host = "vda1"

// A Gate is a gate that serves on a loopback port. Its accounts are alice (group administrators, who may
// everything), helen (helpdesk, who may list and view ann's sessions), and nick (no group, who may nothing).
type Gate struct {
	URL    string
	Gate   *gate.Gate
	Desk   *signin.Desk
	Sealer *signin.Sealer
	Log    *Log
	Dir    string // of its files

	t    testing.TB
	stop func()
}

// Access is the table of a Gate.
func Access() access.Table {
	return access.Table{
		{Groups: []string{"administrators"}, May: access.Rights()},
		{Groups: []string{"helpdesk"}, Users: []string{"ann"}, May: []access.Right{access.List, access.Shadow}},
	}
}

// Options change a Gate before it starts.
type Options struct {
	Dir    string      // of an earlier one, whose keys and files it takes; empty: a new one
	Listen string      // address; empty: a free port
	TLS    *tls.Config // nil: none
	Hosts  []hosts.Host
	SignIn func(*signin.Config)
	Gate   func(*gate.Config)
}

// New starts a gate in front of d, which may be nil if there are other hosts. It ends with the test.
func New(t testing.TB, d *Daemon, o Options) *Gate {
	t.Helper()
	g := &Gate{t: t, Dir: o.Dir, Log: &Log{}}
	if g.Dir == "" {
		g.Dir = t.TempDir()
		g.makeAccounts()
	}
	var err error
	g.Sealer, err = signin.OpenSealer(filepath.Join(g.Dir, "cookie.keys"), true)
	require.NoError(t, err)
	ended, err := signin.OpenEnded(filepath.Join(g.Dir, "signed-out"), time.Now())
	require.NoError(t, err)
	sc := signin.Config{
		Accounts: &signin.Accounts{Path: filepath.Join(g.Dir, "accounts")}, Tokens: &signin.Tokens{Path: filepath.Join(g.Dir, "tokens")},
		Sealer: g.Sealer, Ended: ended, Idle: 30 * time.Minute, Longest: 12 * time.Hour,
	}
	store, err := activity.Open(filepath.Join(g.Dir, "activity"), 8<<20)
	require.NoError(t, err)
	gc := gate.Config{
		Hosts: o.Hosts, Access: Access(), Version: "test", Activity: store,
		Metrics: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Logger: zerolog.New(g.Log),
		CutAfter: Patience, // a slow machine's hosts may need it
	}
	if d != nil {
		gc.Hosts = append(gc.Hosts, &hosts.Local{Client: d.Client, Called: Host})
	}
	if o.Gate != nil {
		o.Gate(&gc)
	}
	if board, ok := gc.Directory.(signin.Board); ok {
		sc.Board = board
	} else {
		sc.Board, err = signin.OpenBoard(filepath.Join(g.Dir, "signed-in"), time.Now())
		require.NoError(t, err)
	}
	if o.SignIn != nil {
		o.SignIn(&sc)
	}
	g.Desk = signin.New(sc)
	gc.Desk = g.Desk
	g.Gate, err = gate.New(gc)
	require.NoError(t, err)
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", o.Listen)
	require.NoError(t, err)
	g.URL = "http://" + ln.Addr().String()
	if o.TLS != nil {
		g.URL = "https://" + ln.Addr().String()
		ln = tls.NewListener(ln, o.TLS)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Gate.Serve(ctx, ln) }()
	g.stop = func() {
		cancel()
		require.NoError(t, <-served)
		require.NoError(t, store.Close())
	}
	t.Cleanup(g.Stop)
	return g
}

// At is a gate that runs elsewhere, with the same accounts.
func At(t testing.TB, url string) *Gate { return &Gate{URL: url, Log: &Log{}, t: t} }

// Stop ends the gate. It may be called twice.
func (g *Gate) Stop() {
	if g.stop != nil {
		g.stop()
		g.stop = nil
	}
}

// Address is where it listens.
func (g *Gate) Address() string {
	_, address, _ := strings.Cut(g.URL, "://")
	return address
}

func (g *Gate) makeAccounts() {
	a := &signin.Accounts{Path: filepath.Join(g.Dir, "accounts")}
	require.NoError(g.t, a.Set("alice", Password, []string{"administrators"}, "Alice Doe"))
	require.NoError(g.t, a.Set("helen", Password, []string{"helpdesk"}, ""))
	require.NoError(g.t, a.Set("nick", Password, nil, ""))
	require.NoError(g.t, os.Chmod(a.Path, 0o600))
}

// A Client is a browser without a page: it keeps cookies, and says where its requests come from.
type Client struct {
	HTTP   *http.Client
	Gate   *Gate
	Header http.Header // of every request
}

// Client is a browser that has never been here.
func (g *Gate) Client() *Client {
	jar, err := cookiejar.New(nil)
	require.NoError(g.t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &Client{
		HTTP: &http.Client{Jar: jar, Transport: noting{transport}, Timeout: Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Gate: g, Header: http.Header{"Sec-Fetch-Site": {"same-origin"}},
	}
}

// Through has the browser connect to an address, whatever the gate's URL says, as if a load balancer had chosen for it.
// It returns c.
func (c *Client) Through(address string) *Client {
	c.HTTP.Transport.(noting).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: 20 * time.Second}
		return d.DialContext(ctx, network, address)
	}
	return c
}

// SignIn is a browser in which somebody has signed in with [Password].
func (g *Gate) SignIn(name string) *Client {
	g.t.Helper()
	c := g.Client()
	c.Do(http.MethodPost, "/api/v1/signin", map[string]string{"name": name, "password": Password}, http.StatusNoContent)
	return c
}

// Send sends a request, with body as JSON if it isn't nil. The caller closes the answer's body.
func (c *Client) Send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Gate.URL+path, content)
	if err != nil {
		return nil, err
	}
	for name, values := range c.Header {
		r.Header[name] = values
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return c.HTTP.Do(r)
}

// Do sends a request, requires a status, and returns the answer's body.
func (c *Client) Do(method, path string, body any, status int) []byte {
	c.Gate.t.Helper()
	resp, err := c.Send(context.Background(), method, path, body)
	require.NoError(c.Gate.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(c.Gate.t, err)
	require.Equal(c.Gate.t, status, resp.StatusCode, "%s %s: %s", method, path, data)
	return data
}

// Get is [Client.Do] for what is read, into v.
func (c *Client) Get(path string, v any) {
	c.Gate.t.Helper()
	require.NoError(c.Gate.t, json.Unmarshal(c.Do(http.MethodGet, path, nil, http.StatusOK), v))
}

// Ask asks for a session, whose user is to say Yes.
func (c *Client) Ask(session string) gate.View {
	c.Gate.t.Helper()
	return c.AskFor(gate.Wish{Session: session})
}

// AskFor is [Client.Ask] for a whole wish.
func (c *Client) AskFor(wish gate.Wish) gate.View {
	c.Gate.t.Helper()
	var v gate.View
	require.NoError(c.Gate.t, json.Unmarshal(c.Do(http.MethodPost, "/api/v1/shadows", wish, http.StatusCreated), &v))
	return v
}

// A Log is a gate's log, for tests that look for what must not be in it.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is what was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Cookies are the browser's cookies for the gate's pages.
func (c *Client) Cookies() []*http.Cookie {
	u, err := url.Parse(c.Gate.URL)
	require.NoError(c.Gate.t, err)
	return c.HTTP.Jar.Cookies(u)
}
