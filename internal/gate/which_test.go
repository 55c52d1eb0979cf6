package gate_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// A copycat host gives its views the id that somebody has told it, and lists one.
type copycat struct {
	*hosts.Local

	mu    sync.Mutex
	id    string
	lists bool
	stops int
}

func newCopycat(t *testing.T) *copycat {
	return &copycat{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "evil"}}
}

func (c *copycat) copy(id string, lists bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id, c.lists = id, lists
}

func (c *copycat) stopped() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stops
}

func (c *copycat) Ask(ctx context.Context, r api.Request) (*api.Grant, error) {
	grant, err := c.Local.Ask(ctx, r)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		grant.ID = c.id
	}
	return grant, err
}

func (c *copycat) Shadows(context.Context) ([]api.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lists {
		return nil, nil
	}
	return []api.Status{{ID: c.id, Session: "s1", User: "ann", Admin: "helen", State: shadow.Viewing, Since: time.Now()}}, nil
}

func (c *copycat) Stop(context.Context, string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stops++
	return nil
}

// Who has a host's key turns nobody's view away that is granted on another host, by giving its id first.
func TestHostTakesAnothersID(t *testing.T) {
	t.Parallel()
	answer := make(chan consent.Decision)
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Answer = func(context.Context, consent.Request) (consent.Decision, error) { return <-answer, nil }
	})
	evil := newCopycat(t)
	g := testgate.New(t, d, testgate.Options{Hosts: []hosts.Host{evil}})
	up(t, g)
	alice, helen := g.SignIn("alice"), g.SignIn("helen")
	asking := follow(t, helen, "/api/v1/sessions/events?session="+testgate.Host+"/s1")
	granted := make(chan int, 1)
	go func() {
		resp, err := alice.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: testgate.Host, Session: "s1"})
		if err != nil {
			granted <- 0
			return
		}
		_ = resp.Body.Close()
		granted <- resp.StatusCode
	}()
	id := asking("s1", shadow.Prompting).ID
	evil.copy(id, true)
	require.Equal(t, id, helen.AskFor(gate.Wish{Host: "evil", Session: "s1"}).ID)
	answer <- consent.Granted
	require.Equal(t, http.StatusCreated, <-granted)
	alice.View(id).Picture()
	var one gate.Standing
	alice.Get("/api/v1/shadows/"+id, &one)
	require.Equal(t, testgate.Host, one.Host)
	require.True(t, one.Mine)
}

// A stop is for the host that is meant, and for none if that isn't known: also where the gate carries only the other's view,
// or none of them.
func TestHostTakesAStop(t *testing.T) {
	t.Parallel()
	for name, views := range map[string]bool{"with a view": true, "with a line in its list": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testgate.NewDaemon(t)
			evil := newCopycat(t)
			g := testgate.New(t, d, testgate.Options{Hosts: []hosts.Host{evil}})
			up(t, g)
			grant, err := d.Client.Shadow(t.Context(), api.Request{Session: "s1", Admin: "kim"}) // not through this gate
			require.NoError(t, err)
			evil.copy(grant.ID, true)
			if views {
				g.SignIn("helen").AskFor(gate.Wish{Host: "evil", Session: "s1"})
			}
			alice, path := g.SignIn("alice"), "/api/v1/shadows/"+grant.ID
			for range 4 { // whoever answers first
				for _, method := range []string{http.MethodGet, http.MethodDelete} {
					require.Contains(t, refused(t, alice, method, path, nil, http.StatusConflict, "several_hosts").Detail, "?host=ID")
				}
			}
			require.Zero(t, evil.stopped())
			require.Equal(t, shadow.Granted, state(d, grant.ID))
			var one gate.Standing
			alice.Get(path+"?host="+testgate.Host, &one)
			require.Equal(t, "kim", one.Admin)
			refused(t, alice, http.MethodDelete, path+"?host=none", nil, http.StatusNotFound, "ended")
			alice.Do(http.MethodDelete, path+"?host="+testgate.Host, nil, http.StatusNoContent)
			require.Empty(t, state(d, grant.ID))
			require.Zero(t, evil.stopped())
			alice.Do(http.MethodDelete, path, nil, http.StatusNoContent) // the other is the only one now
			require.Equal(t, 1, evil.stopped())
		})
	}
}

