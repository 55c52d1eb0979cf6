package gate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/gate/tickets"
)

// What the handlers answer is what the document says, and they take no path that isn't in it.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromFile("../../docs/openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)

	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{Gate: func(c *gate.Config) {
		c.Tickets = office(t, func(c *tickets.Config) { c.Key = new(tickets.Key) })
	}})
	up(t, g)
	try := func(c *testgate.Client, method, path string, body any, want int) []byte {
		t.Helper()
		resp, err := c.Send(t.Context(), method, path, body)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode, "%s %s: %s", method, path, answer)
		data, err := json.Marshal(body)
		require.NoError(t, err)
		req, err := http.NewRequest(method, "http://gate"+path, bytes.NewReader(data))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		route, params, err := router.FindRoute(req)
		require.NoError(t, err, "%s %s isn't in the document", method, path)
		input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route}
		if want < 400 {
			require.NoError(t, openapi3filter.ValidateRequest(t.Context(), input), "%s %s", method, path)
		}
		kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		output := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(answer)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: kind == "text/csv" || kind == "application/jsonl"},
		}
		require.NoError(t, openapi3filter.ValidateResponse(t.Context(), output), "%s %s: %s", method, path, answer)
		return answer
	}
	out, c, helen := g.Client(), g.Client(), g.SignIn("helen")
	try(out, "GET", "/api/v1/signin", nil, 200)
	try(out, "GET", "/api/v1/me", nil, 401)
	try(out, "GET", "/signin/oidc", nil, 404)
	try(out, "GET", "/signin/oidc/callback?code=x&state=y", nil, 404)
	try(c, "POST", "/api/v1/signin", gate.Credentials{Name: "alice", Password: "wrong"}, 401)
	try(c, "POST", "/api/v1/signin", gate.Wish{Session: "s1"}, 400)
	try(c, "POST", "/api/v1/signin", gate.Credentials{Name: "alice", Password: testgate.Password}, 204)
	try(c, "GET", "/api/v1/me", nil, 200)
	try(c, "GET", "/api/v1/me/signins", nil, 200)
	try(c, "POST", "/api/v1/me/signins/end", gate.Ending{ID: "none"}, 404)
	try(c, "POST", "/api/v1/me/signins/end", gate.Ending{}, 400)
	try(c, "POST", "/api/v1/me/signins/end", gate.Ending{Others: true}, 204)
	try(c, "GET", "/api/v1/hosts", nil, 200)
	try(c, "GET", "/api/v1/rules", nil, 200)
	try(c, "GET", "/api/v1/rules?host=none", nil, 404)
	try(helen, "GET", "/api/v1/rules", nil, 403)
	try(helen, "POST", "/api/v1/rules/test", gate.Wish{Session: "s1"}, 200)
	try(c, "POST", "/api/v1/rules/test", gate.Wish{Session: "s1"}, 200)
	try(c, "POST", "/api/v1/rules/test", gate.Wish{Session: "none"}, 409)
	try(helen, "POST", "/api/v1/rules/test", gate.Wish{Host: "none", Session: "s1"}, 404)
	try(c, "GET", "/api/v1/sessions", nil, 200)
	var view gate.View
	unmarshal(t, try(c, "POST", "/api/v1/shadows", gate.Wish{Session: "s1"}, 201), &view)
	try(c, "POST", "/api/v1/shadows", gate.Wish{Session: "w1"}, 409)
	try(c, "POST", "/api/v1/shadows", gate.Wish{Host: "none", Session: "s1"}, 404)
	try(c, "GET", "/api/v1/shadows", nil, 200)
	try(c, "GET", "/api/v1/shadows/"+view.ID, nil, 200)
	try(c, "POST", "/api/v1/shadows/"+view.ID+"/ticket", gate.TicketWish{For: tickets.Guacamole}, 201)
	try(c, "POST", "/api/v1/shadows/"+view.ID+"/ticket", gate.TicketWish{For: tickets.Websockify}, 400)
	try(c, "POST", "/api/v1/shadows/none/ticket", gate.TicketWish{For: tickets.Guacamole}, 404)
	try(helen, "POST", "/api/v1/shadows/"+view.ID+"/ticket", gate.TicketWish{For: tickets.Guacamole}, 403)
	try(helen, "DELETE", "/api/v1/shadows/"+view.ID, nil, 403)
	try(c, "DELETE", "/api/v1/shadows/"+view.ID, nil, 204)
	try(c, "DELETE", "/api/v1/shadows/"+view.ID, nil, 404)
	eventually(t, "the activity has the end", func() bool {
		var list gate.HappeningList
		c.Get("/api/v1/activity?type=ended", &list)
		return len(list.Events) > 0
	})
	try(c, "GET", "/api/v1/activity?limit=1", nil, 200)
	try(c, "GET", "/api/v1/activity?limit=0", nil, 400)
	try(c, "GET", "/api/v1/activity?before=x", nil, 400)
	try(c, "GET", "/api/v1/activity?format=csv", nil, 200)
	try(c, "GET", "/api/v1/activity?format=jsonl", nil, 200)
	try(helen, "GET", "/api/v1/activity", nil, 403)
	for _, hold := range []struct {
		path string
		hold func(string) func()
	}{{"/api/v1/activity", g.Gate.HoldReading}, {"/api/v1/sessions", g.Gate.HoldLists}} {
		free := hold.hold("alice")
		try(c, "GET", hold.path, nil, 429)
		free()
	}
	try(c, "POST", "/api/v1/shadows", gate.Wish{Purpose: strings.Repeat("x", 20<<10)}, 413)
	for _, path := range []string{"/api/v1/sessions/events", "/api/v1/events"} {
		tryStream(t, c, path, router)
	}
	foreign := g.SignIn("alice")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	try(foreign, "POST", "/api/v1/shadows", gate.Wish{Session: "s1"}, 403)
	try(helen, "GET", "/api/v1/events", nil, 403)
	try(c, "GET", "/view/x", nil, 404)
	try(c, "GET", "/metrics", nil, 200)
	try(c, "GET", "/healthz", nil, 200)
	try(c, "GET", "/readyz", nil, 200)
	d.Stop()
	try(c, "POST", "/api/v1/shadows", gate.Wish{Session: "s1"}, 502)
	try(c, "POST", "/api/v1/signout", nil, 200)

	documented := map[string]bool{}
	for path := range doc.Paths.Map() {
		documented[path] = true
	}
	source, err := os.ReadFile("handlers.go")
	require.NoError(t, err)
	var handled []string
	for _, m := range regexp.MustCompile(`mux\.Handle\("(/[^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		handled = append(handled, m[1])
		if m[1] == "/fleet/" { // see internal/fleet/registry
			continue
		}
		require.True(t, documented[m[1]], "%s isn't in the document", m[1])
	}
	for _, m := range regexp.MustCompile(`mux\.Handle\("(/[^"]+)".*g\.(?:person|looking|calling)\(`).FindAllStringSubmatch(string(source), -1) {
		require.NotNil(t, doc.Paths.Value(m[1]).Parameters.GetByInAndName("header", "Shadowgate-Background"), "%s doesn't say what the header does", m[1])
	}
	for path := range documented {
		require.True(t, strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/fleet/") || slices.Contains(handled, path), "%s is in the document only", path)
	}
}

