package control

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
)

// Limits of the API. Times are for the peer's part of the work: how long the
// user may think is the engine's business.
const (
	maxBody      = 64 << 10         // bytes of a request's body
	bodyTimeout  = 10 * time.Second // for the body to arrive
	writeTimeout = 10 * time.Second // for the peer to take an answer, or one event
	heartbeat    = 15 * time.Second // between comments on a silent event stream
)

// configHeader is the fingerprint of the daemon's configuration, in answers to
// GET /healthz.
const configHeader = "Shadowd-Config"

// An Engine runs the shadows. *[shadow.Manager] is one.
type Engine interface {
	Shadow(ctx context.Context, r shadow.Request) (*shadow.Grant, error)
	List() []shadow.Status
	Get(id string) (shadow.Status, bool)
	Stop(id string, reason shadow.Reason) error // shadow.ErrNotFound: no such shadow
	Sessions(ctx context.Context) ([]*shadow.Session, error)
	Subscribe(ctx context.Context) <-chan shadow.Event // closed when ctx ends, or the subscriber has fallen too far behind
}

// Options are what [NewHandler] may be given besides the engine.
type Options struct {
	PortsInUse func() int  // for the metrics; nil leaves the figure out
	Config     string      // fingerprint of the configuration that counts, for whoever wants to know whether the file's still does
	ErrorLog   *log.Logger // for net/http's complaints about connections; nil discards them
}

// A Handler answers the API's requests. It doesn't ask who is there: that is
// [Serve]'s part.
type Handler struct {
	engine   Engine
	mux      *http.ServeMux
	metrics  *metrics
	errorLog *log.Logger
	config   string

	bodyTimeout, writeTimeout, heartbeat time.Duration // the constants, but in tests
}

// NewHandler returns the API of e, which must not be nil.
func NewHandler(e Engine, o Options) *Handler {
	h := &Handler{
		engine: e, mux: http.NewServeMux(), errorLog: o.ErrorLog, config: o.Config,
		bodyTimeout: bodyTimeout, writeTimeout: writeTimeout, heartbeat: heartbeat,
	}
	if h.errorLog == nil {
		h.errorLog = log.New(io.Discard, "", 0)
	}
	h.metrics = newMetrics(e, o.PortsInUse)
	h.mux.Handle("/v1/shadows", methods{"GET": h.list, "POST": h.create})
	h.mux.Handle("/v1/shadows/{id}", methods{"GET": h.get, "DELETE": h.stop})
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
	// The limit is for the body: net/http lifts it at the body's end, and then
	// reads on only to notice that the client has gone.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.bodyTimeout))
	req, problem := readRequest(w, r)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	grant, err := h.engine.Shadow(r.Context(), req)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	w.Header().Set("Location", "/v1/shadows/"+grant.ID)
	writeJSON(w, http.StatusCreated, grant)
}

func (h *Handler) list(w http.ResponseWriter, _ *http.Request) {
	list := h.engine.List()
	if list == nil {
		list = []shadow.Status{}
	}
	writeJSON(w, http.StatusOK, shadowList{list})
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request) {
	status, ok := h.engine.Get(r.PathValue("id"))
	if !ok {
		writeProblem(w, unknownShadow(r.PathValue("id")))
		return
	}
	writeJSON(w, http.StatusOK, status)
}

func (h *Handler) stop(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	switch err := h.engine.Stop(id, shadow.StoppedByAdmin); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, shadow.ErrNotFound):
		writeProblem(w, unknownShadow(id))
	default:
		writeProblem(w, problemOf(err))
	}
}

func unknownShadow(id string) *Problem {
	return statusProblem(http.StatusNotFound, "there is no shadow %q, or it has ended", id)
}

func (h *Handler) sessions(w http.ResponseWriter, r *http.Request) {
	found, err := h.engine.Sessions(r.Context())
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	list := make([]Session, 0, len(found))
	for _, s := range found {
		one := Session{Session: *s, Shadowable: true}
		if r := s.Refusal(); r != nil {
			one.Shadowable, one.Reason, one.Detail = false, r.Reason, r.Detail
		}
		list = append(list, one)
	}
	writeJSON(w, http.StatusOK, sessionList{list})
}

func (h *Handler) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if h.config != "" {
		w.Header().Set(configHeader, h.config)
	}
	_, _ = io.WriteString(w, "ok\n")
}

// A Session is one line of the list of sessions.
type Session struct {
	shadow.Session
	Shadowable bool          `json:"shadowable"`
	Reason     shadow.Reason `json:"reason,omitempty"` // why it isn't shadowable
	Detail     string        `json:"detail,omitempty"` // more than the reason's sentence says
}

type (
	shadowList struct {
		Shadows []shadow.Status `json:"shadows"`
	}
	sessionList struct {
		Sessions []Session `json:"sessions"`
	}
)

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
