package gate_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/testgate"
)

// eventually waits for something that should become true soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, testgate.Patience, 20*time.Millisecond, what)
}

// refused requires a problem with that status and reason.
func refused(t *testing.T, c *testgate.Client, method, path string, body any, status int, reason shadow.Reason) api.Problem {
	t.Helper()
	var p api.Problem
	require.NoError(t, json.Unmarshal(c.Do(method, path, body, status), &p))
	require.Equal(t, reason, p.Reason, "%+v", p)
	return p
}

// up waits until the gate has reached its host.
func up(t *testing.T, g *testgate.Gate) {
	t.Helper()
	c := g.Client()
	eventually(t, "the host is reached", func() bool {
		resp, err := c.Send(t.Context(), http.MethodGet, "/readyz", nil)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// From the sign-in to the end: the whole way of one view.
func TestOneView(t *testing.T) {
	t.Parallel()
	asked := make(chan consent.Request, 1)
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Answer = func(_ context.Context, r consent.Request) (consent.Decision, error) {
			asked <- r
			return consent.Granted, nil
		}
	})
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")

	var me gate.Me
	c.Get("/api/v1/me", &me)
	require.Equal(t, "alice", me.Name)
	require.Equal(t, "Alice Doe", me.FullName)
	require.Equal(t, "password", me.Method)
	require.Equal(t, 1, me.May[0].Rule)

	var rows gate.RowList
	c.Get("/api/v1/sessions", &rows)
	require.Len(t, rows.Sessions, 3)
	require.Equal(t, testgate.Host, rows.Sessions[0].Host)
	require.False(t, rows.Sessions[2].Shadowable)
	require.Equal(t, shadow.Wayland, rows.Sessions[2].Reason)

	var view gate.View
	require.NoError(t, json.Unmarshal(c.Do(http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1", Purpose: "INC-1"}, http.StatusCreated), &view))
	require.Equal(t, "/view/"+view.ID, view.View)
	r := <-asked
	require.Equal(t, "alice", r.Admin)
	require.Equal(t, "INC-1", r.Purpose)

	v := c.View(view.ID)
	v.Picture()
	var list gate.StandingList
	c.Get("/api/v1/shadows", &list)
	require.Len(t, list.Shadows, 1)
	require.True(t, list.Shadows[0].Mine)
	require.Equal(t, shadow.Viewing, list.Shadows[0].State)
	c.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	code, reason := v.End()
	require.Equal(t, 1000, code)
	require.Equal(t, string(shadow.StoppedByAdmin), reason)

	eventually(t, "the activity has the end", func() bool {
		var happened gate.HappeningList
		c.Get("/api/v1/activity?shadow="+view.ID, &happened)
		return len(happened.Events) > 2 && happened.Events[0].Type == shadow.EventEnded && happened.Events[0].User == "ann"
	})
	refused(t, c, http.MethodGet, "/api/v1/shadows/"+view.ID, nil, http.StatusNotFound, "ended")
	require.NotContains(t, g.Log.String(), testgate.Password)
}

// What the user or the host says is passed on as it is.
func TestRefusals(t *testing.T) {
	t.Parallel()
	answer := consent.Denied
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Answer = func(context.Context, consent.Request) (consent.Decision, error) { return answer, nil }
	})
	g := testgate.New(t, d, testgate.Options{})
	c := g.SignIn("alice")
	refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"}, http.StatusForbidden, shadow.Denied)
	p := refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"}, http.StatusConflict, shadow.PromptBusy)
	require.Positive(t, p.RetryAfter, "after a No the same administrator waits")
	refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "w1"}, http.StatusConflict, shadow.Wayland)
	refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "none"}, http.StatusConflict, shadow.NoSession)
	refused(t, c, http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "other", Session: "s1"}, http.StatusNotFound, "")
}

