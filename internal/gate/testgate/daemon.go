// Package testgate runs a gate for tests, in front of a shadowd in the same process: its engine and its
// control API are the real ones; its sessions, its users' answers and its pictures are made up.
//
//	d := testgate.NewDaemon(t)
//	g := testgate.New(t, d, testgate.Options{})
//	c := g.SignIn("alice")
//	view := c.Ask("s1")
package testgate

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/tlsstore"
)

// Patience bounds every wait for something that should happen soon.
const Patience = testenv.Patience

// A Daemon is a shadowd whose users say Yes at once, unless Answer says otherwise. Its sessions are s1 of
// ann, s2 of bob, and w1 of cem, which can't be viewed: it is a Wayland session.
type Daemon struct {
	Client  api.Client
	Manager *shadow.Manager

	// Answer is what users do. Nil says Yes. It may be set before New only.
	Answer func(ctx context.Context, r consent.Request) (consent.Decision, error)

	// Change may change the engine's configuration, before Start.
	Change func(*shadow.Config)

	// Terms are what it says of itself; nil: nothing. It may be set before Start.
	Terms *api.Terms

	t      testing.TB
	socket string
	dir    string
	stop   func()

	mu       sync.Mutex
	sessions []*shadow.Session
}

// NewDaemon starts a Daemon, as the functions have changed it. It ends with the test.
func NewDaemon(t testing.TB, change ...func(*Daemon)) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate") // a socket's path is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &Daemon{t: t, dir: dir, socket: filepath.Join(dir, "control.sock"), sessions: []*shadow.Session{
		{ID: "s1", User: "ann", UID: 1001, Display: ":1", Type: "x11", Class: "user", State: "active"},
		{ID: "s2", User: "bob", UID: 1002, Display: ":2", Type: "x11", Class: "user", State: "active"},
		{ID: "w1", User: "cem", UID: 1003, Type: "wayland", Class: "user", State: "active"},
	}}
	d.Client = api.Client{Socket: d.socket}
	for _, c := range change {
		c(d)
	}
	d.Start()
	t.Cleanup(d.Stop)
	return d
}

// Start starts it again after Stop.
func (d *Daemon) Start() {
	d.t.Helper()
	cfg := shadow.Config{
		Sessions: resolver{d}, Source: Source{}, Ports: freePorts(d.t), Host: "127.0.0.1", Reconnect: 30 * time.Second,
		Prompter: consent.Func(func(ctx context.Context, r consent.Request) (consent.Decision, error) {
			if d.Answer == nil {
				return consent.Granted, nil
			}
			return d.Answer(ctx, r)
		}),
	}
	if d.Change != nil {
		d.Change(&cfg)
	}
	m, err := shadow.New(cfg)
	require.NoError(d.t, err)
	ln, err := server.Listen(d.socket, "")
	require.NoError(d.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, ln, server.NewHandler(m, server.Options{Terms: d.Terms})) }()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Manager = m
	d.stop = func() {
		ending, done := context.WithTimeout(context.Background(), Patience)
		defer done()
		_ = m.Shutdown(ending)
		cancel()
		<-served
	}
}

// Stop ends it, as a shutdown of the host would. It may be called twice.
func (d *Daemon) Stop() {
	d.mu.Lock()
	stop := d.stop
	d.stop = nil
	d.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// SetSessions changes what sessions there are.
func (d *Daemon) SetSessions(list ...*shadow.Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = list
}

// WithTLS makes views wss, with a certificate for 127.0.0.1. It is for NewDaemon.
func (d *Daemon) WithTLS(certificates *tlsstore.Store) {
	change := d.Change
	d.Change = func(c *shadow.Config) {
		if change != nil {
			change(c)
		}
		c.Certificates = certificates
		c.Settings = func(context.Context) (shadow.Settings, error) {
			return shadow.Settings{EnableSessionShadowing: true, ShadowingUseSSL: true}, nil
		}
	}
}

// freePorts is a pool of loopback ports that nobody else uses now.
func freePorts(t testing.TB) *portpool.Pool {
	first := testenv.Ports(t, 21)
	return &portpool.Pool{Host: "127.0.0.1", First: first, Last: first + 20}
}

// resolver is a Daemon's list of sessions.
type resolver struct{ d *Daemon }

func (r resolver) Sessions(context.Context) ([]*shadow.Session, error) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	var list []*shadow.Session
	for _, s := range r.d.sessions {
		own := *s
		list = append(list, &own)
	}
	return list, nil
}

func (r resolver) Session(ctx context.Context, id string) (*shadow.Session, error) {
	list, err := r.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, &shadow.End{Reason: shadow.NoSession}
}

// A Source shows a small picture whose colour changes at every update.
type Source struct{}

// Check implements shadow.Source.
func (Source) Check(context.Context, *shadow.Session) error { return nil }

// Open implements shadow.Source.
func (Source) Open(context.Context, *shadow.Session) (net.Conn, error) {
	near, far := net.Pipe()
	s := &screen{Conn: near, far: far, ended: make(chan struct{})}
	go s.serve()
	return s, nil
}

// The picture's size in pixels.
const (
	Width  = 160
	Height = 120
)

// A screen is an RFB 3.8 server for one viewer (RFC 6143).
type screen struct {
	net.Conn
	far   net.Conn
	ended chan struct{}
}

// Close ends the server.
func (s *screen) Close() error {
	err := s.Conn.Close()
	<-s.ended
	return err
}

// Ended implements what the engine wants of a source's connection.
func (s *screen) Ended() <-chan struct{} { return s.ended }

// Err is how it ended: well.
func (s *screen) Err() error { return nil }

func (s *screen) serve() {
	defer close(s.ended)
	defer s.far.Close()
	buf := make([]byte, 64)
	read := func(n int) bool { _, err := io.ReadFull(s.far, buf[:n]); return err == nil }
	write := func(p ...byte) bool { _, err := s.far.Write(p); return err == nil }
	greeted := make(chan struct{}) // the client may write its version first, and the pipe holds nothing
	go func() { defer close(greeted); _, _ = s.far.Write([]byte("RFB 003.008\n")) }()
	ok := read(12)
	<-greeted
	if !ok || !write(1, 1) || !read(1) || !write(0, 0, 0, 0) || !read(1) {
		return
	}
	if !write(0, Width, 0, Height, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 4, 't', 'e', 's', 't') {
		return
	}
	for tone := byte(0); read(1); {
		kind := buf[0]
		size := map[byte]int{0: 19, 2: 3, 3: 9, 4: 7, 5: 5}[kind]
		if size == 0 || !read(size) {
			return
		}
		switch kind {
		case 2:
			for range binary.BigEndian.Uint16(buf[1:]) {
				read(4)
			}
		case 3:
			tone += 16
			time.Sleep(20 * time.Millisecond) // a picture's pace, so that a viewer that asks again at once doesn't spin
			if !write(picture(tone)...) {
				return
			}
		}
	}
}

// picture is one Raw rectangle of one colour.
func picture(tone byte) []byte {
	b := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, Width, 0, Height, 0, 0, 0, 0}
	for range Width * Height {
		b = append(b, tone, 128, 255-tone, 0)
	}
	return b
}
