package gate_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
)

// closedWith requires that a view is refused by a close code and reason.
func closedWith(t *testing.T, c *testgate.Client, id string, code int, reason shadow.Reason) {
	t.Helper()
	v, err := c.Connect(id)
	require.NoError(t, err)
	gotCode, gotReason := v.End()
	require.Equal(t, code, gotCode)
	require.Equal(t, string(reason), gotReason)
}

// state is a shadow's state, empty if there is none of that id.
func state(d *testgate.Daemon, id string) shadow.State {
	s, _ := d.Manager.Get(id)
	return s.State
}

func TestViewIsOneSessions(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	alice := g.SignIn("alice")
	view := alice.Ask("s1")
	closedWith(t, g.SignIn("helen"), view.ID, 1008, "not_yours")
	closedWith(t, g.SignIn("alice"), view.ID, 1008, "not_yours") // the same person, signed in elsewhere
	closedWith(t, g.Client(), view.ID, 1008, "sign_in")
	closedWith(t, alice, "none", 1008, "ended")
	require.Equal(t, shadow.Granted, state(d, view.ID), "nobody has used the token")
	alice.View(view.ID)
}

func TestViewFromAnotherSite(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	view := c.Ask("s1")
	for _, origin := range []string{"https://evil.example", "null", "", g.URL + ".evil.example", strings.Replace(g.URL, "http", "https", 1), strings.TrimPrefix(g.URL, "http://")} {
		_, err := c.ConnectFrom(view.ID, origin)
		require.ErrorContains(t, err, "403", "origin %q", origin)
	}
	c.View(view.ID)
}

// A second tab doesn't take the view from the first, and a page that is loaded anew gets it.
func TestSecondTab(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	view := c.Ask("s1")
	first := c.View(view.ID)
	closedWith(t, c, view.ID, 1008, "viewed_elsewhere")
	first.Picture()
	first.Close(1001) // as a browser does whose page is loaded anew
	c.View(view.ID)
}

// Closing the page ends the view, although the host would keep it for a while.
func TestClosedPageEndsTheView(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Change = func(c *shadow.Config) { c.Reconnect = 10 * time.Minute }
	})
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	view := c.Ask("s1")
	v := c.View(view.ID)
	v.Close(1001)
	eventually(t, "the view has ended", func() bool { return state(d, view.ID) == "" })
}

// A view that is cut off comes back, through the same gate.
func TestCutOff(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	view := c.Ask("s1")
	v := c.View(view.ID)
	v.Cut()
	eventually(t, "the host has noticed", func() bool { return state(d, view.ID) == shadow.Away })
	c.View(view.ID).Picture()
}

// The next gate takes a view over that was open when the last one ended. It belongs to the same
// signed-in session only.
func TestGateRestartedWhileViewing(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	alice, other := g.SignIn("alice"), g.SignIn("alice")
	view := alice.Ask("s1")
	v := alice.View(view.ID)
	g.Stop()
	code, _ := v.End()
	require.Zero(t, code, "a page comes back after a cut, not after a close")
	eventually(t, "the host keeps it", func() bool { return state(d, view.ID) == shadow.Away })

	next := testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address()})
	alice.Gate, other.Gate = next, next
	closedWith(t, other, view.ID, 1008, "ended")
	alice.View(view.ID).Picture()
	closedWith(t, other, view.ID, 1008, "not_yours")
	var one gate.Standing
	alice.Get("/api/v1/shadows/"+view.ID, &one)
	require.True(t, one.Mine)
}

// A ticket is of no use to another session, even if its thief signs in as the same person.
func TestStolenTicket(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	alice, thief := g.SignIn("alice"), g.SignIn("alice")
	resp, err := alice.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	id := strings.TrimPrefix(resp.Header.Get("Location"), "/api/v1/shadows/")
	var ticket string
	for _, c := range resp.Cookies() {
		if strings.HasPrefix(c.Name, "shadowgate-view") {
			ticket = c.Name + "=" + c.Value
			require.Equal(t, "/view/"+id, c.Path)
			require.True(t, c.HttpOnly)
			require.Equal(t, http.SameSiteStrictMode, c.SameSite)
		}
	}
	require.NotEmpty(t, ticket)
	g.Stop()
	next := testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address()})
	thief.Gate = next
	thief.Header.Set("Cookie", ticket)
	closedWith(t, thief, id, 1008, "not_yours")
	require.Equal(t, shadow.Granted, state(d, id))
}

func TestHostGoneWhileAsking(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Answer = func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			close(asked)
			<-ctx.Done()
			return consent.Denied, context.Cause(ctx)
		}
	})
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	stopped := make(chan struct{})
	go func() { defer close(stopped); <-asked; d.Stop() }()
	refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"}, http.StatusServiceUnavailable, shadow.Shutdown)
	<-stopped // until then it answers
	refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"}, http.StatusBadGateway, "host_unreachable")
}

