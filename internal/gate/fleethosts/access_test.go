package fleethosts_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/testgate"
)

// guarded is a gate of two hosts whose table gives helen ann's sessions on vda1, and nick what happened on vda2.
func guarded(t *testing.T) (*rig, *testgate.Gate) {
	t.Helper()
	r := newRig(t, "vda1", "vda2")
	into := r.into(t, r.Conn("gate1"))
	g := testgate.New(t, nil, testgate.Options{Gate: func(c *gate.Config) {
		into(c)
		c.Access = access.Table{
			{Groups: []string{"administrators"}, May: access.Rights()},
			{Groups: []string{"helpdesk"}, Hosts: []string{"VDA1"}, Users: []string{"ann"}, May: []access.Right{access.List, access.Shadow}},
			{Names: []string{"nick"}, Hosts: []string{"vda2"}, May: []access.Right{access.Audit}},
		}
		c.Enrol = r.Registry.Handler(testfleet.Logger(t))
		c.Views = new(dialout.Desk)
	}})
	up(t, g.SignIn("alice"), 2)
	return r, g
}

func refused(t *testing.T, c *testgate.Client, method, path string, body any, status int, reason shadow.Reason) {
	t.Helper()
	var p api.Problem
	require.NoError(t, json.Unmarshal(c.Do(method, path, body, status), &p))
	assert.Equal(t, reason, p.Reason, "%s %s: %+v", method, path, p)
}

// The access table decides who sees, asks, stops and reads what on which host of the fleet, as on the gate's own
// machine.
func TestAccessTable(t *testing.T) {
	_, g := guarded(t)
	alice, helen, nick := g.SignIn("alice"), g.SignIn("helen"), g.SignIn("nick")
	var rows gate.RowList
	helen.Get("/api/v1/sessions", &rows)
	require.Len(t, rows.Sessions, 1)
	assert.Equal(t, "vda1 ann", rows.Sessions[0].Host+" "+rows.Sessions[0].User)
	nick.Get("/api/v1/sessions", &rows)
	assert.Empty(t, rows.Sessions)
	for name, only := range map[string]string{"helen": "vda1", "nick": "vda2"} {
		var list gate.HostList
		g.SignIn(name).Get("/api/v1/hosts", &list)
		require.Len(t, list.Hosts, 1, name)
		assert.Equal(t, only, list.Hosts[0].ID)
	}

	wish := func(host, session string) gate.Wish { return gate.Wish{Host: host, Session: session} }
	for _, path := range []string{"/api/v1/shadows", "/api/v1/rules/test"} {
		refused(t, helen, http.MethodPost, path, wish("vda1", "s2"), http.StatusConflict, shadow.NoSession)
		refused(t, helen, http.MethodPost, path, wish("vda2", "s1"), http.StatusNotFound, "")
		refused(t, helen, http.MethodPost, path, wish("VDA1", "s1"), http.StatusNotFound, "")
		refused(t, nick, http.MethodPost, path, wish("vda1", "s1"), http.StatusNotFound, "")
	}
	refused(t, helen, http.MethodGet, "/api/v1/rules?host=vda1", nil, http.StatusForbidden, shadow.NotAllowed)
	refused(t, helen, http.MethodGet, "/api/v1/rules?host=vda2", nil, http.StatusNotFound, "")
	nick.Do(http.MethodGet, "/api/v1/rules?host=vda2", nil, http.StatusOK)

	mine, theirs := helen.AskFor(wish("vda1", "s1")), alice.AskFor(wish("vda2", "s1"))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		refused(t, helen, method, "/api/v1/shadows/"+theirs.ID, nil, http.StatusNotFound, "ended")
	}
	v, err := helen.Connect(theirs.ID)
	require.NoError(t, err)
	code, reason := v.End()
	assert.Equal(t, 1008, code)
	assert.Contains(t, []string{"not_yours", "ended"}, reason)
	helen.View(mine.ID).Picture()
	alice.View(theirs.ID).Picture()

	refused(t, helen, http.MethodGet, "/api/v1/activity", nil, http.StatusForbidden, shadow.NotAllowed)
	refused(t, helen, http.MethodGet, "/api/v1/events", nil, http.StatusForbidden, shadow.NotAllowed)
	require.Eventually(t, func() bool {
		var happened gate.HappeningList
		alice.Get("/api/v1/activity?type=granted", &happened)
		return len(happened.Events) == 2
	}, testgate.Patience, 20*time.Millisecond)
	var happened gate.HappeningList
	nick.Get("/api/v1/activity", &happened)
	require.NotEmpty(t, happened.Events)
	for _, e := range happened.Events {
		assert.Equal(t, "vda2", e.Host)
	}
	nick.Get("/api/v1/activity?host=vda1", &happened)
	assert.Empty(t, happened.Events)
	nick.Get("/api/v1/activity?shadow="+mine.ID, &happened)
	assert.Empty(t, happened.Events)
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+mine.ID, nil, http.StatusNoContent)
}

