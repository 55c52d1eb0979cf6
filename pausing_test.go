package shadow_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// covered expects the picture that is shown during a pause, of the source's two pixels, once or more.
func (v *viewer) covered() {
	v.t.Helper()
	v.expect([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0})
	for range 2 {
		assert.NotContains(v.t, [][]byte{{1, 2, 3}, {4, 5, 6}}, v.read(4)[:3], "a pixel of the session")
	}
}

// The user pauses the viewing: the source is closed, the viewer sees another picture, also when it was cut
// off and has returned, and everybody is told. Then it sees the whole screen, without asking.
func TestPause(t *testing.T) {
	b := &awayBanner{newFakeBanner(), make(chan consent.View, 9)}
	asked := make(chan consent.Request, 9)
	h := start(t, shadow.Config{Banner: b, Pause: true, Reconnect: patience, Prompter: consent.Func(
		func(_ context.Context, r consent.Request) (consent.Decision, error) {
			asked <- r
			if r.Admin != "alice" {
				return consent.TimedOut, nil
			}
			return consent.Granted, nil
		})})
	g := h.granted(t, "s1", "alice")
	next(t, asked)
	v := view(t, g.URL)
	v.update()
	wish := next(t, b.shown).Wish

	wish(consent.Pause)
	v.covered()
	h.until(t, shadow.EventPaused)
	assert.Equal(t, consent.View{State: consent.Paused}, next(t, b.views))
	assert.True(t, h.List()[0].Paused)
	require.Eventually(t, func() bool { _, open := h.source.counts(); return open == 0 }, patience, time.Millisecond, "the screen is still captured")
	v.send([]byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1}) // what has changed
	v.send([]byte{3, 0, 0, 0, 0, 0, 0, 2, 0, 1}) // all of it
	v.covered()

	_, err := h.ask("s1", "bob")
	require.ErrorContains(t, err, "timeout")
	assert.Equal(t, "alice", next(t, asked).Replaces, "who pauses is told who would be disconnected")

	v.hangUp()
	h.until(t, shadow.EventAway)
	assert.Equal(t, consent.Away, next(t, b.views).State)
	v = view(t, g.URL)
	v.covered()
	assert.Equal(t, consent.View{State: consent.Paused}, next(t, b.views))
	h.until(t, shadow.EventReturned)

	wish(consent.Resume)
	v.expect([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0})
	h.until(t, shadow.EventResumed)
	assert.Equal(t, consent.View{}, next(t, b.views))
	assert.False(t, h.List()[0].Paused)
	v.update()

	wish(consent.Pause)
	v.covered()
	h.until(t, shadow.EventPaused)
	b.stop <- struct{}{}
	v.closed(4002, "stopped_by_user")
	assert.Equal(t, shadow.StoppedByUser, h.until(t, shadow.EventEnded).Reason)
}

// A source that can't be opened again, and one that ends by itself, end the viewing.
func TestPauseAndNoSource(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b, Pause: true})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	wish := next(t, b.shown).Wish
	wish(consent.Pause)
	v.covered()
	wish(consent.Resume)
	h.until(t, shadow.EventResumed)
	h.source.fail(context.DeadlineExceeded)
	v.closed(1011, "source_failed")
	h.until(t, shadow.EventEnded)

	v = view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	wish = next(t, b.shown).Wish
	wish(consent.Pause)
	v.covered()
	h.source.refuse(context.DeadlineExceeded)
	wish(consent.Resume)
	v.closed(1011, "source_failed")
	assert.Equal(t, shadow.SourceFailed, h.until(t, shadow.EventEnded).Reason)
}

// A source that holds a pause up ends the viewing: the user isn't left with a wish that nobody fulfils.
func TestPauseWhileTheSourceHangs(t *testing.T) {
	for _, where := range []string{"source.Read", "source.Write"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s := stuckAt(t, where, shadow.Config{Pause: true, Reconnect: patience})
			g := s.granted(t, "s1", "alice")
			v := view(t, g.URL)
			v.update()
			wish := next(t, s.shown).Wish
			s.c.set.Store(true)
			v.send([]byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1})
			require.Eventually(t, s.c.hangs.Load, patience, time.Millisecond)
			wish(consent.Pause)
			soon(t, "the viewer", func() { v.closed(1011, string(shadow.SourceFailed)) })
			soon(t, "the end", func() { assert.Equal(t, shadow.SourceFailed, s.until(t, shadow.EventEnded).Reason) })
			_, there := s.Get(g.ID)
			assert.False(t, there, "it is listed still")
		})
	}
}

// Where pauses are switched off the banner has no button for them.
func TestNoPause(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	view(t, h.granted(t, "s1", "alice").URL)
	assert.Nil(t, next(t, b.shown).Wish)
}

// A source that is opened after a pause for a viewer that was lost meanwhile is nobody's: it is closed,
// and the viewer that returns has its own.
func TestLostWhileTheSourceOpens(t *testing.T) {
	b := newFakeBanner()
	c := &clamp{where: "source.Open", release: make(chan struct{})}
	free := sync.OnceFunc(func() { close(c.release) })
	defer free()
	source := &fakeSource{}
	h := start(t, shadow.Config{Banner: b, Pause: true, Reconnect: patience, Source: stuckSource{source, c}})
	h.TidyFor(50 * time.Millisecond)
	g := h.granted(t, "s1", "alice")
	v := view(t, g.URL)
	v.update()
	wish := next(t, b.shown).Wish
	wish(consent.Pause)
	v.covered()
	h.until(t, shadow.EventPaused)
	c.set.Store(true)
	wish(consent.Resume)
	time.Sleep(100 * time.Millisecond)
	v.hangUp()
	h.until(t, shadow.EventAway)
	c.set.Store(false)
	free()
	require.Eventually(t, func() bool { opened, open := source.counts(); return opened == 2 && open == 0 }, patience, time.Millisecond)
	v = view(t, g.URL)
	v.update()
	h.until(t, shadow.EventResumed) // and the user is told so
	assert.False(t, h.List()[0].Paused)
	wish(consent.Pause)
	v.covered()
	h.until(t, shadow.EventPaused)
	require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
	_, open := source.counts()
	assert.Zero(t, open)
}

// Whoever pauses and goes on all the time, each time with a new source and two lines in the audit, waits
// before it goes on. A pause begins at once, and an end waits for nothing.
func TestPausesTooOften(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b, Pause: true})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	wish := next(t, b.shown).Wish
	for range 10 {
		wish(consent.Pause)
		h.until(t, shadow.EventPaused)
		wish(consent.Resume)
		h.until(t, shadow.EventResumed)
	}
	wish(consent.Pause)
	h.until(t, shadow.EventPaused)
	wish(consent.Resume)
	time.Sleep(300 * time.Millisecond)
	assert.True(t, h.List()[0].Paused)
	opened, _ := h.source.counts()
	assert.Equal(t, 11, opened)
	b.stop <- struct{}{}
	assert.Equal(t, shadow.StoppedByUser, h.until(t, shadow.EventEnded).Reason)
}
