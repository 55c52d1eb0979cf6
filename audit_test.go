package shadow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// An audit is one that a test breaks and mends.
type audit struct {
	mu     sync.Mutex
	err    error
	events []shadow.Event
}

func (a *audit) record(e shadow.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.events = append(a.events, e)
	}
	return a.err
}

func (a *audit) set(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *audit) types() (list []shadow.EventType) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		list = append(list, e.Type)
	}
	return list
}

var errFull = errors.New("no space left on device")

// A request that can't be recorded is refused before anything happens.
func TestNothingHappensUnrecorded(t *testing.T) {
	a := &audit{err: errFull}
	h := start(t, shadow.Config{Audit: a.record, Sessions: brokenResolver{}, Prompter: untouched(t)})
	r := h.refused(t, shadow.AuditFailed)
	assert.Equal(t, "no space left on device", r.Detail)
	assert.ErrorIs(t, r, errFull)
	assert.Empty(t, h.List())
	state := h.Audit()
	assert.Equal(t, 2, state.Waiting)
	assert.Positive(t, state.Failures)
	assert.ErrorIs(t, state.Err, errFull)

	// What happened meanwhile is recorded as soon as that can be.
	a.set(nil)
	require.Eventually(t, func() bool { return h.Audit().Waiting == 0 }, patience, time.Millisecond)
	assert.Equal(t, []shadow.EventType{shadow.EventRequested, shadow.EventRefused}, a.types())
	assert.NoError(t, h.Audit().Err)
}

// A view goes on when the audit fails, and nothing of it is lost.
func TestAuditFailsWhileSomebodyWatches(t *testing.T) {
	a := &audit{}
	h := start(t, shadow.Config{Audit: a.record})
	g := h.granted(t, "s1", "alice")
	a.set(errFull)
	v := view(t, g.URL)
	v.update()
	h.refused(t, shadow.AuditFailed) // somebody else's request
	v.update()
	v.hangUp()
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
	a.set(nil)
	require.Eventually(t, func() bool { return h.Audit().Waiting == 0 }, patience, time.Millisecond)
	assert.Equal(t, []shadow.EventType{
		shadow.EventRequested, shadow.EventPrompted, shadow.EventGranted, shadow.EventConnected,
		shadow.EventRequested, shadow.EventRefused, shadow.EventEnded,
	}, a.types())
}

// An audit that hangs, or panics, is one that fails.
func TestAuditThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m, err := shadow.New(shadow.Config{
			Sessions: oneSession{}, Source: &fakeSource{}, Host: "h", Prompter: untouched(t),
			Audit: func(shadow.Event) error { <-release; return nil },
		})
		require.NoError(t, err)
		_, err = m.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice"})
		var r *shadow.End
		require.ErrorAs(t, err, &r)
		assert.Equal(t, shadow.AuditFailed, r.Reason)
		state := m.Audit()
		assert.ErrorContains(t, state.Err, "has taken no line for 5s")
		assert.EqualValues(t, 1, state.Failures)
		before := time.Now()
		require.NoError(t, m.Shutdown(t.Context()))
		assert.LessOrEqual(t, time.Since(before), 5*time.Second, "the end depends on the audit")
		close(release)
	})
	var once sync.Once
	panics := func() { once.Do(func() { panic("once") }) }
	h := start(t, shadow.Config{Prompter: untouched(t), Audit: func(shadow.Event) (err error) {
		panics()
		return nil
	}})
	_, err := h.ask("s1", "alice")
	assert.ErrorContains(t, err, "panicked")
}

// An audit that ends its goroutine is one that fails: the next line is written.
func TestAuditThatEndsItsGoroutine(t *testing.T) {
	var once sync.Once
	h := start(t, shadow.Config{Audit: func(shadow.Event) error {
		once.Do(runtime.Goexit)
		return nil
	}})
	_, err := h.ask("s1", "alice")
	require.ErrorContains(t, err, "ended its goroutine")
	h.granted(t, "s1", "alice")
}

// A host program may call Shutdown as often as it likes, and at once, while its audit takes nothing.
func TestShutdownTwice(t *testing.T) {
	for name, record := range map[string]func(release <-chan struct{}) error{
		"hangs": func(release <-chan struct{}) error { <-release; return nil },
		"fails": func(<-chan struct{}) error { return errFull },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				var logged log
				m, err := shadow.New(shadow.Config{
					Sessions: oneSession{}, Source: &fakeSource{}, Host: "h", Prompter: untouched(t), Logger: zerolog.New(&logged),
					Audit: func(shadow.Event) error { return record(release) },
				})
				require.NoError(t, err)
				_, err = m.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice"})
				require.ErrorContains(t, err, "audit_failed")
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() { assert.NoError(t, m.Shutdown(t.Context())) })
				}
				all.Wait()
				require.NoError(t, m.Shutdown(t.Context()))
				lost := "a line of the audit was not written"
				assert.Equal(t, 2, strings.Count(logged.String(), lost))
				_, err = m.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice"})
				require.ErrorContains(t, err, "shutdown")
				synctest.Wait()
				assert.Equal(t, 4, strings.Count(logged.String(), lost), "what comes later is in the log, too")
			})
		})
	}
}