// The access table decides who sees, asks and stops what.
func TestAccessTable(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	alice, helen, nick := g.SignIn("alice"), g.SignIn("helen"), g.SignIn("nick")
	var rows gate.RowList
	helen.Get("/api/v1/sessions", &rows)
	require.Len(t, rows.Sessions, 1, "only ann's")
	require.Equal(t, "ann", rows.Sessions[0].User)

	refused(t, helen, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s2"}, http.StatusConflict, shadow.NoSession)
	refused(t, helen, http.MethodGet, "/api/v1/activity", nil, http.StatusForbidden, shadow.NotAllowed)
	refused(t, helen, http.MethodGet, "/api/v1/events", nil, http.StatusForbidden, shadow.NotAllowed)
	mine := helen.Ask("s1")
	bobs := alice.Ask("s2")
	refused(t, helen, http.MethodGet, "/api/v1/shadows/"+bobs.ID, nil, http.StatusNotFound, "ended")
	refused(t, helen, http.MethodDelete, "/api/v1/shadows/"+bobs.ID, nil, http.StatusNotFound, "ended")
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+mine.ID, nil, http.StatusNoContent)
	anns := alice.AskFor(gate.Wish{Session: "s1", Purpose: "INC-2"})
	var seen gate.StandingList
	helen.Get("/api/v1/shadows", &seen)
	require.Len(t, seen.Shadows, 1)
	require.Empty(t, seen.Shadows[0].Purpose+seen.Shadows[0].Client+seen.Shadows[0].Viewer, "for who may read what happened")
	g.SignIn("alice").Get("/api/v1/shadows", &seen)
	require.Contains(t, fmt.Sprint(seen.Shadows), "INC-2")
	refused(t, helen, http.MethodDelete, "/api/v1/shadows/"+anns.ID, nil, http.StatusForbidden, shadow.NotAllowed)

	nick.Get("/api/v1/sessions", &rows)
	require.Empty(t, rows.Sessions, "nothing matches, nothing may")
	var hosts gate.HostList
	nick.Get("/api/v1/hosts", &hosts)
	require.Empty(t, hosts.Hosts)
	refused(t, nick, http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"}, http.StatusNotFound, "")
	refused(t, nick, http.MethodGet, "/api/v1/rules", nil, http.StatusNotFound, "")
	var list gate.StandingList
	nick.Get("/api/v1/shadows", &list)
	require.Empty(t, list.Shadows)
}

// What a host's rules would say is told to those who may ask for the session, about themselves.
func TestRulesTest(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Change = func(c *shadow.Config) {
			c.Rules = policy.Rules{{Groups: []string{"helpdesk"}, Users: []string{"ann"}, Answer: policy.Deny}}
		}
	})
	g := testgate.New(t, d, testgate.Options{})
	alice, helen, nick := g.SignIn("alice"), g.SignIn("helen"), g.SignIn("nick")
	const path = "/api/v1/rules/test"
	var v api.Verdict
	require.NoError(t, json.Unmarshal(helen.Do(http.MethodPost, path, gate.Wish{Session: "s1"}, http.StatusOK), &v))
	require.Equal(t, "deny", v.Answer)
	require.Equal(t, 1, v.Number)
	require.Empty(t, v.Text, "it names others")
	require.Empty(t, v.Why, "it names others")
	v = api.Verdict{}
	require.NoError(t, json.Unmarshal(alice.Do(http.MethodPost, path, gate.Wish{Session: "s1"}, http.StatusOK), &v))
	require.Equal(t, "ask", v.Answer, "alice isn't in the helpdesk")
	require.Zero(t, v.Number)
	require.NotEmpty(t, v.Why)

	refused(t, helen, http.MethodPost, path, gate.Wish{Session: "s2"}, http.StatusConflict, shadow.NoSession)
	refused(t, nick, http.MethodPost, path, gate.Wish{Session: "s1"}, http.StatusNotFound, "")
	refused(t, helen, http.MethodPost, path, map[string]string{"session": "s1", "admin": "alice"}, http.StatusBadRequest, "")
	var list gate.StandingList
	alice.Get("/api/v1/shadows", &list)
	require.Empty(t, list.Shadows, "nobody was asked")
}

// A host's rules name people and groups: they are for who may read what happened with all its users.
func TestRulesAreForAuditors(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Change = func(c *shadow.Config) {
			c.Rules = policy.Rules{{Admins: []string{"kim"}, Users: []string{"ann"}, Answer: policy.Deny}}
		}
	})
	table := append(testgate.Access(), access.Rule{Names: []string{"nick"}, Users: []string{"ann"}, May: []access.Right{access.Audit}})
	g := testgate.New(t, d, testgate.Options{Gate: func(c *gate.Config) { c.Access = table }})
	alice, helen, nick := g.SignIn("alice"), g.SignIn("helen"), g.SignIn("nick")
	var list api.RuleList
	alice.Get("/api/v1/rules", &list)
	require.Len(t, list.Rules, 1)
	require.Contains(t, list.Rules[0].Text, "kim")
	refused(t, helen, http.MethodGet, "/api/v1/rules", nil, http.StatusForbidden, shadow.NotAllowed)
	refused(t, nick, http.MethodGet, "/api/v1/rules", nil, http.StatusForbidden, shadow.NotAllowed)
}

