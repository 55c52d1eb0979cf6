package shadow_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// fakeBanner says what it is told, until it fails or is stopped as it is told.
type fakeBanner struct {
	shown  chan consent.Request
	said   chan string   // the words at the end; empty: none
	gone   chan string   // whose words have gone
	stop   chan struct{} // the user presses Stop
	failed chan error
	done   chan struct{} // the words have been there for long enough
}

func newFakeBanner() *fakeBanner {
	return &fakeBanner{make(chan consent.Request, 9), make(chan string, 9), make(chan string, 9), make(chan struct{}), make(chan error, 1), make(chan struct{})}
}

func (b *fakeBanner) Show(ctx context.Context, r consent.Request, s *consent.Showing) (err error) {
	b.shown <- r
	select {
	case why := <-s.Why():
		b.said <- why
	case <-b.stop:
		s.Stop()
		b.said <- <-s.Why()
		err = consent.ErrStopped
	case err := <-b.failed:
		return err
	case <-ctx.Done():
		b.said <- "taken down"
		return context.Cause(ctx)
	}
	select { // the words stay until they are taken down
	case <-s.Closing():
		time.Sleep(20 * time.Millisecond) // as a window takes a moment to go
		b.gone <- r.Admin
	case <-b.done:
	case <-ctx.Done():
		b.gone <- r.Admin
	}
	return err
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func TestBannerFollowsTheViewer(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	g := h.granted(t, "s1", "alice")
	assert.Empty(t, b.shown, "nobody is viewing yet")
	v := view(t, g.URL)
	r := next(t, b.shown)
	assert.Equal(t, "alice", r.Admin)
	assert.Equal(t, ":1", r.Display)
	assert.Equal(t, "user1", r.User)
	v.hangUp()
	assert.Equal(t, "viewer_left", next(t, b.said))
}

func TestBannerOfATakeOver(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	view(t, h.granted(t, "s1", "alice").URL)
	assert.Equal(t, "alice", next(t, b.shown).Admin)
	g := h.granted(t, "s1", "bob")
	assert.Equal(t, "superseded", next(t, b.said))
	assert.Empty(t, b.gone, "there is no other banner yet")
	view(t, g.URL)
	assert.Equal(t, "bob", next(t, b.shown).Admin)
	assert.Equal(t, "alice", next(t, b.gone))
	require.NoError(t, h.Stop(context.Background(), g.ID, shadow.StoppedByAdmin))
	assert.Equal(t, "stopped_by_admin", next(t, b.said))
}

// The user is told that one view has ended even if the next one never begins. The words go when
// another banner comes, before it is there: together they would contradict each other.
func TestBannersOneAfterTheOther(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	view(t, h.granted(t, "s1", "alice").URL)
	next(t, b.shown)
	g := h.granted(t, "s1", "bob")
	assert.Equal(t, "superseded", next(t, b.said))
	require.NoError(t, h.Stop(context.Background(), g.ID, shadow.ViewerAbsent))
	assert.Empty(t, b.gone)

	v := view(t, h.granted(t, "s1", "carol").URL)
	assert.Equal(t, "carol", next(t, b.shown).Admin)
	require.Len(t, b.gone, 1, "two banners at once")
	assert.Equal(t, "alice", next(t, b.gone), "bob had no banner")
	v.hangUp()
	assert.Equal(t, "viewer_left", next(t, b.said))
	view(t, h.granted(t, "s2", "dave").URL)
	assert.Equal(t, "dave", next(t, b.shown).Admin)
	assert.Empty(t, b.gone, "it is on another screen")

	view(t, h.granted(t, "s1", "carol").URL)
	assert.Equal(t, "carol", next(t, b.shown).Admin)
	require.Len(t, b.gone, 1, "two banners at once")
	next(t, b.gone)
}

// A banner that fails is followed by one that says no more than that viewing has ended.
func TestBannerFailsAndTheUserIsTold(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	v := view(t, h.granted(t, "s1", "alice").URL)
	next(t, b.shown)
	b.failed <- errors.New("out of ink")
	v.closed(1011, "prompt_failed")
	assert.Equal(t, "alice", next(t, b.shown).Admin)
	assert.Equal(t, "prompt_failed", next(t, b.said))
}

// A viewer that ignores the closing handshake has two seconds for it. The user is told of the
// end before that, by the banner or, if that is what failed, by the next one.
func TestBannerDoesNotWaitForTheViewer(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(h *host, b *fakeBanner, id string)
		says string
	}{
		"stopped":       {func(h *host, _ *fakeBanner, id string) { _ = h.Stop(context.Background(), id, shadow.StoppedByAdmin) }, "stopped_by_admin"},
		"source failed": {func(h *host, _ *fakeBanner, _ string) { h.source.fail(errors.New("out of colours")) }, "source_failed"},
		"banner failed": {func(_ *host, b *fakeBanner, _ string) { b.failed <- errors.New("out of ink") }, "prompt_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBanner()
			h := start(t, shadow.Config{Banner: b})
			g := h.granted(t, "s1", "alice")
			view(t, g.URL) // reads nothing more, and so no Close
			next(t, b.shown)
			ended := make(chan struct{})
			go func() { defer close(ended); c.end(h, b, g.ID) }()
			assert.Equal(t, c.says, next(t, b.said))
			assert.Len(t, h.List(), 1, "the words came after the viewer's connection had ended")
			next(t, ended)
		})
	}
}

