package shadow_test

//lint:file-ignore SA1019 The library that the project names; its successor is a change of import path.

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// awayBanner is a banner that tells what it is to say.
type awayBanner struct {
	*fakeBanner
	views chan consent.View
}

func (b *awayBanner) Show(ctx context.Context, r consent.Request, s *consent.Showing) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case v := <-r.Changes:
				b.views <- v
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { cancel(); <-done }()
	return b.fakeBanner.Show(ctx, r, s)
}

// returning is a host whose viewers may return for so long.
func returning(t *testing.T, d time.Duration) (*host, *awayBanner) {
	b := &awayBanner{newFakeBanner(), make(chan consent.View, 9)}
	return start(t, shadow.Config{Banner: b, Reconnect: d}), b
}

// A viewer whose connection was lost comes back with its token, without a question, to a fresh source.
func TestViewerReturns(t *testing.T) {
	h, b := returning(t, patience)
	g := h.granted(t, "s1", "alice")
	v := view(t, g.URL)
	v.update()
	next(t, b.shown)
	for range 2 {
		v.hangUp()
		e := h.until(t, shadow.EventAway)
		assert.WithinDuration(t, time.Now().Add(patience), e.Until, patience/2)
		away := next(t, b.views)
		assert.Equal(t, consent.Away, away.State)
		assert.Equal(t, e.Until.UnixMilli(), away.Until.UnixMilli())
		assert.Equal(t, shadow.Away, h.List()[0].State)
		require.Eventually(t, func() bool { _, open := h.source.counts(); return open == 0 }, patience, time.Millisecond, "nobody is there, and the screen is captured")

		v = view(t, g.URL)
		v.update()
		h.until(t, shadow.EventReturned)
		assert.Equal(t, consent.View{}, next(t, b.views))
		assert.Equal(t, shadow.Viewing, h.List()[0].State)
		_, err := dial(t, g.URL, nil)
		require.Error(t, err, "a second bearer got in")
	}
	assert.Empty(t, b.shown, "there is but one banner")
	require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
	v.closed(1000, "stopped_by_admin")
	e := h.until(t, shadow.EventEnded)
	assert.Positive(t, e.Sent)
	opened, _ := h.source.counts()
	assert.Equal(t, 3, opened)
}

// Which ends of a connection are losses, and which the viewer's own doing.
func TestWhoMayReturn(t *testing.T) {
	for name, c := range map[string]struct {
		leave   func(v *viewer)
		returns bool
	}{
		"lost":                {func(v *viewer) { v.hangUp() }, true},
		"the page is left":    {func(v *viewer) { _ = v.ws.Close(websocket.StatusGoingAway, "") }, true},
		"closed":              {func(v *viewer) { _ = v.ws.Close(websocket.StatusNormalClosure, "") }, false},
		"noVNC's disconnect":  {func(v *viewer) { _ = v.ws.Close(websocket.StatusNoStatusRcvd, "") }, false},
		"broke the rules":     {func(v *viewer) { v.text("x") }, false},
		"broke the protocol":  {func(v *viewer) { v.send([]byte{99}) }, false},
		"our page, reloaded":  {func(v *viewer) { _ = v.ws.Close(4000, "reload") }, true},
		"some other farewell": {func(v *viewer) { _ = v.ws.Close(4010, "") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, b := returning(t, patience)
			v := view(t, h.granted(t, "s1", "alice").URL)
			next(t, b.shown)
			go c.leave(v)
			if c.returns {
				h.until(t, shadow.EventAway)
				return
			}
			e := h.until(t, shadow.EventEnded)
			assert.Contains(t, []shadow.Reason{shadow.ViewerLeft, shadow.ViewerViolation}, e.Reason)
			assert.Empty(t, b.views)
		})
	}
}

func TestViewerDoesNotReturn(t *testing.T) {
	h, b := returning(t, 50*time.Millisecond)
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.hangUp()
	h.until(t, shadow.EventAway)
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, shadow.ViewerLeft, e.Reason)
	assert.Contains(t, e.Detail, "did not return")
	assert.NotEmpty(t, e.Viewer)
	assert.Equal(t, "viewer_left", next(t, b.said))
	assert.Zero(t, h.PortsInUse())
}

// With no time to return a lost viewer ends the shadow, as it always did.
func TestNobodyReturns(t *testing.T) {
	h, b := returning(t, 0)
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.hangUp()
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
	assert.Empty(t, b.views)
}

// While the viewer is away its token is worth nothing from another address, and no other token is.
func TestThiefWhileAway(t *testing.T) {
	h, _ := returning(t, patience)
	g := h.granted(t, "s1", "alice")
	v := view(t, g.URL)
	v.hangUp()
	h.until(t, shadow.EventAway)
	u, err := url.Parse(g.URL)
	require.NoError(t, err)
	thief := viewFrom(t, "127.0.0.2", g.URL)
	thief.turnedAway(1008, "token used")
	assert.Contains(t, h.until(t, shadow.EventRejected).Viewer, "127.0.0.2")
	viewFrom(t, "127.0.0.1", "ws://"+u.Host+"/websockify?token=wrong").turnedAway(1008, "token wrong")
	assert.Equal(t, shadow.Away, h.List()[0].State)
	back := view(t, g.URL)
	back.update()
}