func TestHostGoneWhileViewing(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	view := c.Ask("s1")
	v := c.View(view.ID)
	d.Stop()
	code, reason := v.End()
	require.Equal(t, 1001, code)
	require.Equal(t, string(shadow.Shutdown), reason)
	eventually(t, "the gate knows that the host is down", func() bool {
		var hosts gate.HostList
		c.Get("/api/v1/hosts", &hosts)
		return hosts.Hosts[0].State == "down"
	})
	v, err := c.Connect(view.ID)
	require.NoError(t, err)
	code, _ = v.End()
	require.Contains(t, []int{1000, 1013}, code, "either the gate has heard why, or the host can't be reached")
	d.Start()
	eventually(t, "the host is back", func() bool {
		var hosts gate.HostList
		c.Get("/api/v1/hosts", &hosts)
		return hosts.Hosts[0].State == "up"
	})
}

// Whoever closes the request takes the question back.
func TestAskingIsGivenUp(t *testing.T) {
	t.Parallel()
	asked, over := make(chan struct{}), make(chan struct{})
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Answer = func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			close(asked)
			<-ctx.Done()
			close(over)
			return consent.Denied, context.Cause(ctx)
		}
	})
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := c.Send(ctx, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"})
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-over:
	case <-time.After(testgate.Patience):
		require.FailNow(t, "the question stays")
	}
}

// A session that ends while its user is asked refuses so, whatever the user has said, and its row goes meanwhile.
func TestSessionEndsWhileAsking(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}), make(chan struct{})
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Answer = func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			close(asked)
			select {
			case <-gone:
				return consent.Granted, nil
			case <-ctx.Done():
				return consent.Denied, context.Cause(ctx)
			}
		}
	})
	g := testgate.New(t, d, testgate.Options{})
	c, other := g.SignIn("alice"), g.SignIn("alice")
	go func() {
		defer close(gone)
		<-asked
		d.SetSessions(&shadow.Session{ID: "s2", User: "bob", UID: 1002, Display: ":2", Type: "x11"})
		for rows := (gate.RowList{}); ; time.Sleep(10 * time.Millisecond) {
			resp, err := other.Send(t.Context(), http.MethodGet, "/api/v1/sessions", nil)
			if err != nil {
				return
			}
			err = json.NewDecoder(resp.Body).Decode(&rows)
			_ = resp.Body.Close()
			if err != nil || len(rows.Sessions) == 1 {
				return
			}
		}
	}()
	p := refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"}, http.StatusConflict, shadow.SessionEnded)
	require.Contains(t, p.Detail, "while its user was asked")
	var list gate.StandingList
	c.Get("/api/v1/shadows", &list)
	require.Empty(t, list.Shadows)
}

// Who signs out leaves no view behind, and no question.
func TestSignOutEndsViews(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	view, waiting := c.Ask("s1"), c.Ask("s2")
	v := c.View(view.ID)
	c.Do(http.MethodPost, "/api/v1/signout", struct{}{}, http.StatusOK)
	code, reason := v.End()
	require.Equal(t, 1000, code)
	require.Equal(t, string(shadow.StoppedByAdmin), reason)
	eventually(t, "the view that nobody had connected to ends, too", func() bool { return state(d, waiting.ID) == "" })
}

func TestUserStops(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	view := c.Ask("s1")
	v := c.View(view.ID)
	require.NoError(t, d.Manager.Stop(t.Context(), view.ID, shadow.StoppedByUser))
	code, reason := v.End()
	require.Equal(t, 4002, code)
	require.Equal(t, string(shadow.StoppedByUser), reason)
	eventually(t, "the gate knows why", func() bool {
		v, err := c.Connect(view.ID)
		require.NoError(t, err)
		_, reason := v.End()
		return reason == string(shadow.StoppedByUser)
	})
}

// A view needs no more than what a WebSocket is.
func TestNoWebSocket(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	c.Do(http.MethodGet, "/view/x", nil, http.StatusNotFound) // the page, which this gate lacks
	c.Header.Set("Connection", "Upgrade")
	c.Header.Set("Origin", g.URL)
	c.Do(http.MethodGet, "/view/x", nil, http.StatusUpgradeRequired)
	c.Header.Set("Upgrade", "websocket")
	c.Header.Set("Sec-WebSocket-Version", "13")
	c.Header.Set("Sec-WebSocket-Key", "short")
	c.Do(http.MethodGet, "/view/x", nil, http.StatusUpgradeRequired)
}

// Who isn't in the group any more has no view any more, and no stream.
func TestGroupTakenAway(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("helen")
	view := c.Ask("s1")
	v := c.View(view.ID)
	path := filepath.Join(g.Dir, "accounts")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", []byte(strings.Replace(string(data), ":helpdesk:", ":other:", 1)), 0o600))
	require.NoError(t, os.Rename(path+".new", path)) // at once: an empty file has no accounts
	code, reason := v.End()
	require.Equal(t, 1000, code)
	require.Equal(t, string(shadow.StoppedByAdmin), reason)
	closedWith(t, c, view.ID, 1008, shadow.NotAllowed)
}

// What a gate hasn't heard of, a view that ended while its host was away, it finds out.
func TestEndedUnheard(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	view := c.Ask("s1")
	d.Stop()
	d.Start()
	eventually(t, "the gate has found out", func() bool {
		var rows gate.RowList
		c.Get("/api/v1/sessions", &rows)
		v, err := c.Connect(view.ID)
		require.NoError(t, err)
		code, _ := v.End()
		return code == 1000
	})
}