// A banner that goes, and doesn't say why, leaves nobody viewed: the user could not know.
func TestBannerThatGoesEndsTheView(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	v := view(t, h.granted(t, "s1", "alice").URL)
	next(t, b.shown)
	b.failed <- nil
	v.closed(1011, "prompt_failed")
	assert.Equal(t, shadow.PromptFailed, h.until(t, shadow.EventEnded).Reason)
	next(t, b.shown)
	assert.Equal(t, "prompt_failed", next(t, b.said))
}

// A banner that fails over its last words has had them: another one would say that somebody is
// viewing.
func TestBannerFailsOverItsWords(t *testing.T) {
	shown := make(chan string, 9)
	h := start(t, shadow.Config{Banner: bannerFunc(func(ctx context.Context, r consent.Request, s *consent.Showing) error {
		shown <- r.Admin
		select {
		case why := <-s.Why():
			return errors.New("out of ink for " + why)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})})
	v := view(t, h.granted(t, "s1", "alice").URL)
	next(t, shown)
	v.hangUp()
	h.until(t, shadow.EventEnded)
	require.NoError(t, h.Shutdown(t.Context())) // joins the banners
	assert.Empty(t, shown)
}

// A banner that never goes holds up the next one for a moment, and not for ever.
func TestBannerThatStaysMakesRoom(t *testing.T) {
	shown := make(chan string, 9)
	h := start(t, shadow.Config{Banner: bannerFunc(func(ctx context.Context, r consent.Request, _ *consent.Showing) error {
		shown <- r.Admin
		<-ctx.Done() // whatever else is to end it
		return context.Cause(ctx)
	})})
	view(t, h.granted(t, "s1", "alice").URL)
	assert.Equal(t, "alice", next(t, shown))
	view(t, h.granted(t, "s1", "bob").URL)
	assert.Equal(t, "bob", next(t, shown))
}

// A bannerFunc is a function as a banner.
type bannerFunc func(ctx context.Context, r consent.Request, s *consent.Showing) error

func (f bannerFunc) Show(ctx context.Context, r consent.Request, s *consent.Showing) error {
	return f(ctx, r, s)
}

// Stop ends the view at once, while the user is still told so.
func TestBannerStopIsHeardAtOnce(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	v := view(t, h.granted(t, "s1", "alice").URL)
	next(t, b.shown)
	b.stop <- struct{}{}
	v.closed(4002, "stopped_by_user")
	assert.Equal(t, shadow.StoppedByUser, h.until(t, shadow.EventEnded).Reason)
	assert.Equal(t, "stopped_by_user", next(t, b.said))
	assert.Empty(t, h.List(), "the words hold up nothing")
	h.granted(t, "s1", "bob")
	assert.Empty(t, b.gone)
}

func TestBannerWithoutAViewer(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b, ConnectTimeout: 10 * time.Millisecond})
	h.granted(t, "s1", "alice")
	h.until(t, shadow.EventEnded)
	assert.Empty(t, b.shown)
}

