package shadow_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/sessions"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestYesThenPictureThenLeave(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	assert.Equal(t, "ws", g.Scheme)
	assert.Equal(t, "127.0.0.1", g.Host)
	assert.Equal(t, "ws://127.0.0.1:"+strconv.Itoa(g.Port)+"/websockify?token="+g.Token, g.URL)
	assert.WithinDuration(t, time.Now().Add(30*time.Second), g.Expires, 5*time.Second)
	status, ok := h.Get(g.ID)
	require.True(t, ok)
	assert.Equal(t, shadow.Granted, status.State)

	v := view(t, g.URL)
	v.update()
	h.until(t, shadow.EventConnected)
	status, _ = h.Get(g.ID)
	assert.Equal(t, shadow.Viewing, status.State)
	_, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(g.Port), time.Second)
	require.Error(t, err, "the port still listens although its viewer is there")

	v.hangUp()
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, shadow.ViewerLeft, e.Reason)
	assert.Positive(t, e.Sent)
	_, open := h.source.counts()
	assert.Zero(t, open)
	assert.Zero(t, h.PortsInUse())
}

// What a viewer types, clicks and pastes goes nowhere; what it asks for arrives
// in the relay's own words only.
func TestInputDoesNotReachTheSource(t *testing.T) {
	h := start(t, shadow.Config{})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	h.source.mu.Lock()
	h.source.received = nil
	h.source.mu.Unlock()
	v.send([]byte{4, 1, 0, 0, 0, 0, 0, 'a'})              // KeyEvent
	v.send([]byte{5, 1, 0, 1, 0, 0})                      // PointerEvent
	v.send([]byte{6, 0, 0, 0, 0, 0, 0, 3, 'a', 'b', 'c'}) // ClientCutText
	v.send([]byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1})          // an update, to see that the stream goes on
	v.read(24)
	h.source.mu.Lock()
	assert.Equal(t, []byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1}, h.source.received)
	h.source.mu.Unlock()
	v.hangUp()
	assert.EqualValues(t, 3, h.until(t, shadow.EventEnded).Dropped)
}

// However many ask at once, one is asked about and one gets in.
func TestAdmissionIsAtomic(t *testing.T) {
	release := make(chan struct{})
	h := start(t, shadow.Config{Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
		<-release
		return consent.Granted, nil
	})})
	const n = 20
	results := make(chan error, n)
	for range n {
		go func() { _, err := h.ask("s1", "alice"); results <- err }()
	}
	for range n - 1 {
		var r *shadow.End
		require.ErrorAs(t, <-results, &r)
		require.Equal(t, shadow.PromptBusy, r.Reason)
	}
	close(release)
	require.NoError(t, <-results)
	assert.Len(t, h.List(), 1)
}

func TestTakeOver(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	next := consent.Granted
	h := start(t, shadow.Config{Ports: ports(t, 1), Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Replaces)
		return next, nil
	})})
	a := h.granted(t, "s1", "alice")
	viewA := view(t, a.URL)
	viewA.update()

	// No leaves A alone.
	mu.Lock()
	next = consent.Denied
	mu.Unlock()
	h.refused(t, shadow.Denied)
	viewA.update()

	// Yes ends A and admits B, on A's port since there is no other.
	mu.Lock()
	next = consent.Granted
	mu.Unlock()
	b := h.granted(t, "s1", "bob")
	viewA.closed(4001, "superseded")
	assert.Equal(t, a.Port, b.Port)
	assert.NotEqual(t, a.Token, b.Token)
	viewB := view(t, b.URL)
	viewB.update()
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, a.ID, e.ID)
	assert.Equal(t, shadow.Superseded, e.Reason)
	assert.Equal(t, []string{"", "alice", "alice"}, seen)
	list := h.List()
	require.Len(t, list, 1)
	assert.Equal(t, b.ID, list[0].ID)
}

// The question names whom a Yes would disconnect: somebody who is there, and not the one who asks.
func TestTakeOverNamesWhoIsThere(t *testing.T) {
	questions := make(chan consent.Request, 9)
	h := start(t, shadow.Config{Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		questions <- r
		if r.Admin == "alice" {
			return consent.Granted, nil
		}
		return consent.Denied, nil
	})})
	replaces := func() string {
		r := next(t, questions)
		assert.Equal(t, r.Replaces != "", r.ReplacesUnverified, "this host knows no account at all")
		return r.Replaces
	}
	g := h.granted(t, "s1", "alice")
	assert.Empty(t, replaces(), "nobody had it")
	h.refused(t, shadow.Denied)
	assert.Empty(t, replaces(), "alice is not there yet")
	h.Forgive()
	view(t, g.URL)
	h.until(t, shadow.EventConnected)
	h.refused(t, shadow.Denied)
	assert.Equal(t, "alice", replaces())
	h.granted(t, "s1", "alice")
	assert.Empty(t, replaces(), "it is her own view")
}

// A take-over whose source fails leaves the one who watches alone.
func TestFailedTakeOverLeavesTheWatcher(t *testing.T) {
	src := &flakySource{fakeSource: fakeSource{}}
	h := start(t, shadow.Config{Source: src})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	src.broken = true
	h.refused(t, shadow.SourceFailed)
	v.update()
	assert.Len(t, h.List(), 1)
}

type flakySource struct {
	fakeSource
	broken bool
}

func (f *flakySource) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	if f.broken {
		return nil, errors.New("broken")
	}
	return f.fakeSource.Open(ctx, s)
}

// Whatever ids lead to one screen, it has one prompt and one viewer.
func TestOneViewerPerScreen(t *testing.T) {
	h := start(t, shadow.Config{Sessions: sessions.Static{
		{ID: "s1", Display: ":7", User: "root"}, {ID: "s2", Display: ":7.0", User: "root"},
	}})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	h.granted(t, "s2", "bob")
	v.closed(4001, "superseded")
	assert.Len(t, h.List(), 1)
}

func TestShutdownTakesQuestionsBackAndRefusesNewOnes(t *testing.T) {
	asked := make(chan struct{})
	h := start(t, shadow.Config{Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
		close(asked)
		<-ctx.Done()
		return consent.Granted, nil
	})})
	go func() { <-asked; assert.NoError(t, h.Shutdown(context.Background())) }()
	h.refused(t, shadow.Shutdown)
	h.refused(t, shadow.Shutdown)
}

func TestTwoSessionsAtOnce(t *testing.T) {
	h := start(t, shadow.Config{})
	a, b := h.granted(t, "s1", "alice"), h.granted(t, "s2", "bob")
	viewA, viewB := view(t, a.URL), view(t, b.URL)
	viewA.update()
	viewB.update()
	require.NoError(t, h.Stop(context.Background(), a.ID, shadow.StoppedByAdmin))
	viewB.update()
}

// A shadow is ended for a reason that everybody knows, and whoever ends it doesn't wait for ever.
func TestStop(t *testing.T) {
	asked, reply := make(chan struct{}), make(chan struct{})
	h := start(t, shadow.Config{Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
		close(asked)
		<-reply // whatever its context says
		return consent.Denied, nil
	})})
	defer close(reply)
	go func() { _, _ = h.ask("s1", "alice") }()
	<-asked
	id := h.List()[0].ID
	for _, reason := range []shadow.Reason{"", "boredom"} {
		require.ErrorContains(t, h.Stop(context.Background(), id, reason), "no reason")
	}
	require.Len(t, h.List(), 1, "ended for no reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no patience"))
	require.ErrorContains(t, h.Stop(ctx, id, shadow.StoppedByAdmin), "no patience")
}
