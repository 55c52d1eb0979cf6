package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/testenv"
)

// peerVariable names a socket: a test binary that has it asks there and prints
// what it was told, so that a test can see what another user gets.
const peerVariable = "SHADOW_CONTROL_TEST_PEER"

// hogVariable is likewise for one that holds as many connections as it gets.
const hogVariable = "SHADOW_CONTROL_TEST_HOG"

func TestMain(m *testing.M) {
	if socket := os.Getenv(peerVariable); socket != "" {
		_, err := api.Client{Socket: socket}.List(context.Background())
		fmt.Println(err)
		os.Exit(0)
	}
	if socket := os.Getenv(hogVariable); socket != "" {
		hold(socket)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// *shadow.Manager is what serves in earnest.
var _ Engine = (*shadow.Manager)(nil)

// patience bounds every wait for something that should happen at once.
const patience = testenv.Patience

// A fakeEngine does what its fields say.
type fakeEngine struct {
	rules    policy.Rules
	shadow   func(context.Context, shadow.Request) (*shadow.Grant, error)
	sessions []*shadow.Session
	err      error // of Sessions

	mu      sync.Mutex
	list    []shadow.Status
	stopped map[string]shadow.Reason
	subs    map[chan shadow.Event]struct{}
}

func (f *fakeEngine) Shadow(ctx context.Context, r shadow.Request) (*shadow.Grant, error) {
	return f.shadow(ctx, r)
}

func (f *fakeEngine) List() []shadow.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list
}

func (f *fakeEngine) Get(id string) (shadow.Status, bool) {
	for _, s := range f.List() {
		if s.ID == id {
			return s, true
		}
	}
	return shadow.Status{}, false
}

func (f *fakeEngine) Stop(_ context.Context, id string, reason shadow.Reason) error {
	if _, ok := f.Get(id); !ok {
		return shadow.ErrNotFound
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped == nil {
		f.stopped = map[string]shadow.Reason{}
	}
	f.stopped[id] = reason
	return nil
}

func (f *fakeEngine) Sessions(context.Context) ([]*shadow.Session, error) { return f.sessions, f.err }

func (f *fakeEngine) Rules() policy.Rules { return f.rules }

func (f *fakeEngine) Judge(_ context.Context, r shadow.Request) (policy.Verdict, error) {
	return f.rules.Decide(policy.Request{Admin: r.Admin, Account: r.Account, Groups: r.Groups, Session: r.Session}), f.err
}

func (f *fakeEngine) Subscribe(ctx context.Context) <-chan shadow.Event {
	sub := make(chan shadow.Event, 16)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs == nil {
		f.subs = map[chan shadow.Event]struct{}{}
	}
	f.subs[sub] = struct{}{}
	context.AfterFunc(ctx, func() { f.drop(sub) })
	return sub
}

func (f *fakeEngine) drop(sub chan shadow.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.subs[sub]; ok {
		delete(f.subs, sub)
		close(sub)
	}
}

// dropAll cuts every subscriber off, as the engine does with one that is too slow.
func (f *fakeEngine) dropAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for sub := range f.subs {
		close(sub)
	}
	f.subs = nil
}

func (f *fakeEngine) send(e shadow.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for sub := range f.subs {
		sub <- e
	}
}

// sendIfRoom doesn't wait for those who have fallen behind.
func (f *fakeEngine) sendIfRoom(e shadow.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for sub := range f.subs {
		select {
		case sub <- e:
		default:
		}
	}
}

func (f *fakeEngine) subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs)
}

// serve runs the API for e on a socket of its own and returns a client and how
// to end it. It has ended, in any case, when the test ends.
func serve(t *testing.T, e Engine, o Options) (api.Client, context.CancelFunc) {
	t.Helper()
	return serveHandler(t, NewHandler(e, o))
}

func serveHandler(t *testing.T, h *Handler) (api.Client, context.CancelFunc) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "control.sock")
	ln, err := Listen(socket, "")
	require.NoError(t, err)
	return api.Client{Socket: socket}, serveOn(t, ln, h)
}

func serveOn(t *testing.T, ln net.Listener, h *Handler) context.CancelFunc {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, h) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, receive(t, served))
	})
	t.Cleanup(stop)
	return stop
}

// receive waits for a value, but not for ever.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("not reached")
	}
}
