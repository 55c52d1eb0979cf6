package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/viewer"
	"vda.internal/shadow/wsproxy"
)

//go:embed page
var pageFiles embed.FS

// start is the path of the demo's page. Everything that isn't below it is the gate's.
const start = "/demo/"

// A page serves the demo's page: its files, the user's screen, and the gate, which is the page's
// right half.
type page struct {
	gate   *gate
	screen *wsproxy.Handler
	server *http.Server
	cancel context.CancelFunc // ends the requests that wait
}

func newPage(d *testhost.Desktop, g *gate) *page {
	ctx, cancel := context.WithCancel(context.Background())
	p := &page{gate: g, cancel: cancel}
	p.screen = &wsproxy.Handler{
		Dial: func(ctx context.Context, _ *http.Request) (net.Conn, error) { return screen(ctx, d) },
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
	mux.Handle("GET "+start, http.StripPrefix(start, http.FileServerFS(files)))
	mux.Handle("GET "+start+"novnc/", http.StripPrefix(start+"novnc/", viewer.Handler()))
	mux.Handle("GET "+start+"desktop", p.screen)
	mux.HandleFunc("GET "+start+"account", p.account)
	mux.Handle("/", p.proxy())
	return mux
}

// proxy leads to the gate. Its pages may be a part of the demo's page; anywhere else they may not
// be a part of another.
func (p *page) proxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: p.gate.address})
			r.Out.Host = r.In.Host // the gate compares it with the page that has sent the request
		},
		ModifyResponse: func(r *http.Response) error {
			policy := r.Header.Get("Content-Security-Policy")
			r.Header.Set("Content-Security-Policy", strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
			r.Header.Del("X-Frame-Options")
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0), // a browser that goes away is no news
	}
}

// account is the administrator's, for the page to sign in with. It is good for this demo only.
func (p *page) account(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(map[string]string{"name": admin, "password": p.gate.password})
	if err != nil {
		panic(err) // two strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
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
