package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
)

// do sends a request as it is and returns the answer and its body.
func do(t *testing.T, c api.Client, method, path, contentType, body string) (*http.Response, string) {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://shadowd"+path, strings.NewReader(body))
	require.NoError(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(data)
}

// requireProblem asserts that an answer is a problem document, and returns it.
func requireProblem(t *testing.T, resp *http.Response, body string) api.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), body)
	var p api.Problem
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&p))
	require.Equal(t, resp.StatusCode, p.Status)
	require.NotEmpty(t, p.Type)
	require.NotEmpty(t, p.Title)
	return p
}

func grant() *shadow.Grant {
	return &shadow.Grant{
		ID: "ab12", Session: "42", Admin: `CORP\alice`, URL: "ws://vda1.corp:6001/websockify?token=t0", Scheme: "ws",
		Host: "vda1.corp", Port: 6001, Token: "t0", Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestShadow(t *testing.T) {
	asked := make(chan shadow.Request, 1)
	e := &fakeEngine{shadow: func(_ context.Context, r shadow.Request) (*shadow.Grant, error) {
		asked <- r
		return grant(), nil
	}}
	client, _ := serve(t, e, Options{})
	want := api.Request{Session: "42", Admin: `CORP\alice`, Client: "10.0.0.7", Purpose: "INC-1234\nscreen flickers", Monitor: "DP-1", Groups: []string{"helpdesk"}}

	got, err := client.Shadow(t.Context(), want)
	require.NoError(t, err)
	assert.Equal(t, GrantOf(grant()), *got)
	assert.Equal(t, requestOf(want, me(t)), receive(t, asked))

	resp, body := do(t, client, "POST", "/v1/shadows", "application/json; charset=utf-8", `{"session":"42","admin":"é"}`)
	assert.Equal(t, http.StatusCreated, resp.StatusCode)
	assert.Equal(t, "/v1/shadows/ab12", resp.Header.Get("Location"))
	assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"), "the answer has the token")
	assert.JSONEq(t, `{"id":"ab12","session":"42","admin":"CORP\\alice","url":"ws://vda1.corp:6001/websockify?token=t0",
		"scheme":"ws","host":"vda1.corp","port":6001,"token":"t0","expires":"2026-01-02T03:04:05Z"}`, body)
	assert.Equal(t, shadow.Request{Session: "42", Admin: "é", Account: me(t)}, receive(t, asked))
}

// me is the account that runs the test.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	require.NoError(t, err)
	return u.Username
}

func TestTerms(t *testing.T) {
	client, _ := serve(t, &fakeEngine{}, Options{})
	got, err := client.Terms(t.Context())
	require.NoError(t, err)
	require.Zero(t, got)
	reconnect := 0.0
	want := api.Terms{Timeout: 7.5, Reconnect: &reconnect, Purpose: "hidden"}
	client, _ = serve(t, &fakeEngine{}, Options{Terms: &want})
	got, err = client.Terms(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestRules(t *testing.T) {
	e := &fakeEngine{}
	client, _ := serve(t, e, Options{})
	list, err := client.Rules(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
	e.rules = policy.Rules{
		{Groups: []string{"audit"}, Answer: policy.Notify, Locked: true}, {Accounts: []string{me(t)}, Unanswered: true}, {Answer: policy.Deny},
	}
	list, err = client.Rules(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []api.Rule{
		{Number: 1, Answer: "notify", Unanswered: "deny", Locked: "allow", Text: `groups = ["audit"] answer = "notify" locked = "allow"`},
		{Number: 2, Answer: "ask", Unanswered: "allow", Locked: "deny", Text: e.rules[1].String()},
		{Number: 3, Answer: "deny", Unanswered: "deny", Locked: "deny", Text: `answer = "deny"`},
	}, list)
	v, err := client.TestRules(t.Context(), api.Request{Session: "42", Admin: "a", Groups: []string{"x"}})
	require.NoError(t, err)
	assert.Equal(t, &api.Verdict{Rule: list[1], Account: me(t), Why: []string{`rule 1 doesn't match: groups: "x" is none of "audit"`, fmt.Sprintf("rule 2 matches: accounts: %q fits %[1]q", me(t))}}, v)
	v, err = client.TestRulesFor(t.Context(), api.Request{Session: "42", Admin: "a"}, "gate:gate1")
	require.NoError(t, err)
	assert.Equal(t, &api.Verdict{Rule: list[2], Account: "gate:gate1", Why: []string{"rule 1 doesn't match: groups: the request has none",
		fmt.Sprintf(`rule 2 doesn't match: accounts: "gate:gate1" is none of %q`, me(t)), "rule 3 matches: it has no lists, so it matches everything"}}, v)
	for _, query := range []string{"?account=", "?account=a&account=b", "?account=%00", "?account=%ff", "?account=" + strings.Repeat("a", 257)} {
		resp, _ := do(t, client, "POST", "/v1/rules/test"+query, "application/json", `{"session":"42","admin":"a"}`)
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
	}
	who, _ := serve(t, e, Options{Terms: &api.Terms{Prompter: "allow"}})
	v, err = who.TestRules(t.Context(), api.Request{Session: "42", Admin: "a"})
	require.NoError(t, err)
	assert.Equal(t, "allow", v.Prompter, "a verdict says what asking comes to")
	e.err = &shadow.End{Reason: shadow.NoSession}
	_, err = client.TestRules(t.Context(), api.Request{Session: "43", Admin: "a"})
	assert.ErrorContains(t, err, "no_session")
	_, err = client.TestRules(t.Context(), api.Request{Session: "43"})
	assert.ErrorContains(t, err, `"admin" is missing or empty`)
}

// Every reason has its status, and the client gets it as an error.
func TestRefusals(t *testing.T) {
	status := map[shadow.Reason]int{
		shadow.Disabled: 403, shadow.NotAllowed: 403, shadow.Denied: 403, shadow.TimedOut: 403, shadow.Closed: 403, shadow.Locked: 403,
		shadow.PurposeMissing: 422,
		shadow.PromptBusy:     409, shadow.NoSession: 409, shadow.NoUser: 409, shadow.Wayland: 409, shadow.SessionEnded: 409,
		shadow.Superseded: 409, shadow.StoppedByUser: 409, shadow.StoppedByAdmin: 409,
	}
	var reason shadow.Reason
	e := &fakeEngine{shadow: func(context.Context, shadow.Request) (*shadow.Grant, error) {
		return nil, &shadow.End{Reason: reason, Detail: "more of it", Err: errors.New("cause")}
	}}
	client, _ := serve(t, e, Options{})
	for _, reason = range shadow.Reasons() {
		want, ok := status[reason]
		if !ok {
			want = http.StatusServiceUnavailable
		}
		resp, body := do(t, client, "POST", "/v1/shadows", "application/json", `{"session":"42","admin":"a"}`)
		assert.Equal(t, want, resp.StatusCode, reason)
		p := requireProblem(t, resp, body)
		assert.Equal(t, api.Problem{
			Type: "tag:vda.internal,2026:shadow/refused/" + string(reason), Title: reason.Sentence(), Status: want,
			Detail: "more of it", Reason: reason,
		}, p)

		_, err := client.Shadow(t.Context(), api.Request{Session: "42", Admin: "a"})
		var problem *api.Problem
		require.ErrorAs(t, err, &problem)
		assert.Equal(t, p, *problem)
		assert.Equal(t, "refused ("+string(reason)+"): "+reason.Sentence()+": more of it", err.Error())
	}
}

func TestEngineError(t *testing.T) {
	e := &fakeEngine{
		shadow: func(context.Context, shadow.Request) (*shadow.Grant, error) { return nil, errors.New("odd") },
		err:    errors.New("no bus"),
	}
	client, _ := serve(t, e, Options{})
	_, err := client.Shadow(t.Context(), api.Request{Session: "42", Admin: "a"})
	require.EqualError(t, err, "odd")
	_, err = client.Sessions(t.Context())
	require.EqualError(t, err, "no bus")
}

func TestPathsAndMethods(t *testing.T) {
	client, _ := serve(t, &fakeEngine{}, Options{})
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v2/shadows", 404, ""},
		{"GET", "/v1/shadows/a/b", 404, ""},
		{"PUT", "/v1/shadows", 405, "GET, POST"},
		{"POST", "/v1/shadows/ab12", 405, "DELETE, GET"},
		{"DELETE", "/v1/events", 405, "GET"},
		{"POST", "/healthz", 405, "GET"},
		{"OPTIONS", "/metrics", 405, "GET"},
	} {
		resp, body := do(t, client, test.method, test.path, "", "")
		p := requireProblem(t, resp, body)
		assert.Equal(t, test.status, p.Status, "%s %s", test.method, test.path)
		assert.Equal(t, test.allow, resp.Header.Get("Allow"), "%s %s", test.method, test.path)
	}
	resp, body := do(t, client, "GET", "/healthz", "", "")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "ok\n", body)
	assert.Empty(t, resp.Header.Get("Shadowd-Config"))
	resp, body = do(t, client, "HEAD", "/v1/shadows", "", "")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Empty(t, body)
}

// Whoever looks at the configuration file can tell whether the daemon's is
// another one.
func TestConfig(t *testing.T) {
	client, _ := serve(t, &fakeEngine{}, Options{Config: "0123456789abcdef"})
	health, err := client.Health(t.Context())
	require.NoError(t, err)
	assert.Equal(t, api.Health{Config: "0123456789abcdef"}, health)
	_, err = api.Client{Socket: client.Socket + ".none"}.Health(t.Context())
	require.ErrorIs(t, err, api.ErrUnreachable)
}

// An audit that can't be written is told, and counted.
func TestAudit(t *testing.T) {
	state := shadow.AuditState{Waiting: 3, Failures: 2, Lost: 1, Err: errors.New("no space\nleft")}
	client, _ := serve(t, &fakeEngine{}, Options{Audit: func() shadow.AuditState { return state }})
	health, err := client.Health(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "no space?left", health.Audit)
	all := figures(t, client)
	assert.Equal(t, "3", all["shadowd_audit_waiting"])
	assert.Equal(t, "2", all["shadowd_audit_failures_total"])
	assert.Equal(t, "1", all["shadowd_audit_lost_total"])
}

func TestListGetStop(t *testing.T) {
	e := &fakeEngine{}
	client, _ := serve(t, e, Options{})

	list, err := client.List(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
	_, body := do(t, client, "GET", "/v1/shadows", "", "")
	assert.JSONEq(t, `{"shadows":[]}`, body)

	one := shadow.Status{ID: "ab/12", Session: "42", User: "user1", Admin: "a", State: shadow.Viewing, Port: 6001, Since: time.Unix(1, 0).UTC()}
	e.mu.Lock()
	e.list = []shadow.Status{one}
	e.mu.Unlock()
	list, err = client.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []api.Status{StatusOf(one)}, list)
	got, err := client.Get(t.Context(), "ab/12")
	require.NoError(t, err)
	assert.Equal(t, StatusOf(one), *got)

	require.NoError(t, client.Stop(t.Context(), "ab/12"))
	assert.Equal(t, map[string]shadow.Reason{"ab/12": shadow.StoppedByAdmin}, e.stopped)

	var problem *api.Problem
	require.ErrorAs(t, client.Stop(t.Context(), "cd34"), &problem)
	assert.Equal(t, 404, problem.Status)
	_, err = client.Get(t.Context(), "cd34")
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, 404, problem.Status)
	assert.Contains(t, problem.Detail, `"cd34"`)
}

func TestSessions(t *testing.T) {
	ok := shadow.Session{ID: "42", User: "user1", UID: 1000, Display: ":1", Type: "x11", State: "active"}
	locked := ok
	locked.ID, locked.Locked = "43", true
	client, _ := serve(t, &fakeEngine{sessions: []*shadow.Session{&ok, &locked}}, Options{})

	list, err := client.Sessions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []api.Session{SessionOf(&ok), SessionOf(&locked)}, list)

	_, body := do(t, client, "GET", "/v1/sessions", "", "")
	assert.JSONEq(t, `{"sessions":[
		{"id":"42","user":"user1","uid":1000,"display":":1","type":"x11","state":"active","locked":false,"shadowable":true},
		{"id":"43","user":"user1","uid":1000,"display":":1","type":"x11","state":"active","locked":true,"shadowable":false,"reason":"locked"}]}`, body)
}

