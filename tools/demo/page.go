package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/viewer"
	"vda.internal/shadow/wsproxy"
)

//go:embed page
var pageFiles embed.FS

// A page serves the demo's page: its files, the user's screen, and the control
// API for the session of the demo.
type page struct {
	client api.Client
	screen *wsproxy.Handler
	server *http.Server
	cancel context.CancelFunc // ends the requests that wait
}

func newPage(d *testhost.Desktop, client api.Client) *page {
	ctx, cancel := context.WithCancel(context.Background())
	p := &page{client: client, cancel: cancel}
	p.screen = &wsproxy.Handler{
		Dial: func(context.Context, *http.Request) (net.Conn, error) { return screen(d) },
	}
	p.server = &http.Server{
		Handler:           p.routes(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
	}
	return p
}

func (p *page) routes() http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the path is a constant
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.Handle("GET /novnc/", http.StripPrefix("/novnc/", viewer.Handler()))
	mux.Handle("GET /desktop", p.screen)
	mux.HandleFunc("POST /api/shadows", p.shadow)
	mux.HandleFunc("DELETE /api/shadows/{id}", p.stop)
	mux.HandleFunc("GET /api/events", p.events)
	return http.NewCrossOriginProtection().Handler(mux)
}

// serve serves ln in the background; what it returns gives the error once, after shutdown.
func (p *page) serve(ln net.Listener) <-chan error {
	served := make(chan error, 1)
	go func() {
		err := p.server.Serve(ln)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		served <- err
	}()
	return served
}

// shutdown ends the requests that wait and the screens, and stops serving.
func (p *page) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p.cancel()
	return errors.Join(p.screen.Shutdown(ctx), p.server.Shutdown(ctx))
}

// shadow asks the user, and answers when the user has.
func (p *page) shadow(w http.ResponseWriter, r *http.Request) {
	var question struct {
		Admin string `json:"admin"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&question); err != nil {
		problem(w, &api.Problem{Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Detail: err.Error()})
		return
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	grant, err := p.client.Shadow(r.Context(), api.Request{Session: session, Admin: question.Admin, Client: client})
	if err != nil {
		problem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // there is a token in it
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(grant)
}

// stop ends a shadow as its administrator.
func (p *page) stop(w http.ResponseWriter, r *http.Request) {
	if err := p.client.Stop(r.Context(), r.PathValue("id")); err != nil {
		problem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// problem answers with the daemon's own problem document, or with one that says
// that there was none.
func problem(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		p = &api.Problem{Title: http.StatusText(http.StatusBadGateway), Status: http.StatusBadGateway, Detail: err.Error()}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// An event is an audit event with its reason in words.
type event struct {
	shadow.Event
	Sentence string `json:"sentence,omitempty"`
}

// events passes the audit on, as server-sent events, from now on.
func (p *page) events(w http.ResponseWriter, r *http.Request) {
	stream, err := p.client.Events(r.Context())
	if err != nil {
		problem(w, err)
		return
	}
	defer stream.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flusher := http.NewResponseController(w)
	for flusher.Flush() == nil {
		e, err := stream.Next()
		if err != nil {
			return
		}
		out := event{Event: e}
		if e.Reason != "" {
			out.Sentence = e.Reason.Sentence()
		}
		data, err := json.Marshal(out)
		if err != nil {
			return
		}
		if _, err := w.Write(append(append([]byte("data: "), data...), "\n\n"...)); err != nil {
			return
		}
	}
}
