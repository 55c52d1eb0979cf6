package shadow_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/portpool"
)

// patience bounds every wait of these tests.
const patience = testenv.Patience

// fakeSource is an RFB server in memory that counts what is open.
type fakeSource struct {
	check error       // of Check
	mute  atomic.Bool // its servers take requests and answer none

	mu       sync.Mutex
	refused  error // of Open
	opened   int
	open     map[*fakeServer]bool
	received []byte // everything that viewers' messages became
}

type fakeServer struct {
	net.Conn // our end of the pipe
	far      net.Conn
	from     *fakeSource
	ended    chan struct{}
	once     sync.Once
	err      error
}

func (s *fakeSource) Check(context.Context, *shadow.Session) error { return s.check }

// refuse makes Open fail from now on.
func (s *fakeSource) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = err
}

func (s *fakeSource) Open(context.Context, *shadow.Session) (net.Conn, error) {
	s.mu.Lock()
	refused := s.refused
	s.mu.Unlock()
	if refused != nil {
		return nil, refused
	}
	near, far := net.Pipe()
	f := &fakeServer{Conn: near, far: far, from: s, ended: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*fakeServer]bool{}
	}
	s.opened++
	s.open[f] = true
	go f.serve()
	return f, nil
}

// serve speaks just enough RFB 3.8: a 2x1 desktop, one Raw update per request.
func (f *fakeServer) serve() {
	defer f.finish(nil)
	buf := make([]byte, 64)
	read := func(n int) bool { _, err := io.ReadFull(f.far, buf[:n]); return err == nil }
	write := func(p ...byte) bool { _, err := f.far.Write(p); return err == nil }
	greeted := make(chan struct{}) // the client may write its version first, and the pipe holds nothing
	go func() { defer close(greeted); _, _ = f.far.Write([]byte("RFB 003.008\n")) }()
	ok := read(12)
	<-greeted
	if !ok || !write(1, 1) || !read(1) || !write(0, 0, 0, 0) || !read(1) {
		return
	}
	if !write(0, 2, 0, 1, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0, 0, 0, 0, 1, 'x') {
		return
	}
	for read(1) {
		kind := buf[0]
		size := map[byte]int{0: 19, 2: 3, 3: 9}[kind]
		if size == 0 || !read(size) {
			return
		}
		f.note(append([]byte{kind}, buf[:size]...))
		switch kind {
		case 2:
			for range binary.BigEndian.Uint16(buf[1:]) {
				read(4)
			}
		case 3:
			if f.from.mute.Load() {
				continue
			}
			if !write(0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0) {
				return
			}
		}
	}
}

func (f *fakeServer) note(p []byte) {
	f.from.mu.Lock()
	defer f.from.mu.Unlock()
	f.from.received = append(f.from.received, p...)
}

func (f *fakeServer) finish(err error) {
	f.once.Do(func() {
		f.err = err
		f.far.Close()
		f.from.mu.Lock()
		delete(f.from.open, f)
		f.from.mu.Unlock()
		close(f.ended)
	})
}

func (f *fakeServer) Close() error {
	err := f.Conn.Close()
	<-f.ended
	return err
}
func (f *fakeServer) Ended() <-chan struct{} { return f.ended }
func (f *fakeServer) Err() error             { return f.err }

// counts is how many servers were opened, and how many still are.
func (s *fakeSource) counts() (opened, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, len(s.open)
}

// fail ends every open server with err.
func (s *fakeSource) fail(err error) {
	s.mu.Lock()
	var all []*fakeServer
	for f := range s.open {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		f.finish(err)
	}
}

// oneSession resolves "s1" and "s2".
type oneSession struct{ refuse shadow.Session }

func (o oneSession) Session(_ context.Context, id string) (*shadow.Session, error) {
	if id != "s1" && id != "s2" {
		return nil, &shadow.End{Reason: shadow.NoSession}
	}
	s := o.refuse
	s.ID = id
	if s.Display == "" {
		s.User, s.UID, s.Display = "user1", 1001, ":"+id[1:]
	}
	return &s, nil
}

func (o oneSession) Sessions(ctx context.Context) ([]*shadow.Session, error) {
	s, err := o.Session(ctx, "s1")
	return []*shadow.Session{s}, err
}

// host is a Manager on fakes.
type host struct {
	*shadow.Manager
	source *fakeSource
	events <-chan shadow.Event
}

func start(t *testing.T, cfg shadow.Config) *host {
	t.Helper()
	h := &host{source: &fakeSource{}}
	if cfg.Source == nil {
		cfg.Source = h.source
	}
	if cfg.Sessions == nil {
		cfg.Sessions = oneSession{}
	}
	if cfg.Prompter == nil {
		cfg.Prompter = answer(consent.Granted)
	}
	if cfg.Ports == nil {
		cfg.Ports = ports(t, 4)
	}
	cfg.Host = "127.0.0.1"
	m, err := shadow.New(cfg)
	require.NoError(t, err)
	m.GiveLastWords(100 * time.Millisecond)
	h.Manager = m
	h.events = m.Subscribe(t.Context())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		assert.NoError(t, m.Shutdown(ctx))
		_, open := h.source.counts()
		assert.Zero(t, open, "sources left open")
		assert.Zero(t, m.PortsInUse(), "ports left taken")
		assert.Empty(t, m.List())
	})
	return h
}

func answer(d consent.Decision) consent.Prompter {
	return consent.Func(func(context.Context, consent.Request) (consent.Decision, error) { return d, nil })
}

// count is how many events of that type have come since the last look.
func (h *host) count(kind shadow.EventType) (n int) {
	for {
		select {
		case e := <-h.events:
			if e.Type == kind {
				n++
			}
		default:
			return n
		}
	}
}

// ports is a pool of n loopback ports that nobody else uses now.
func ports(t *testing.T, n int) *portpool.Pool {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	first := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	if first+n > 65535 {
		first = 20000
	}
	return &portpool.Pool{Host: "127.0.0.1", First: first, Last: first + n - 1}
}

func (h *host) ask(session, admin string) (*shadow.Grant, error) {
	return h.Shadow(context.Background(), shadow.Request{Session: session, Admin: admin})
}

// granted asks and requires a Yes.
func (h *host) granted(t *testing.T, session, admin string) *shadow.Grant {
	t.Helper()
	g, err := h.ask(session, admin)
	require.NoError(t, err)
	return g
}

// refused asks and requires a refusal for that reason.
func (h *host) refused(t *testing.T, reason shadow.Reason) *shadow.End {
	t.Helper()
	_, err := h.ask("s1", "admin")
	var r *shadow.End
	require.ErrorAs(t, err, &r)
	require.Equal(t, reason, r.Reason, "%v", err)
	return r
}

// until drains events up to the next of that type.
func (h *host) until(t *testing.T, kind shadow.EventType) shadow.Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e, ok := <-h.events:
			require.True(t, ok, "events ended before %s", kind)
			if e.Type == kind {
				return e
			}
		case <-deadline:
			require.FailNow(t, "no event", "%s", kind)
		}
	}
}
