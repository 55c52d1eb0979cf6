package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/testenv"
)

// A name service whose helper can't even be killed holds up no end that somebody asks for.
func TestCallerOfStuckNameService(t *testing.T) {
	release, left := make(chan struct{}), make(chan struct{})
	lookUp = func(context.Context, uint32) (*account.Account, error) {
		defer close(left)
		<-release
		return nil, account.ErrUnknown
	}
	defer func() { close(release); <-left; lookUp = account.LookupID }()
	known := make(chan uint32, 1)
	go func() { known <- peer{conn: &peerConn{uid: 7}}.caller(context.Background()).UID }()
	select {
	case uid := <-known:
		assert.Equal(t, uint32(7), uid)
	case <-time.After(testenv.Patience):
		t.Error("it hangs")
	}
}

// A stop is decided before anybody looks up who asks for it.
func TestStopOfStuckNameService(t *testing.T) {
	release, left := make(chan struct{}), make(chan struct{})
	lookUp = func(context.Context, uint32) (*account.Account, error) {
		defer close(left)
		<-release
		return &account.Account{Name: "director"}, nil
	}
	nameTime = time.Hour
	defer func() { lookUp, nameTime = account.LookupID, time.Second }()
	stopped := make(chan context.Context, 1)
	h := NewHandler(stopNoted{stopping{}, stopped}, Options{})
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, peer{conn: &peerConn{uid: 999, pid: 7}}), http.MethodDelete, "/v1/shadows/x", nil)
	answered := make(chan struct{})
	go func() { defer close(answered); h.ServeHTTP(httptest.NewRecorder(), r) }()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("it waits for a name")
	}
	close(release)
	<-answered
	<-left
}

// stopNoted is an engine that notes what it is told to stop with.
type stopNoted struct {
	stopping
	ctx chan<- context.Context
}

func (s stopNoted) Stop(ctx context.Context, _ string, _ shadow.Reason) error {
	s.ctx <- ctx
	return nil
}

// A request whose account can't be named is answered, and few questions stay unanswered.
func TestAccountOfStuckNameService(t *testing.T) {
	release := make(chan struct{})
	var asked sync.WaitGroup
	var questions atomic.Int32
	lookUp = func(context.Context, uint32) (*account.Account, error) {
		asked.Add(1)
		defer asked.Done()
		questions.Add(1)
		<-release
		return nil, account.ErrUnknown
	}
	defer func() { close(release); asked.Wait(); lookUp = account.LookupID }()
	ctx := context.WithValue(context.Background(), peerKey{}, peer{conn: &peerConn{uid: 7}})
	var all sync.WaitGroup
	for range 2 * maxNaming {
		all.Go(func() {
			_, err := accountOf(ctx)
			assert.ErrorContains(t, err, "the name services")
		})
	}
	answered := make(chan struct{})
	go func() { all.Wait(); close(answered) }()
	select {
	case <-answered:
		assert.LessOrEqual(t, questions.Load(), int32(maxNaming))
	case <-time.After(time.Minute):
		t.Error("it hangs")
	}
}

// A peer that takes no answers has no place for ever, whatever it asks for.
func TestPeerThatTakesNoAnswers(t *testing.T) {
	for _, line := range []string{"GET /healthz", "GET /metrics", "DELETE /v1/shadows/x", "HEAD /healthz"} {
		t.Run(line, func(t *testing.T) {
			h := NewHandler(stopping{}, Options{})
			h.writeTimeout = 20 * time.Millisecond
			ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			require.NoError(t, err)
			srv := &http.Server{Handler: h}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ln) }()
			defer func() { _ = srv.Close(); <-served }()
			c, err := net.Dial("unix", ln.Addr().String())
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Minute)))
			for err == nil {
				_, err = io.WriteString(c, line+" HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		})
	}
}

// stopping is an engine that has every shadow, and stops it.
type stopping struct{ Engine }

func (stopping) Stop(context.Context, string, shadow.Reason) error { return nil }
func (stopping) List() []shadow.Status                             { return nil }

// Root is let in although the process has no descriptor left with which its groups could be read.
func TestRootWithoutDescriptors(t *testing.T) {
	readPeerGroups = func(int) ([]uint32, error) { return nil, unix.EMFILE }
	defer func() { readPeerGroups = peerGroups }()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fds[1])
	f := os.NewFile(uintptr(fds[0]), "socket")
	conn, err := net.FileConn(f)
	require.NoError(t, f.Close())
	require.NoError(t, err)
	defer conn.Close()
	who, refused := (&Listener{group: true, gid: 4711}).look(conn.(*net.UnixConn))
	require.NoError(t, refused)
	assert.EqualValues(t, os.Getuid(), who.Uid)
}