// A view of a fleet's may come back through another gate, and so from another address. Nobody but gates has its token,
// and nothing else lets anybody in.
func TestFleetsViewReturnsFromElsewhere(t *testing.T) {
	h, _ := returning(t, patience)
	ctx := shadow.WithCaller(t.Context(), shadow.Caller{Gate: "gate1"})
	g, err := h.Shadow(ctx, shadow.Request{Session: "s1", Admin: "alice"})
	require.NoError(t, err)
	view(t, g.URL).hangUp()
	h.until(t, shadow.EventAway)
	u, err := url.Parse(g.URL)
	require.NoError(t, err)
	for _, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		viewFrom(t, ip, "ws://"+u.Host+"/websockify?token=wrong").turnedAway(1008, "token wrong")
	}
	assert.Equal(t, shadow.Away, h.List()[0].State)
	viewFrom(t, "127.0.0.2", g.URL).expect([]byte("RFB 003.008\n"))
}

// viewFrom connects from an address of this host's.
func viewFrom(t *testing.T, ip, url string) *viewer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	transport := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	v := &viewer{t: t, ws: ws, conn: websocket.NetConn(t.Context(), ws, websocket.MessageBinary)}
	t.Cleanup(v.hangUp)
	return v
}

// A viewer that brought no token can't show that it is the one that was there: anybody at its address could
// say so. It doesn't return.
func TestNobodyReturnsWithoutAToken(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"asked here":     context.Background(),
		"asked by gates": shadow.WithCaller(context.Background(), shadow.Caller{Gate: "gate1"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, shadow.Config{TokenOptional: true, Reconnect: patience})
			granted := func() *shadow.Grant {
				g, err := h.Shadow(ctx, shadow.Request{Session: "s1", Admin: "alice"})
				require.NoError(t, err)
				return g
			}
			g := granted()
			address := strings.Split(g.URL, "?")[0]
			view(t, address).hangUp()
			assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
			_, err := dial(t, address, nil)
			require.Error(t, err, "somebody else is let in")

			g = granted()
			view(t, g.URL).hangUp() // with its token
			h.until(t, shadow.EventAway)
			address = strings.Split(g.URL, "?")[0]
			thief, err := dial(t, address, nil)
			require.NoError(t, err)
			thief.turnedAway(1008, "token missing")
			view(t, g.URL).update()
		})
	}
}

// Stop counts while the viewer is away, and so does what ends a view otherwise.
func TestEndsWhileAway(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(h *host, b *awayBanner, id string)
		want shadow.Reason
	}{
		"Stop":      {func(_ *host, b *awayBanner, _ string) { b.stop <- struct{}{} }, shadow.StoppedByUser},
		"admin":     {func(h *host, _ *awayBanner, id string) { _ = h.Stop(context.Background(), id, shadow.StoppedByAdmin) }, shadow.StoppedByAdmin},
		"shutdown":  {func(h *host, _ *awayBanner, _ string) { _ = h.Shutdown(context.Background()) }, shadow.Shutdown},
		"no banner": {func(_ *host, b *awayBanner, _ string) { b.failed <- io.EOF }, shadow.PromptFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, b := returning(t, patience)
			g := h.granted(t, "s1", "alice")
			v := view(t, g.URL)
			next(t, b.shown)
			v.hangUp()
			h.until(t, shadow.EventAway)
			c.end(h, b, g.ID)
			assert.Equal(t, c.want, h.until(t, shadow.EventEnded).Reason)
			_, err := dial(t, g.URL, nil)
			require.Error(t, err)
		})
	}
}

// B asks while A is away: the user is told of A. A refusal leaves A's return open, a Yes ends it.
func TestRequestWhileAway(t *testing.T) {
	says := consent.Granted
	asked := make(chan consent.Request, 9)
	h := start(t, shadow.Config{Reconnect: patience, Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		asked <- r
		return says, nil
	})})
	g := h.granted(t, "s1", "alice")
	next(t, asked)
	v := view(t, g.URL)
	v.hangUp()
	h.until(t, shadow.EventAway)
	says = consent.TimedOut
	_, err := h.ask("s1", "bob")
	require.ErrorContains(t, err, "timeout")
	assert.Equal(t, "alice", next(t, asked).Replaces)
	v = view(t, g.URL)
	v.update()
	v.hangUp()
	h.until(t, shadow.EventAway)
	says = consent.Granted
	second := h.granted(t, "s1", "bob")
	assert.Equal(t, shadow.Superseded, h.until(t, shadow.EventEnded).Reason)
	_, err = dial(t, g.URL, nil)
	require.Error(t, err)
	view(t, second.URL).update()
}

// A source that can't be opened for the returned viewer ends the shadow.
func TestReturnToNoSource(t *testing.T) {
	h, _ := returning(t, patience)
	g := h.granted(t, "s1", "alice")
	v := view(t, g.URL)
	v.hangUp()
	h.until(t, shadow.EventAway)
	h.source.refuse(io.ErrUnexpectedEOF)
	v, err := dial(t, g.URL, nil)
	require.NoError(t, err)
	v.closed(1011, "source_failed")
	assert.Equal(t, shadow.SourceFailed, h.until(t, shadow.EventEnded).Reason)
}

// A viewer that comes and goes all the time, each time with a new source and two lines in the audit, is
// sent away.
func TestReturnsTooOften(t *testing.T) {
	h := start(t, shadow.Config{Reconnect: patience})
	g := h.granted(t, "s1", "alice")
	for range 10 {
		view(t, g.URL).hangUp()
		h.until(t, shadow.EventAway)
	}
	view(t, g.URL).hangUp()
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, shadow.ViewerLeft, e.Reason)
	assert.Contains(t, e.Detail, "too often")
}