// A host that doesn't say what it has isn't passed over where nothing else says which is meant.
func TestStopBesideAHeldHost(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	other := &hung{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "a"}, over: make(chan struct{})}
	g := testgate.New(t, d, testgate.Options{Hosts: []hosts.Host{other}, Gate: soon})
	t.Cleanup(func() { close(other.over) })
	up(t, g)
	grant, err := d.Client.Shadow(t.Context(), api.Request{Session: "s1", Admin: "kim"})
	require.NoError(t, err)
	other.hangs.Store(true)
	alice := g.SignIn("alice")
	refused(t, alice, http.MethodDelete, "/api/v1/shadows/"+grant.ID, nil, http.StatusConflict, "several_hosts")
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+grant.ID+"?host="+testgate.Host, nil, http.StatusNoContent)
}

// A browser that comes back to a gate with its ticket gets its view, whatever id another host has given meanwhile.
func TestHostTakesAReturn(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	evil := newCopycat(t)
	options := testgate.Options{Hosts: []hosts.Host{evil}}
	g := testgate.New(t, d, options)
	up(t, g)
	alice := g.SignIn("alice")
	view := alice.AskFor(gate.Wish{Host: testgate.Host, Session: "s1"})
	g.Stop()
	options.Dir, options.Listen = g.Dir, g.Address()
	next := testgate.New(t, d, options)
	up(t, next)
	evil.copy(view.ID, true)
	helen := next.SignIn("helen")
	helen.AskFor(gate.Wish{Host: "evil", Session: "s1"})
	alice.Gate = next
	alice.View(view.ID).Picture()
	require.NotContains(t, next.Log.String(), `"why":"view"`)
	closedWith(t, helen, view.ID+"?host="+testgate.Host, 1008, "not_yours")
}

// Of two views of one's own with one id each is to be had, by its host.
func TestOwnViewsOfOneID(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	evil := newCopycat(t)
	options := testgate.Options{Hosts: []hosts.Host{evil}}
	g := testgate.New(t, d, options)
	up(t, g)
	alice := g.SignIn("alice")
	view := alice.AskFor(gate.Wish{Host: testgate.Host, Session: "s1"})
	evil.copy(view.ID, true)
	alice.AskFor(gate.Wish{Host: "evil", Session: "s1"})
	closedWith(t, alice, view.ID, 1008, "several_hosts")
	refused(t, alice, http.MethodGet, "/api/v1/shadows/"+view.ID, nil, http.StatusConflict, "several_hosts")
	g.Stop()
	options.Dir, options.Listen = g.Dir, g.Address()
	alice.Gate = testgate.New(t, d, options) // which knows both by the browser's tickets
	closedWith(t, alice, view.ID, 1008, "several_hosts")
	alice.View(view.ID + "?host=evil").Picture()
	alice.View(view.ID + "?host=" + testgate.Host).Picture()
}

// One's own view is that of one's name and way of signing in: who is called the same otherwise is somebody else.
func TestOwnViewIsByMethodAndName(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	_, text, err := (&signin.Tokens{Path: filepath.Join(g.Dir, "tokens")}).Add("helen", []string{"helpdesk"}, time.Now().Add(time.Hour))
	require.NoError(t, err)
	script := g.Client()
	script.Header.Set("Authorization", "Bearer "+text)
	view := g.SignIn("helen").Ask("s1")
	refused(t, script, http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusForbidden, shadow.NotAllowed)
	g.SignIn("helen").Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent) // signed in twice

	grant, err := d.Client.Shadow(t.Context(), api.Request{Session: "s1", Admin: "helen"}) // as any program says
	require.NoError(t, err)
	refused(t, g.SignIn("helen"), http.MethodDelete, "/api/v1/shadows/"+grant.ID, nil, http.StatusForbidden, shadow.NotAllowed)
}

// An id that a page couldn't have in its address can't be meant: neither a header nor a path gets it, and the view is ended.
func TestIDThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	evil := newCopycat(t)
	g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{evil}})
	up(t, g)
	alice := g.SignIn("alice")
	ids := []string{"a\r\nSet-Cookie: a=b", "a\nX: y", "a\x00", "a\"b", "a;Path=/", "\u00e4", "a/b", "", strings.Repeat("a", 65)}
	for i, id := range ids {
		evil.copy(id, false)
		refused(t, alice, http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "evil", Session: "s1"}, http.StatusBadGateway, "host_unreachable")
		require.Equal(t, i+1, evil.stopped(), "%q", id)
	}
}
