package web

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

type object = map[string]any

// A gate answers the pages as a test wants it to: the API of shadowgate without what is behind
// it, so that odd answers can be had as well.
type gate struct {
	*httptest.Server
	questions chan *question // those that wait for an answer
	screens   chan *screen   // views that a browser has opened

	mu         sync.Mutex
	signedIn   bool
	methods    []string
	wait       int // seconds that signing in is refused for
	me         object
	hosts      []object
	rows       map[string]object // by id
	shadows    map[string]object // by id
	events     []object          // newest first
	asked      []string          // the activity's queries
	streams    map[chan string]string
	unknown    bool     // the API knows no view
	away       bool     // nothing leads to a screen
	busy       int      // times that a screen is said to be shown elsewhere
	background int      // questions about views that say that nobody uses the page
	named      []string // hosts that requests about views have named
	places     []object // where alice is signed in
	partly     bool     // and elsewhere
	proof      string   // what is needed to end one
	ended      []object // what was asked to end
}

// startGate starts a gate where alice is signed in and may do all.
func startGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{
		questions: make(chan *question, 10), screens: make(chan *screen, 10),
		signedIn: true, methods: []string{"password"},
		me: object{"name": `CORP\alice`, "full_name": "Alice Adams", "groups": []string{"helpdesk", "staff"}, "method": "password",
			"since": "2026-11-30T08:00:00Z", "expires": "2026-11-30T20:00:00Z",
			"may": []object{{"rule": 1, "hosts": []string{"*"}, "users": []string{"*"}, "may": []string{"list", "shadow", "audit", "stop"}}}},
		rows: map[string]object{}, shadows: map[string]object{}, streams: map[chan string]string{},
	}
	g.serve(t, g.routes())
	return g
}

// serve starts the server.
func (g *gate) serve(t testing.TB, h http.Handler) {
	t.Helper()
	needPages(t)
	// A stream and a question end with their requests, which closing the connections ends.
	g.Server = httptest.NewUnstartedServer(h)
	g.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connection{}, c) }
	g.Start()
	t.Cleanup(func() { g.CloseClientConnections(); g.Close() })
}

func (g *gate) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, f http.HandlerFunc) { mux.HandleFunc(pattern, f) }
	closed := func(pattern string, f http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			g.mu.Lock()
			in := g.signedIn
			g.mu.Unlock()
			if !in {
				problem(w, 401, object{"reason": "sign_in", "title": "not signed in"})
				return
			}
			f(w, r)
		})
	}
	open("GET /api/v1/signin", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{"methods": g.methods, "oidc": object{"label": "Keycloak"}})
	})
	open("POST /api/v1/signin", g.signIn)
	open("POST /api/v1/signout", func(w http.ResponseWriter, _ *http.Request) {
		g.set(func() { g.signedIn = false })
		answer(w, 200, object{"next": "/signin"})
	})
	closed("GET /api/v1/me", func(w http.ResponseWriter, _ *http.Request) { g.get(w, func() any { return g.me }) })
	closed("GET /api/v1/me/signins", func(w http.ResponseWriter, _ *http.Request) {
		g.get(w, func() any {
			answer := object{"signins": append([]object{}, g.places...), "whole": !g.partly}
			if g.proof != "" {
				answer["proof"] = g.proof
			}
			return answer
		})
	})
	closed("POST /api/v1/me/signins/end", g.endSignIns)
	closed("GET /api/v1/hosts", func(w http.ResponseWriter, _ *http.Request) { g.get(w, func() any { return object{"hosts": g.hosts} }) })
	closed("GET /api/v1/sessions/events", func(w http.ResponseWriter, r *http.Request) {
		g.stream(w, r, "sessions", func() string { return event("snapshot", object{"sessions": slices.Collect(maps.Values(g.rows))}) })
	})
	closed("GET /api/v1/events", func(w http.ResponseWriter, r *http.Request) {
		g.stream(w, r, "audit", func() string { return ": hello\n\n" })
	})
	closed("POST /api/v1/shadows", g.ask)
	closed("GET /api/v1/shadows/{id}", g.shadow)
	closed("DELETE /api/v1/shadows/{id}", g.stop)
	closed("GET /api/v1/activity", g.activity)
	closed("GET /view/{id}", g.view)
	mux.Handle("GET /", Pages())
	return mux
}

// set changes what the gate answers.
func (g *gate) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *gate) get(w http.ResponseWriter, f func() any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	answer(w, 200, f())
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func problem(w http.ResponseWriter, status int, v object) {
	v["status"] = status
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (g *gate) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Password string }
	if !read(w, r, &in) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(g.wait))
		problem(w, 429, object{"title": "too many attempts"})
	case in.Name != "alice" || in.Password != "right":
		problem(w, 401, object{"reason": "sign_in", "title": "name or password is wrong"})
	default:
		g.signedIn = true
		w.WriteHeader(204)
	}
}