// A host's terms reach the pages. Where it doesn't say, or there is no host, they are empty.
func TestTerms(t *testing.T) {
	t.Parallel()
	reconnect := 0.0
	terms := api.Terms{Timeout: 7.5, Reconnect: &reconnect, Purpose: "required"}
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) { d.Terms = &terms })
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	var hosts gate.HostList
	c.Get("/api/v1/hosts", &hosts)
	require.Equal(t, terms, hosts.Hosts[0].Terms)
	d.Stop()
	is := func(state string) func() bool {
		return func() bool {
			hosts = gate.HostList{}
			c.Get("/api/v1/hosts", &hosts)
			return hosts.Hosts[0].State == state
		}
	}
	eventually(t, "the host is down", is("down"))
	require.Zero(t, hosts.Hosts[0].Terms)
	d.Terms = nil
	d.Start()
	eventually(t, "the host is back", is("up"))
	require.Zero(t, hosts.Hosts[0].Terms, "it doesn't say")
}

// The list is live: snapshot, change, gone, and the host's state.
func TestLiveList(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	helen := g.SignIn("helen")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := helen.Send(ctx, http.MethodGet, "/api/v1/sessions/events", nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	next := func(want string) string {
		t.Helper()
		for name := ""; lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = value
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && name == want {
				return data
			}
		}
		require.FailNow(t, "the stream ended", "before %s", want)
		return ""
	}
	for first := next("snapshot"); !strings.Contains(first, `"s1"`); first = next("change") { // the host may just have been reached
	}
	view := g.SignIn("alice").Ask("s1")
	require.Contains(t, next("change"), view.ID)
	d.SetSessions(&shadow.Session{ID: "s2", User: "bob", UID: 1002, Display: ":2", Type: "x11"})
	require.Equal(t, `{"ids":["vda1/s1"]}`, next("gone"))
	d.SetSessions(&shadow.Session{ID: "s9", User: "bob", UID: 1002, Display: ":2", Type: "x11"}, &shadow.Session{ID: "s1", User: "ann", UID: 1001, Display: ":1", Type: "x11"})
	change := next("change")
	require.Contains(t, change, `"s1"`)
	require.NotContains(t, change, "bob", "helen may not know of him")
	d.Stop()
	require.Contains(t, next("hosts"), `"down"`)
}

func TestAuditStream(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := c.Send(ctx, http.MethodGet, "/api/v1/events", nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	view := c.Ask("s1")
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && strings.Contains(data, `"granted"`) {
			var h gate.Happening
			require.NoError(t, json.Unmarshal([]byte(data), &h))
			require.Equal(t, view.ID, h.ID)
			require.Equal(t, testgate.Host, h.Host)
			return
		}
	}
	require.FailNow(t, "the stream ended")
}

// A hung host says nothing of its shadows while it hangs.
type hung struct {
	*hosts.Local
	hangs atomic.Bool
	over  chan struct{}
}

func (h *hung) Shadows(ctx context.Context) ([]api.Status, error) {
	if h.hangs.Load() {
		<-h.over
	}
	return h.Local.Shadows(ctx)
}

// Of one's own view its host is asked, and no other.
func TestOwnViewIsAskedOfItsHost(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	other := &hung{Local: &hosts.Local{Client: testgate.NewDaemon(t).Client, Called: "a"}, over: make(chan struct{})}
	g := testgate.New(t, d, testgate.Options{Hosts: []hosts.Host{other}})
	t.Cleanup(func() { close(other.over) })
	c := g.SignIn("alice")
	view := c.AskFor(gate.Wish{Host: testgate.Host, Session: "s1"})
	other.hangs.Store(true)
	var got gate.Standing
	c.Get("/api/v1/shadows/"+view.ID, &got)
	require.True(t, got.Mine)
}
