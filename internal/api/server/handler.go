package server

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/reply"
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
	Terms      *api.Terms               // for GET /v1/rules and verdicts; nil leaves them out
	Config     string                   // fingerprint of the loaded configuration; it differs from the file's when a restart is needed
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
	terms    *api.Terms               // may be nil
	audit    func() shadow.AuditState // may be nil

	bodyTimeout, writeTimeout, heartbeat time.Duration // the constants, but in tests
}

// NewHandler returns the API of e, which must not be nil.
func NewHandler(e Engine, o Options) *Handler {
	h := &Handler{
		engine: e, mux: http.NewServeMux(), errorLog: o.ErrorLog, config: o.Config, terms: o.Terms, audit: o.Audit,
		bodyTimeout: bodyTimeout, writeTimeout: writeTimeout, heartbeat: heartbeat,
	}
	if h.errorLog == nil {
		h.errorLog = log.New(io.Discard, "", 0)
	}
	h.metrics = newMetrics(e, o)
	h.mux.Handle("/v1/shadows", reply.Methods{"GET": h.list, "POST": h.create})
	h.mux.Handle("/v1/shadows/{id}", reply.Methods{"GET": h.get, "DELETE": h.stop})
	h.mux.Handle("/v1/rules", reply.Methods{"GET": h.rules})
	h.mux.Handle("/v1/rules/test", reply.Methods{"POST": h.testRules})
	h.mux.Handle("/v1/sessions", reply.Methods{"GET": h.sessions})
	h.mux.Handle("/v1/events", reply.Methods{"GET": h.events})
	h.mux.Handle("/metrics", reply.Methods{"GET": h.metrics.handler.ServeHTTP})
	h.mux.Handle("/healthz", reply.Methods{"GET": h.healthz})
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, reply.NewProblem(http.StatusNotFound, "there is nothing at %q; the API begins at /v1/", r.URL.Path))
	})
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // answers carry tokens
	a := &answer{w, h.writeTimeout}
	a.begin() // for an answer that has nothing to write
	h.mux.ServeHTTP(a, r)
}

// An answer is a ResponseWriter whose peer has a limited time to take what is written.
type answer struct {
	http.ResponseWriter
	within time.Duration
}

func (a *answer) begin() {
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(a.within)) // a recorder in a test has none
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (h *Handler) create(w http.ResponseWriter, r *http.Request) {
	req, problem := h.readRequest(w, r)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	grant, err := h.engine.Shadow(withCaller(r), req)
	if err != nil {
		writeProblem(w, ProblemOf(err))
		return
	}
	w.Header().Set("Location", "/v1/shadows/"+grant.ID)
	writeJSON(w, http.StatusCreated, GrantOf(grant))
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
		return shadow.Request{}, reply.NewProblem(http.StatusServiceUnavailable, "the account that asks: %v", err)
	}
	return requestOf(req, account), nil
}

func (h *Handler) rules(w http.ResponseWriter, _ *http.Request) {
	list := []api.Rule{}
	for i, rule := range h.engine.Rules() {
		list = append(list, RuleOf(i+1, rule))
	}
	writeJSON(w, http.StatusOK, api.RuleList{Rules: list, Terms: h.terms})
}

func (h *Handler) testRules(w http.ResponseWriter, r *http.Request) {
	req, problem := h.readRequest(w, r)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	if err := chooseAccount(&req, r.URL.Query()["account"]); err != nil {
		writeProblem(w, reply.NewProblem(http.StatusBadRequest, "%v", err))
		return
	}
	v, err := h.engine.Judge(r.Context(), req)
	if err != nil {
		writeProblem(w, ProblemOf(err))
		return
	}
	writeJSON(w, http.StatusOK, VerdictOf(v, req.Account, h.terms))
}

func (h *Handler) list(w http.ResponseWriter, _ *http.Request) {
	found := h.engine.List()
	list := make([]api.Status, 0, len(found))
	for _, s := range found {
		list = append(list, StatusOf(s))
	}
	writeJSON(w, http.StatusOK, api.ShadowList{Shadows: list})
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request) {
	status, ok := h.engine.Get(r.PathValue("id"))
	if !ok {
		writeProblem(w, unknownShadow(r.PathValue("id")))
		return
	}
	writeJSON(w, http.StatusOK, StatusOf(status))
}

func (h *Handler) stop(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	switch err := h.engine.Stop(withStopper(r), id, shadow.StoppedByAdmin); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, shadow.ErrNotFound):
		writeProblem(w, unknownShadow(id))
	default:
		writeProblem(w, ProblemOf(err))
	}
}

func unknownShadow(id string) *api.Problem {
	return reply.NewProblem(http.StatusNotFound, "there is no shadow %q, or it has ended", id)
}

func (h *Handler) sessions(w http.ResponseWriter, r *http.Request) {
	found, err := h.engine.Sessions(r.Context())
	if err != nil {
		writeProblem(w, ProblemOf(err))
		return
	}
	list := make([]api.Session, 0, len(found))
	for _, s := range found {
		list = append(list, SessionOf(s))
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

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) { reply.JSON(w, status, v, writeTimeout) }

func writeProblem(w http.ResponseWriter, p *api.Problem) { reply.Problem(w, p, writeTimeout) }