// untouched is a prompter that isn't asked.
func untouched(t *testing.T) consent.Prompter {
	return consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
		t.Error("the user was asked")
		return consent.Denied, nil
	})
}

// No spool grows without end.
func TestAuditSpoolIsBounded(t *testing.T) {
	a := &audit{err: errFull}
	h := start(t, shadow.Config{Audit: a.record, Prompter: untouched(t)})
	for range 4096 {
		_, err := h.ask("s1", "alice")
		require.Error(t, err)
	}
	state := h.Audit()
	assert.LessOrEqual(t, state.Waiting, 4096)
	assert.Positive(t, state.Lost)
	a.set(nil)
}

// However many requests are refused while the audit can't be written, what happens to views that go on keeps its
// place, no request is refused in the file that isn't in it, and what is lost is in the log.
func TestRefusalsLeaveRoomForViews(t *testing.T) {
	var logged log
	a := &audit{}
	h := start(t, shadow.Config{Audit: a.record, Logger: zerolog.New(&logged)})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	require.Eventually(t, func() bool { return h.Audit().Waiting == 0 }, patience, time.Millisecond)
	a.set(errFull)
	for range 4096 {
		_, err := h.ask("s1", "bob")
		require.ErrorContains(t, err, string(shadow.AuditFailed))
	}
	v.hangUp()
	require.Eventually(t, func() bool { return len(h.List()) == 0 }, patience, time.Millisecond)
	assert.LessOrEqual(t, h.Audit().Waiting, 4096/2+1)
	assert.Positive(t, h.Audit().Lost)
	a.set(nil)
	require.Eventually(t, func() bool { return h.Audit().Waiting == 0 }, patience, time.Millisecond)
	assert.True(t, slices.Contains(a.types(), shadow.EventEnded), "the end of the view is lost")
	requested, refused := map[string]bool{}, map[string]bool{}
	for _, e := range a.events {
		switch {
		case e.Type == shadow.EventRequested && e.Admin == "bob":
			requested[e.ID] = true
		case e.Type == shadow.EventRefused:
			refused[e.ID] = true
		}
	}
	assert.True(t, maps.Equal(requested, refused), "a request without its refusal, or the other way round")
	lines := strings.Count(logged.String(), "a line of the audit is lost")
	assert.Positive(t, lines)
	assert.Less(t, lines, 1000, "who asks writes as much into the log as he likes")
}

// The audit has the schema of the events, and doesn't depend on what a host
// program does with its logs.
func TestJSONLines(t *testing.T) {
	level := zerolog.GlobalLevel()
	defer zerolog.SetGlobalLevel(level)
	zerolog.SetGlobalLevel(zerolog.Disabled)
	var b bytes.Buffer
	h := start(t, shadow.Config{Audit: shadow.JSONLines(&b)})
	events := h.Subscribe(t.Context())
	g := h.granted(t, "s1", "alice")
	require.NoError(t, h.Stop(context.Background(), g.ID, shadow.StoppedByAdmin))
	require.NoError(t, h.Shutdown(t.Context()))
	lines := strings.SplitAfter(b.String(), "\n")
	for e := range events {
		want, err := json.Marshal(e)
		require.NoError(t, err)
		assert.Equal(t, string(want)+"\n", lines[0])
		lines = lines[1:]
	}
	assert.Equal(t, []string{""}, lines)
}

// A narrow writer has room for so many bytes.
type narrow struct {
	room int
	got  bytes.Buffer
}

func (n *narrow) Write(p []byte) (int, error) {
	k := min(n.room, len(p))
	n.room -= k
	n.got.Write(p[:k])
	if k < len(p) {
		return k, errFull
	}
	return k, nil
}

// A line that was cut off is completed, not written twice.
func TestLineThatTheDiskTakesInPart(t *testing.T) {
	w := &narrow{room: 10}
	write := shadow.JSONLines(w)
	e := shadow.Event{Type: shadow.EventRequested, ID: "i"}
	require.ErrorIs(t, write(e), errFull)
	require.ErrorIs(t, write(e), errFull)
	w.room = 1000
	require.NoError(t, write(e))
	want, err := json.Marshal(e)
	require.NoError(t, err)
	assert.Equal(t, string(want)+"\n", w.got.String())
}