// Every call is tried with what is wrong with it, and while the gate goes down: what comes of it is held to the document by TestMain.
func TestEveryCallThatIsWrong(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromFile("../../docs/openapi.yaml")
	require.NoError(t, err)
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	seen := map[int]int{}
	calls := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/fleet/") {
				calls[method+" "+path] = strings.ReplaceAll(path, "{id}", "x")
			}
		}
	}
	for call, path := range calls {
		method, _, _ := strings.Cut(call, " ")
		for _, wrong := range []struct {
			name         string
			signedIn     bool
			kind, body   string
			header, host string
		}{
			{"nobody", false, "application/json", "{}", "same-origin", ""}, {"another site", true, "application/json", "{}", "cross-site", ""},
			{"another name", true, "application/json", "{}", "same-origin", "evil.example"}, {"not JSON", true, "text/plain", "x", "same-origin", ""},
			{"broken", true, "application/json", "{", "same-origin", ""}, {"too long", true, "application/json", strings.Repeat("x", 20<<10), "same-origin", ""},
			{"unknown members", true, "application/json", `{"x":1}`, "same-origin", ""},
		} {
			c := g.Client()
			if wrong.signedIn {
				c = g.SignIn("helen")
			}
			r, err := http.NewRequest(method, g.URL+path, strings.NewReader(wrong.body))
			require.NoError(t, err)
			r.Header.Set("Content-Type", wrong.kind)
			r.Header.Set("Sec-Fetch-Site", wrong.header)
			r.Host = wrong.host
			resp, err := c.HTTP.Do(r)
			require.NoError(t, err, "%s, %s", call, wrong.name)
			require.NoError(t, resp.Body.Close())
			require.NotEqual(t, http.StatusInternalServerError, resp.StatusCode, "%s, %s", call, wrong.name)
			seen[resp.StatusCode]++
		}
	}
	g.Stop()
	for call, path := range calls {
		method, _, _ := strings.Cut(call, " ")
		answer := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		g.Gate.ServeHTTP(answer, r)
		require.Equal(t, http.StatusServiceUnavailable, answer.Code, call)
		resp := answer.Result()
		resp.Request = r
		testgate.Note(resp)
	}
	for _, status := range []int{400, 401, 403, 413, 415, 421} {
		require.Positive(t, seen[status], status)
	}
}

// tryStream requires that a stream is one as the document has it.
func tryStream(t *testing.T, c *testgate.Client, path string, router routers.Router) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := c.Send(ctx, http.MethodGet, path, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	req, err := http.NewRequest(http.MethodGet, "http://gate"+path, nil)
	require.NoError(t, err)
	route, params, err := router.FindRoute(req)
	require.NoError(t, err)
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: true},
	}))
}