// read reads a body, and reports whether it is JSON.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil || r.Header.Get("Content-Type") != "application/json" {
		problem(w, 415, object{"title": "JSON is wanted"})
		return false
	}
	return true
}

// event is a server-sent event.
func event(name string, data any) string {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("event: %s\ndata: %s\n\n", name, b)
}

// stream sends first, and then what is sent to streams of a kind, until its request ends.
func (g *gate) stream(w http.ResponseWriter, r *http.Request, kind string, first func() string) {
	w.Header().Set("Content-Type", "text/event-stream")
	events := make(chan string, 100)
	g.mu.Lock()
	g.streams[events] = kind
	hello := first()
	g.mu.Unlock()
	defer g.set(func() { delete(g.streams, events) })
	flusher := http.NewResponseController(w)
	for e := hello; ; {
		if _, err := w.Write([]byte(e)); err != nil || flusher.Flush() != nil {
			return
		}
		select {
		case e = <-events:
			if e == "" {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// send sends to the streams of a kind; an empty event ends them.
func (g *gate) send(kind, e string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for events, of := range g.streams {
		if of == kind {
			events <- e
		}
	}
}

// row adds or replaces a session, and tells the pages.
func (g *gate) row(host, id string, more object) {
	row := object{"host": host, "id": id, "user": "bob", "display": ":1", "type": "x11", "locked": false, "shadowable": true, "since": "2026-11-30T07:30:00Z"}
	maps.Copy(row, more)
	g.set(func() { g.rows[host+"/"+id] = row })
	g.send("sessions", event("change", object{"sessions": []object{row}}))
}

// gone removes a session, and tells the pages.
func (g *gate) gone(host, id string) {
	g.set(func() { delete(g.rows, host+"/"+id) })
	g.send("sessions", event("gone", object{"ids": []string{host + "/" + id}}))
}

// A question is a request to view that waits for its answer.
type question struct {
	body object
	done <-chan struct{} // the browser has given up
	says chan func(w http.ResponseWriter)
}

func (g *gate) ask(w http.ResponseWriter, r *http.Request) {
	q := &question{done: r.Context().Done(), says: make(chan func(http.ResponseWriter), 1)}
	if err := json.NewDecoder(r.Body).Decode(&q.body); err != nil {
		problem(w, 400, object{"title": err.Error()})
		return
	}
	g.questions <- q
	select {
	case say := <-q.says:
		say(w)
	case <-r.Context().Done():
	}
}

// refuse answers with a reason of the vocabulary.
func (q *question) refuse(status int, reason string, more object) {
	body := object{"title": "refused", "reason": reason}
	maps.Copy(body, more)
	q.says <- func(w http.ResponseWriter) { problem(w, status, body) }
}

// grant answers with a view that the gate knows from now on.
func (g *gate) grant(q *question, id string) {
	g.begin(id, q.body["host"].(string), q.body["session"].(string))
	q.says <- func(w http.ResponseWriter) {
		answer(w, 201, object{"id": id, "host": q.body["host"], "session": q.body["session"], "admin": `CORP\alice`, "view": "/view/" + id})
	}
}

// begin makes a view known.
func (g *gate) begin(id, host, session string) {
	g.set(func() {
		g.shadows[id] = object{"id": id, "host": host, "session": session, "user": "bob", "admin": `CORP\alice`, "state": "granted", "mine": true,
			"since": time.Now().UTC().Format(time.RFC3339)}
	})
}

func (g *gate) shadow(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.named = append(g.named, r.URL.Query().Get("host"))
	if r.Header.Get("Shadowgate-Background") != "" {
		g.background++
	}
	if s := g.shadows[r.PathValue("id")]; s != nil && !g.unknown {
		answer(w, 200, s)
		return
	}
	problem(w, 404, object{"title": "no such shadow"})
}

func (g *gate) stop(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	g.set(func() {
		g.named = append(g.named, r.URL.Query().Get("host"))
		if s, ok := g.shadows[id]["screen"].(*screen); ok {
			s.close(1000, "stopped_by_admin")
		}
		delete(g.shadows, id)
	})
	w.WriteHeader(204)
}

func (g *gate) activity(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.URL.RawQuery)
	events := []object{}
	for _, e := range g.events {
		if (q.Get("shadow") == "" || e["id"] == q.Get("shadow")) && (q.Get("type") == "" || e["type"] == q.Get("type")) &&
			(q.Get("admin") == "" || strings.Contains(fmt.Sprint(e["admin"]), q.Get("admin"))) {
			events = append(events, e)
		}
	}
	from, _ := strconv.Atoi(q.Get("before"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	to := min(len(events), from+limit)
	result := object{"events": events[from:to]}
	if to < len(events) {
		result["next"] = strconv.Itoa(to)
	}
	answer(w, 200, result)
}

// next is what comes out of a channel.
func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case v := <-from:
		return v
	case <-ctx.Done():
		t.Fatal("it doesn't come")
		panic("unreachable")
	}
}
