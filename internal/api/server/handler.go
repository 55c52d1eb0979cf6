package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
)

// Limits of the API. Times are for the peer's part of the work: how long the
// user may think is the engine's business.
const (
	maxBody      = 64 << 10         // bytes of a request's body
	bodyTimeout  = 10 * time.Second // for the body to arrive
	writeTimeout = 10 * time.Second // for the peer to take an answer, or one event
	heartbeat    = 15 * time.Second // between comments on a silent event stream
)

// An Engine runs the shadows. *[shadow.Manager] is one.
type Engine interface {
	Shadow(ctx context.Context, r shadow.Request) (*shadow.Grant, error)
	List() []shadow.Status
	Get(id string) (shadow.Status, bool)
	Stop(ctx context.Context, id string, reason shadow.Reason) error // shadow.ErrNotFound: no such shadow
	Sessions(ctx context.Context) ([]*shadow.Session, error)
	Rules() policy.Rules
	Judge(ctx context.Context, r shadow.Request) (policy.Verdict, error) // as Shadow would, without doing anything
	Subscribe(ctx context.Context) <-chan shadow.Event                   // closed when ctx ends, or the subscriber has fallen too far behind
}

// Options are what [NewHandler] may be given besides the engine.
type Options struct {
	PortsInUse func() int               // for the metrics; nil leaves the figure out
	Audit      func() shadow.AuditState // for the metrics and GET /healthz; nil leaves it out
	Crowd      func() shadow.Crowd      // for the metrics; nil leaves it out
	Config     string                   // fingerprint of the configuration that counts, for whoever wants to know whether the file's still does
	ErrorLog   *log.Logger              // for net/http's complaints about connections; nil discards them
}

// A Handler answers the API's requests. It doesn't ask who is there: that is
// [Serve]'s part.
type Handler struct {
	engine   Engine
	mux      *http.ServeMux
	metrics  *metrics
	errorLog *log.Logger
	config   string
	audit    func() shadow.AuditState // may be nil

	bodyTimeout, writeTimeout, heartbeat time.Duration // the constants, but in tests
}

// NewHandler returns the API of e, which must not be nil.
func NewHandler(e Engine, o Options) *Handler {
	h := &Handler{
		engine: e, mux: http.NewServeMux(), errorLog: o.ErrorLog, config: o.Config, audit: o.Audit,
		bodyTimeout: bodyTimeout, writeTimeout: writeTimeout, heartbeat: heartbeat,
	}
	if h.errorLog == nil {
		h.errorLog = log.New(io.Discard, "", 0)
	}
	h.metrics = newMetrics(e, o)
	h.mux.Handle("/v1/shadows", methods{"GET": h.list, "POST": h.create})
	h.mux.Handle("/v1/shadows/{id}", methods{"GET": h.get, "DELETE": h.stop})
	h.mux.Handle("/v1/rules", methods{"GET": h.rules})
	h.mux.Handle("/v1/rules/test", methods{"POST": h.testRules})
	h.mux.Handle("/v1/sessions", methods{"GET": h.sessions})
	h.mux.Handle("/v1/events", methods{"GET": h.events})
	h.mux.Handle("/metrics", methods{"GET": h.metrics.handler.ServeHTTP})
	h.mux.Handle("/healthz", methods{"GET": h.healthz})
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, statusProblem(http.StatusNotFound, "there is nothing at %q; the API begins at /v1/", r.URL.Path))
	})
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // answers carry tokens
	h.mux.ServeHTTP(w, r)
}

// methods is what one path does, by method. HEAD goes where GET does.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	writeProblem(w, statusProblem(http.StatusMethodNotAllowed, "%s takes %s, not %s", r.URL.Path, list, r.Method))
}

func (h *Handler) create(w http.ResponseWriter, r *http.Request) {
	req, problem := h.readRequest(w, r)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	grant, err := h.engine.Shadow(withCaller(r), req)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	w.Header().Set("Location", "/v1/shadows/"+grant.ID)
	writeJSON(w, http.StatusCreated, grantOf(grant))
}

// readRequest reads what to ask the engine for, or says what is wrong with it.
func (h *Handler) readRequest(w http.ResponseWriter, r *http.Request) (shadow.Request, *api.Problem) {
	// The limit is for the body: net/http lifts it at the body's end, and then
	// reads on only to notice that the client has gone.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.bodyTimeout))
	req, problem := readRequest(w, r)
	if problem != nil {
		return shadow.Request{}, problem
	}
	account, err := accountOf(r.Context())
	if err != nil {
		return shadow.Request{}, statusProblem(http.StatusServiceUnavailable, "the account that asks: %v", err)
	}
	return requestOf(req, account), nil
}

func (h *Handler) rules(w http.ResponseWriter, _ *http.Request) {
	list := []api.Rule{}
	for i, rule := range h.engine.Rules() {
		list = append(list, ruleOf(i+1, rule))
	}
	writeJSON(w, http.StatusOK, api.RuleList{Rules: list})
}

func (h *Handler) testRules(w http.ResponseWriter, r *http.Request) {
	req, problem := h.readRequest(w, r)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	v, err := h.engine.Judge(r.Context(), req)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	writeJSON(w, http.StatusOK, verdictOf(v, req.Account))
}

func (h *Handler) list(w http.ResponseWriter, _ *http.Request) {
	found := h.engine.List()
	list := make([]api.Status, 0, len(found))
	for _, s := range found {
		list = append(list, statusOf(s))
	}
	writeJSON(w, http.StatusOK, api.ShadowList{Shadows: list})
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request) {
	status, ok := h.engine.Get(r.PathValue("id"))
	if !ok {
		writeProblem(w, unknownShadow(r.PathValue("id")))
		return
	}
	writeJSON(w, http.StatusOK, statusOf(status))
}

func (h *Handler) stop(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	switch err := h.engine.Stop(withCaller(r), id, shadow.StoppedByAdmin); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, shadow.ErrNotFound):
		writeProblem(w, unknownShadow(id))
	default:
		writeProblem(w, problemOf(err))
	}
}

func unknownShadow(id string) *api.Problem {
	return statusProblem(http.StatusNotFound, "there is no shadow %q, or it has ended", id)
}

func (h *Handler) sessions(w http.ResponseWriter, r *http.Request) {
	found, err := h.engine.Sessions(r.Context())
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	list := make([]api.Session, 0, len(found))
	for _, s := range found {
		list = append(list, sessionOf(s))
	}
	writeJSON(w, http.StatusOK, api.SessionList{Sessions: list})
}

func (h *Handler) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if h.config != "" {
		w.Header().Set(api.ConfigHeader, h.config)
	}
	if h.audit != nil {
		if err := h.audit().Err; err != nil {
			w.Header().Set(api.AuditHeader, strings.Map(printable, err.Error()))
		}
	}
	_, _ = io.WriteString(w, "ok\n")
}

// printable replaces what a header can't carry.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// writeJSON answers with v. An error means that the peer has gone, which is
// nobody's concern here.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("control: %T can't be written as JSON: %v", v, err)) // our own types: a programmer's mistake
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