// A client that goes away takes its question back.
func TestClientLeaves(t *testing.T) {
	asked, cancelled := make(chan struct{}), make(chan error, 1)
	e := &fakeEngine{shadow: func(ctx context.Context, _ shadow.Request) (*shadow.Grant, error) {
		close(asked)
		<-ctx.Done()
		cancelled <- ctx.Err()
		return nil, &shadow.End{Reason: shadow.StoppedByAdmin}
	}}
	client, _ := serve(t, e, Options{})
	ctx, leave := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := client.Shadow(ctx, api.Request{Session: "42", Admin: "a"})
		result <- err
	}()
	receive(t, asked)
	leave()
	require.ErrorIs(t, receive(t, cancelled), context.Canceled)
	require.ErrorIs(t, receive(t, result), context.Canceled)
}

// The end of the server takes back what is waited for, ends the event streams,
// and tells those who can still be told.
func TestServeEnds(t *testing.T) {
	asked := make(chan struct{})
	e := &fakeEngine{shadow: func(ctx context.Context, _ shadow.Request) (*shadow.Grant, error) {
		close(asked)
		<-ctx.Done()
		return nil, &shadow.End{Reason: shadow.Shutdown}
	}}
	client, stop := serve(t, e, Options{})
	result := make(chan error, 1)
	go func() {
		_, err := client.Shadow(context.Background(), api.Request{Session: "42", Admin: "a"})
		result <- err
	}()
	events, err := client.Events(t.Context())
	require.NoError(t, err)
	defer events.Close()
	receive(t, asked)

	stop()
	var problem *api.Problem
	require.ErrorAs(t, receive(t, result), &problem)
	assert.Equal(t, shadow.Shutdown, problem.Reason)
	_, err = events.Next()
	require.ErrorIs(t, err, api.ErrUnreachable)
	_, err = client.List(t.Context())
	require.ErrorIs(t, err, api.ErrUnreachable)
	assert.NoFileExists(t, client.Socket)
}