// What a fleet's host would say of a wish is asked over the bus, and nobody is.
func TestRulesTest(t *testing.T) {
	r := newRig(t)
	r.host(t, "vda1", func(d *testgate.Daemon) {
		d.Change = func(c *shadow.Config) {
			c.Rules = policy.Rules{{Groups: []string{"helpdesk"}, Users: []string{"ann"}, Answer: policy.Deny}}
		}
	})
	g := r.gate(t, "gate1")
	alice, helen := g.SignIn("alice"), g.SignIn("helen")
	up(t, alice, 1)
	test := func(c *testgate.Client) (v api.Verdict) {
		t.Helper()
		require.NoError(t, json.Unmarshal(c.Do(http.MethodPost, "/api/v1/rules/test", gate.Wish{Host: "vda1", Session: "s1"}, http.StatusOK), &v))
		return v
	}
	v := test(helen)
	assert.Equal(t, "deny", v.Answer)
	assert.Empty(t, v.Text, "it names others")
	assert.Empty(t, v.Why, "it names others")
	v = test(alice)
	assert.Equal(t, "ask", v.Answer)
	assert.Equal(t, "gate:gate1", v.Account)
	assert.Equal(t, "x11", v.Prompter)
	assert.NotEmpty(t, v.Why)
	refused(t, alice, http.MethodPost, "/api/v1/rules/test", gate.Wish{Host: "vda1", Session: "none"}, http.StatusConflict, shadow.NoSession)
	assert.Empty(t, r.daemons["vda1"].Manager.List())
}

// Who isn't signed in gets nothing of the fleet, neither at the API nor where hosts come: only a code, or a ticket
// with a host's signature, opens those doors.
func TestSignedOut(t *testing.T) {
	r, g := guarded(t)
	c := g.Client()
	for _, call := range []string{
		"GET /api/v1/hosts", "GET /api/v1/sessions", "GET /api/v1/sessions/events", "GET /api/v1/rules?host=vda1", "GET /api/v1/activity?host=vda1", "GET /api/v1/events",
		"GET /api/v1/shadows", "POST /api/v1/shadows", "POST /api/v1/rules/test",
	} {
		method, path, _ := strings.Cut(call, " ")
		var body any
		if method == http.MethodPost {
			body = gate.Wish{Host: "vda1", Session: "s1"}
		}
		refused(t, c, method, path, body, http.StatusUnauthorized, "sign_in")
	}
	wish := enrol.Request{Secret: "GUESSED", ID: "vda3", Key: "UA", Proof: "x"}
	for _, c := range []*testgate.Client{c, g.SignIn("alice")} { // a signed-in session is worth nothing there
		c.Do(http.MethodGet, enrol.Path, nil, http.StatusMethodNotAllowed)
		c.Do(http.MethodPost, enrol.Path, map[string]string{"nonsense": "x"}, http.StatusBadRequest)
		c.Do(http.MethodPost, enrol.Path, wish, http.StatusForbidden)
		c.Do(http.MethodGet, enrol.CAPath, nil, http.StatusNotFound) // it has none of its own; those would be for everybody
		c.Do(http.MethodGet, dialout.Path, nil, http.StatusUpgradeRequired)
		c.Do(http.MethodPost, dialout.Path, wish, http.StatusUpgradeRequired)
		for _, path := range []string{"/fleet", "/fleet/", "/fleet/hosts", "/fleet/view/x", "/fleet/enrol/", "/fleet/.."} {
			resp, err := c.Send(t.Context(), http.MethodGet, path, nil)
			require.NoError(t, err)
			_ = resp.Body.Close()
			assert.Contains(t, []int{http.StatusNotFound, http.StatusMovedPermanently, http.StatusTemporaryRedirect}, resp.StatusCode, path)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+dialout.Path, nil)
	require.NoError(t, err)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"shadow-view-1"}, "Shadow-Ticket": {"GUESSED"}, "Shadow-Signature": {"x"}}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_ = resp.Body.Close()
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	list, err := r.Registry.Hosts(t.Context())
	require.NoError(t, err)
	assert.Len(t, list, 2, "nobody has entered")
}