// Shutdown waits for what banners have to say to their users, which they do by themselves,
func TestShutdownIsSaid(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	h.GiveLastWords(patience)
	v := view(t, h.granted(t, "s1", "alice").URL)
	next(t, b.shown)
	shut := make(chan error, 1)
	go func() { shut <- h.Shutdown(t.Context()) }()
	v.closed(1001, "shutdown")
	assert.Equal(t, "shutdown", next(t, b.said))
	for range h.events { // to their end, which waits for no words
	}
	assert.Empty(t, shut)
	close(b.done)
	assert.NoError(t, next(t, shut))
}

// but not for ever, and not longer than its context.
func TestShutdownIsSaidInShort(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b})
	view(t, h.granted(t, "s1", "alice").URL)
	next(t, b.shown)
	assert.NoError(t, h.Shutdown(t.Context()))
	assert.Equal(t, "shutdown", next(t, b.said))
	assert.Equal(t, "alice", next(t, b.gone))

	h = start(t, shadow.Config{Banner: b})
	h.GiveLastWords(patience)
	v := view(t, h.granted(t, "s1", "alice").URL)
	next(t, b.shown)
	ctx, cancel := context.WithCancel(t.Context())
	shut := make(chan error, 1)
	go func() { shut <- h.Shutdown(ctx) }()
	v.closed(1001, "shutdown")
	assert.Equal(t, "shutdown", next(t, b.said))
	cancel()
	assert.ErrorIs(t, next(t, shut), context.Canceled)
	assert.Equal(t, "alice", next(t, b.gone))
}

// What the banner comes to ends the view.
func TestBannerEndsTheView(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   int
		reason shadow.Reason
	}{
		{consent.ErrStopped, 4002, shadow.StoppedByUser},
		{consent.ErrGone, 1001, shadow.SessionEnded},
		{consent.ErrDisplay, 1011, shadow.DisplayUnreachable},
		{errors.New("out of ink"), 1011, shadow.PromptFailed},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			b := newFakeBanner()
			h := start(t, shadow.Config{Banner: b})
			v := view(t, h.granted(t, "s1", "alice").URL)
			next(t, b.shown)
			b.failed <- c.err
			v.closed(c.code, string(c.reason))
			assert.Equal(t, c.reason, h.until(t, shadow.EventEnded).Reason)
		})
	}
}

func TestNoBannerIsLogged(t *testing.T) {
	var log bytes.Buffer
	h := start(t, shadow.Config{Logger: zerolog.New(zerolog.SyncWriter(&log))})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.hangUp()
	h.until(t, shadow.EventEnded)
	assert.Regexp(t, `"level":"warn".*without a banner`, log.String())
	assert.Contains(t, log.String(), `"admin":"alice"`)
}

// The banner has words for every reason for which a shadow ends.
func TestBannerKnowsTheReasons(t *testing.T) {
	for _, r := range []shadow.Reason{
		shadow.Disabled, shadow.PromptFailed, shadow.DisplayUnreachable, shadow.SourceFailed, shadow.Superseded, shadow.SessionEnded,
		shadow.ViewerAbsent, shadow.ViewerLeft, shadow.ViewerViolation, shadow.StoppedByUser, shadow.StoppedByAdmin, shadow.Shutdown,
	} {
		assert.NoError(t, consent.Texts{Reasons: map[string]string{string(r): "because"}}.Validate(), r)
	}
}