// The time limit is for the body, not for the user.
func TestBodyTimeout(t *testing.T) {
	e := &fakeEngine{}
	h := NewHandler(e, Options{})
	h.bodyTimeout = 50 * time.Millisecond
	e.shadow = func(ctx context.Context, _ shadow.Request) (*shadow.Grant, error) {
		select {
		case <-ctx.Done():
			return nil, errors.New("cut off")
		case <-time.After(5 * h.bodyTimeout):
			return grant(), nil
		}
	}
	client, _ := serveHandler(t, h)
	_, err := client.Shadow(t.Context(), api.Request{Session: "42", Admin: "a"})
	require.NoError(t, err)

	conn, err := net.Dial("unix", client.Socket)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, "POST /v1/shadows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
	require.NoError(t, err)
	data, err := io.ReadAll(conn)
	require.NoError(t, err, "the server should have closed the connection")
	assert.Contains(t, string(data), "HTTP/1.1 400")
	assert.Contains(t, string(data), "the body could not be read")
}

// A header that doesn't come must not hold a connection for long.
func TestSlowHeader(t *testing.T) {
	t.Parallel() // it takes as long as the limit
	client, _ := serve(t, &fakeEngine{}, Options{})
	conn, err := net.Dial("unix", client.Socket)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(headerTimeout+patience)))
	data, err := io.ReadAll(conn)
	require.NoError(t, err, "the server should have closed the connection")
	assert.NotContains(t, string(data), "200 OK")
}

// For how long asking again is in vain is told twice: to people and to programs.
func TestRetryAfter(t *testing.T) {
	e := &fakeEngine{shadow: func(context.Context, shadow.Request) (*shadow.Grant, error) {
		return nil, &shadow.End{Reason: shadow.PromptBusy, Detail: "ask again in 15 s", RetryAfter: 14100 * time.Millisecond}
	}}
	client, _ := serve(t, e, Options{})
	resp, _ := do(t, client, "POST", "/v1/shadows", "application/json", `{"session":"1","admin":"alice"}`)
	assert.Equal(t, "15", resp.Header.Get("Retry-After"))
	_, err := client.Shadow(t.Context(), api.Request{Session: "1", Admin: "alice"})
	var p *api.Problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, 15, p.RetryAfter)
	assert.ErrorContains(t, p, "ask again in 15 s")
}
