// Package testfleet runs a fleet for tests: a real NATS server in this process, and hosts whose engines are
// real.
//
//	f := testfleet.New(t)
//	h := f.Host("vda1", daemon.Manager)
//	d := fleethosts.New(f.Conn("gate1"), fleethosts.Options{Fleet: f.Keys.Fleet()})
package testfleet

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/host"
	"vda.internal/shadow/internal/fleet/registry"
	"vda.internal/shadow/internal/testenv"
)

// Patience bounds every wait for something that should happen soon.
const Patience = testenv.Patience

// A Fleet is a bus, and who has enrolled.
type Fleet struct {
	Keys     *bus.Keys
	Server   *bus.Server
	Registry *registry.Registry
	Gate     *httptest.Server // where hosts enrol

	t   testing.TB
	dir string
}

// New starts a fleet. It ends with the test.
func New(t testing.TB) *Fleet {
	t.Helper()
	f := &Fleet{t: t, dir: t.TempDir()}
	var err error
	f.Keys, err = bus.OpenKeys(filepath.Join(f.dir, "keys"), true)
	require.NoError(t, err)
	f.Server, err = bus.Start(bus.Options{Name: "gate1", Keys: f.Keys, Dir: f.dir, Logger: Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { f.Server.Close() })
	conn := f.Conn("registry")
	require.NoError(t, conn.Prepare(t.Context(), bus.Size{}))
	_, err = conn.Relay(t.Context(), func(string, string) {})
	require.NoError(t, err)
	f.Registry = &registry.Registry{Conn: conn, Keys: f.Keys, Servers: []string{f.Server.URL()}}
	f.Gate = httptest.NewServer(f.Registry.Handler(Logger(t)))
	t.Cleanup(f.Gate.Close)
	return f
}

// Logger shows a test what would be logged.
func Logger(t testing.TB) zerolog.Logger {
	return zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.Disabled)
}

// Conn is a gate's connection. It ends with the test.
func (f *Fleet) Conn(name string) *bus.Conn {
	f.t.Helper()
	c, err := f.Keys.Connect(context.Background(), name, bus.Target{Server: f.Server})
	require.NoError(f.t, err)
	f.t.Cleanup(c.Close)
	return c
}

// Enroll takes a host in, as shadowctl does.
func (f *Fleet) Enroll(id string) *enrol.Credentials {
	f.t.Helper()
	code, err := f.Registry.Invite(f.t.Context(), registry.Invitation{Hosts: id, For: time.Hour})
	require.NoError(f.t, err)
	c, err := enrol.Enroll(f.t.Context(), f.Gate.URL, code.String(), enrol.Host{ID: id})
	require.NoError(f.t, err)
	return c
}

// Revoke shows a host out.
func (f *Fleet) Revoke(id string) {
	f.t.Helper()
	_, err := f.Registry.Revoke(context.Background(), id)
	require.NoError(f.t, err)
}

// A Host runs until it is stopped, or the test ends.
type Host struct {
	*host.Host
	Spool *Spool
	stop  func()
}

// Host enrols a host and runs it.
func (f *Fleet) Host(id string, engine host.Engine) *Host {
	f.t.Helper()
	return f.Run(f.Enroll(id), engine, NewSpool())
}

// Run runs a host that has enrolled, as the functions have changed it.
func (f *Fleet) Run(c *enrol.Credentials, engine host.Engine, spool *Spool, change ...func(*host.Config)) *Host {
	f.t.Helper()
	config := host.Config{Engine: engine, Credentials: c, Version: "test", Terms: &api.Terms{Timeout: 20, Prompter: "x11"}, Spool: spool, Logger: Logger(f.t)}
	for _, do := range change {
		do(&config)
	}
	h, err := host.New(config)
	require.NoError(f.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	one := &Host{Host: h, Spool: spool}
	one.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(f.t, <-ended)
	})
	f.t.Cleanup(one.Stop)
	return one
}

// Stop ends it. It may be called twice.
func (h *Host) Stop() { h.stop() }

// A Spool is one in memory.
type Spool struct {
	mu    sync.Mutex
	lines []line
	more  chan struct{}
}

type line struct {
	id   string
	data []byte
}

// NewSpool returns an empty one.
func NewSpool() *Spool { return &Spool{more: make(chan struct{}, 1)} }

// Add puts a line in, as JSON.
func (s *Spool) Add(id string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Append(id, data)
}

// Append puts a line in.
func (s *Spool) Append(id string, data []byte) error {
	s.mu.Lock()
	s.lines = append(s.lines, line{id, data})
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

// Peek implements [host.Spool].
func (s *Spool) Peek(ctx context.Context) (string, []byte, error) {
	for {
		s.mu.Lock()
		if len(s.lines) > 0 {
			defer s.mu.Unlock()
			return s.lines[0].id, s.lines[0].data, nil
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-ctx.Done():
			return "", nil, context.Cause(ctx)
		}
	}
}

// Ack implements [host.Spool].
func (s *Spool) Ack(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) > 0 && s.lines[0].id == id {
		s.lines = s.lines[1:]
	}
	return nil
}

// Waiting is how many lines there are.
func (s *Spool) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// Hostile is a connection to the bus that may do everything there, as its servers may: it has a JWT of the
// fleet, but no gate's and no host's key. It ends with the test.
func (f *Fleet) Hostile() *nats.Conn {
	f.t.Helper()
	seed, err := os.ReadFile(filepath.Join(f.dir, "keys", "fleet.nk"))
	require.NoError(f.t, err)
	account, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	require.NoError(f.t, err)
	key, err := nkeys.CreateUser()
	require.NoError(f.t, err)
	public, err := key.PublicKey()
	require.NoError(f.t, err)
	token, err := jwt.NewUserClaims(public).Encode(account)
	require.NoError(f.t, err)
	return f.connect(key, token, nats.CustomInboxPrefix("_INBOX_hostile"))
}

// As is a connection with a host's credentials, for whatever their thief likes to do. The channel has what
// the server refuses.
func (f *Fleet) As(c *enrol.Credentials) (*nats.Conn, <-chan error) {
	f.t.Helper()
	key, err := nkeys.FromSeed([]byte(c.Seed))
	require.NoError(f.t, err)
	refused := make(chan error, 64)
	return f.connect(key, c.JWT, nats.CustomInboxPrefix(fleet.HostInbox(c.ID)), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	})), refused
}

func (f *Fleet) connect(key nkeys.KeyPair, token string, more ...nats.Option) *nats.Conn {
	f.t.Helper()
	nc, err := nats.Connect(f.Server.URL(), append([]nats.Option{nats.UserJWT(func() (string, error) { return token, nil }, key.Sign)}, more...)...)
	require.NoError(f.t, err)
	f.t.Cleanup(nc.Close)
	return nc
}
