package shadow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
		var r *shadow.Refusal
		require.ErrorAs(t, err, &r)
		assert.Equal(t, shadow.AuditFailed, r.Reason)
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
