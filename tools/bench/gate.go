package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
)

// viewsOne is how many views one person has: the gate gives nobody more than 32.
const viewsOne = 32

// gateMain is what is measured: the console with a host that says Yes to everything, and whose granted
// port is -target. It writes a line for each of -views views into DIR/views: token and path.
func gateMain(args []string) {
	fs := flag.NewFlagSet("gate", flag.ExitOnError)
	listen := fs.String("listen", "127.0.0.1:0", "address to listen on")
	to := fs.String("target", "", "the granted port")
	dir := fs.String("dir", ".", "folder of its files")
	views := fs.Int("views", 1, "how many views there are")
	cert := fs.String("cert", "", "TLS certificate")
	key := fs.String("key", "", "TLS key")
	_ = fs.Parse(args)
	if err := serveGate(*listen, *to, *dir, *views, *cert, *key); err != nil {
		log.Fatal(err)
	}
}

func serveGate(listen, to, dir string, views int, cert, key string) error {
	target, err := net.ResolveTCPAddr("tcp", to)
	if err != nil {
		return err
	}
	tokens := &signin.Tokens{Path: filepath.Join(dir, "tokens")}
	desk := signin.New(signin.Config{Tokens: tokens, Sealer: signin.NewSealer(), Idle: time.Hour, Longest: time.Hour, Secure: cert != ""})
	g, err := gate.New(gate.Config{
		Hosts: []hosts.Host{&willing{port: target}}, Access: access.Table{{May: access.Rights()}}, Desk: desk, Version: "bench",
	})
	if err != nil {
		return err
	}
	if err := askForViews(g, tokens, views, filepath.Join(dir, "views")); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return g.Serve(ctx, ln)
}

// askForViews asks the gate for so many views, in the names of as many people as it takes.
func askForViews(g *gate.Gate, tokens *signin.Tokens, n int, file string) error {
	var list strings.Builder
	token := ""
	for i := range n {
		if i%viewsOne == 0 {
			var err error
			if _, token, err = tokens.Add(fmt.Sprint("admin", i/viewsOne), nil, time.Now().Add(time.Hour)); err != nil {
				return err
			}
		}
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/api/v1/shadows", strings.NewReader(`{"session":"s1"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			return fmt.Errorf("the gate answered %d: %s", w.Code, w.Body)
		}
		fmt.Fprintf(&list, "%s /view/%s\n", token, strings.TrimPrefix(w.Header().Get("Location"), "/api/v1/shadows/"))
	}
	return os.WriteFile(file, []byte(list.String()), 0o600)
}

// willing is a host whose only user agrees to everything.
type willing struct {
	port *net.TCPAddr // granted

	mu    sync.Mutex
	views []api.Status
}

var _ hosts.Host = (*willing)(nil)

func (*willing) Name() string { return "host" }

func (*willing) Sessions(context.Context) ([]api.Session, error) {
	return []api.Session{{ID: "s1", User: "ann", Type: "x11", Shadowable: true}}, nil
}

func (w *willing) Shadows(context.Context) ([]api.Status, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]api.Status(nil), w.views...), nil
}

func (*willing) Rules(context.Context) ([]api.Rule, error) { return nil, nil }

func (*willing) TestRules(context.Context, api.Request) (*api.Verdict, error) {
	return &api.Verdict{}, nil
}

func (*willing) Terms(context.Context) (api.Terms, error) { return api.Terms{}, nil }

func (w *willing) Ask(_ context.Context, r api.Request) (*api.Grant, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := fmt.Sprint("v", len(w.views))
	w.views = append(w.views, api.Status{ID: id, Session: r.Session, User: "ann", Admin: r.Admin, State: shadow.Granted})
	return &api.Grant{ID: id, Session: r.Session, Admin: r.Admin, Scheme: "ws", Host: "127.0.0.1", Port: w.port.Port, Token: "t"}, nil
}

func (*willing) Stop(context.Context, string) error { return nil }

func (*willing) Follow(ctx context.Context) (hosts.Stream, error) {
	return stillness{ctx}, nil
}

func (w *willing) Dial(ctx context.Context, _ hosts.Target) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", w.port.String())
}

// stillness is a stream in which nothing happens.
type stillness struct{ ctx context.Context }

func (s stillness) Next() (shadow.Event, error) {
	<-s.ctx.Done()
	return shadow.Event{}, errors.New("over")
}

func (stillness) Close() error { return nil }
