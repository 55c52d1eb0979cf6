// Package reply writes the answers of the JSON APIs: shadowd's, and the console's.
package reply

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/internal/api"
)

// RefusalType names the kind of problem that a refusal is, as a tag URI (RFC
// 4151): a name, not an address. The reason follows it.
const RefusalType = "tag:vda.internal,2026:shadow/refused/"

// NewProblem is a problem that is no refusal.
func NewProblem(status int, format string, args ...any) *api.Problem {
	return &api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Problem answers with p, which the peer has to take within a time.
func Problem(w http.ResponseWriter, p *api.Problem, within time.Duration) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	JSON(w, p.Status, p, within)
}

// JSON answers with v, which the peer has to take within a time. That it has gone is nobody's concern.
func JSON(w http.ResponseWriter, status int, v any, within time.Duration) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("reply: %T can't be written as JSON: %v", v, err)) // our own types: a programmer's mistake
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within)) // a recorder in a test has none
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// refusedTime is how long a peer has to take the answer to a method that there isn't.
const refusedTime = 10 * time.Second

// Methods is what one path does, by method. HEAD goes where GET does. Another method is answered
// with a problem that lists those that there are.
type Methods map[string]http.HandlerFunc

// ServeHTTP implements http.Handler.
func (m Methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if serve, ok := m[method]; ok {
		serve(w, r)
		return
	}
	allowed := make([]string, 0, len(m))
	for name := range m {
		allowed = append(allowed, name)
	}
	slices.Sort(allowed)
	list := strings.Join(allowed, ", ")
	w.Header().Set("Allow", list)
	Problem(w, NewProblem(http.StatusMethodNotAllowed, "%s takes %s, not %.20s", r.URL.Path, list, r.Method), refusedTime)
}
