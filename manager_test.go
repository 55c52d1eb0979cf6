package shadow_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/portpool"
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

func TestAnswersThatRefuse(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name     string
		decision consent.Decision
		err      error
		want     shadow.Reason
	}{
		{"no", consent.Denied, nil, shadow.Denied},
		{"zero decision", 0, nil, shadow.Denied},
		{"timeout", consent.TimedOut, nil, shadow.TimedOut},
		{"closed", consent.Closed, nil, shadow.Closed},
		{"locked", consent.Locked, nil, shadow.Locked},
		{"unknown decision", 77, nil, shadow.Denied},
		{"error beats yes", consent.Granted, boom, shadow.PromptFailed},
		{"display", consent.Granted, consent.ErrDisplay, shadow.DisplayUnreachable},
		{"display gone", consent.Granted, consent.ErrGone, shadow.SessionEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, shadow.Config{Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
				return c.decision, c.err
			})})
			h.refused(t, c.want)
			e := h.until(t, shadow.EventRefused)
			assert.Equal(t, c.want, e.Reason)
			opened, _ := h.source.counts()
			assert.Zero(t, opened, "a source was started without a Yes")
			assert.Zero(t, h.PortsInUse(), "a port was opened without a Yes")
		})
	}
}

// The daemon's timer decides: a prompter that says Yes after its time, or not
// at all, is a timeout.
func TestLateYesIsATimeout(t *testing.T) {
	h := start(t, shadow.Config{PromptTimeout: 20 * time.Millisecond, Prompter: consent.Func(
		func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			<-ctx.Done()
			return consent.Granted, nil
		})})
	h.refused(t, shadow.TimedOut)
}

func TestRefusedBeforeAnybodyIsAsked(t *testing.T) {
	settings := func(s shadow.Settings, err error) func(context.Context) (shadow.Settings, error) {
		return func(context.Context) (shadow.Settings, error) { return s, err }
	}
	on := shadow.Settings{EnableSessionShadowing: true}
	for _, c := range []struct {
		name string
		cfg  shadow.Config
		want shadow.Reason
	}{
		{"switched off", shadow.Config{Settings: settings(shadow.Settings{}, nil)}, shadow.Disabled},
		{"settings unreadable", shadow.Config{Settings: settings(on, errors.New("no file"))}, shadow.Disabled},
		{"wayland", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "u", Type: "wayland"}}}, shadow.Wayland},
		{"nobody", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1"}}}, shadow.NoUser},
		{"greeter", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "gdm", Class: "greeter"}}}, shadow.NoUser},
		{"locked", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "u", Locked: true}}}, shadow.Locked},
		{"closing", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "u", State: "closing"}}}, shadow.SessionEnded},
		{"remote display", shadow.Config{Sessions: oneSession{shadow.Session{Display: "elsewhere:1", User: "u"}}}, shadow.DisplayUnreachable},
		{"source", shadow.Config{Source: &fakeSource{check: errors.New("install x11vnc")}}, shadow.SourceFailed},
		{"certificate", shadow.Config{
			Settings:     settings(shadow.Settings{EnableSessionShadowing: true, ShadowingUseSSL: true}, nil),
			Certificates: noCertificate{},
		}, shadow.TLSConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Prompter = consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
				t.Error("the user was asked")
				return consent.Denied, nil
			})
			h := start(t, c.cfg)
			h.refused(t, c.want)
		})
	}
	t.Run("unknown session", func(t *testing.T) {
		h := start(t, shadow.Config{})
		_, err := h.ask("nope", "alice")
		var r *shadow.Refusal
		require.ErrorAs(t, err, &r)
		assert.Equal(t, shadow.NoSession, r.Reason)
	})
}

type noCertificate struct{}

func (noCertificate) TLSConfig(string) (*tls.Config, error) { return nil, errors.New("no certificate") }

func TestSecondRequestDuringAPromptIsBusyAtOnce(t *testing.T) {
	asked, reply := make(chan struct{}), make(chan consent.Decision)
	h := start(t, shadow.Config{Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
		close(asked)
		return <-reply, nil
	})})
	var wg sync.WaitGroup
	wg.Go(func() { _, err := h.ask("s1", "alice"); assert.NoError(t, err) })
	<-asked
	h.refused(t, shadow.PromptBusy)
	reply <- consent.Granted
	wg.Wait()
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
		var r *shadow.Refusal
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

func TestNoPortLeft(t *testing.T) {
	h := start(t, shadow.Config{Ports: ports(t, 1)})
	h.granted(t, "s1", "alice")
	_, err := h.ask("s2", "bob")
	var r *shadow.Refusal
	require.ErrorAs(t, err, &r)
	assert.Equal(t, shadow.NoPort, r.Reason)
	assert.ErrorIs(t, err, portpool.ErrExhausted)
}

func TestTokens(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	for query, reason := range map[string]string{
		"": "token missing", "?token=": "token missing", "?Token=" + g.Token: "token missing",
		"?token=wrong": "token wrong", "?token=" + g.Token[1:]: "token wrong",
	} {
		u, _ := url.Parse(g.URL)
		v, err := dial(t, "ws://"+u.Host+"/websockify"+query, nil)
		require.NoError(t, err)
		v.turnedAway(1008, reason)
	}
	for range 5 {
		assert.NotContains(t, h.until(t, shadow.EventRejected).Detail, g.Token)
	}
	v := view(t, g.URL) // still good
	v.update()
	_, err := dial(t, g.URL, nil) // used
	require.Error(t, err)
}

// Two who bring the same token at once: one is the viewer.
func TestTokenIsGoodOnce(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	u, err := url.Parse(g.URL)
	require.NoError(t, err)
	const n = 8
	conns := make([]net.Conn, n) // all there before the port stops listening
	for i := range conns {
		conns[i], err = net.Dial("tcp", u.Host)
		require.NoError(t, err)
		t.Cleanup(func() { conns[i].Close() })
	}
	admitted := make(chan bool, n)
	for _, c := range conns {
		go func() {
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
			answer := make([]byte, 4096)
			var got []byte
			for !bytes.Contains(got, []byte("RFB 003.008")) {
				k, err := c.Read(answer)
				got = append(got, answer[:k]...)
				if err != nil {
					break
				}
			}
			admitted <- bytes.Contains(got, []byte("RFB 003.008"))
		}()
	}
	first := <-admitted
	for !first { // the losers are turned away while the winner stays
		first = <-admitted
	}
	require.NoError(t, h.Stop(g.ID, shadow.StoppedByAdmin))
	for range n {
		select {
		case again := <-admitted:
			assert.False(t, again, "the token admitted two")
		default:
		}
	}
	assert.Equal(t, 1, h.count(shadow.EventConnected))
}

// Whatever ids lead to one screen, it has one prompt and one viewer.
func TestOneViewerPerScreen(t *testing.T) {
	h := start(t, shadow.Config{Sessions: shadow.StaticSessions{
		{ID: "s1", Display: ":7", User: "root"}, {ID: "s2", Display: ":7.0", User: "root"},
	}})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	h.granted(t, "s2", "bob")
	v.closed(4001, "superseded")
	assert.Len(t, h.List(), 1)
}

// A prompter that doesn't end when it should keeps its place: there may be a
// question on the screen still.
func TestBusyPrompterKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m, err := shadow.New(shadow.Config{
			Sessions: oneSession{}, Source: &fakeSource{}, Host: "h", PromptTimeout: time.Second,
			Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
				<-release
				return consent.Granted, nil
			}),
		})
		require.NoError(t, err)
		ask := func() shadow.Reason {
			_, err := m.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice"})
			var r *shadow.Refusal
			require.ErrorAs(t, err, &r)
			return r.Reason
		}
		assert.Equal(t, shadow.TimedOut, ask())
		assert.Equal(t, shadow.PromptBusy, ask())
		close(release)
		synctest.Wait()
		release = make(chan struct{})
		go func() { time.Sleep(2 * time.Second); close(release) }()
		assert.Equal(t, shadow.TimedOut, ask(), "the place is free again")
		require.NoError(t, m.Shutdown(t.Context()))
	})
}

// A viewer that comes and says nothing has done nothing that isn't allowed.
func TestSilentViewerHasLeft(t *testing.T) {
	h := start(t, shadow.Config{})
	v, err := dial(t, h.granted(t, "s1", "alice").URL, nil)
	require.NoError(t, err)
	v.expect([]byte("RFB 003.008\n"))
	v.closed(4008, "viewer_left")
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
}

// A viewer that floods and then drops its connection holds nobody up.
func TestViewerThatFloodsAndResets(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	u, err := url.Parse(g.URL)
	require.NoError(t, err)
	c, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(c)
	_, err = io.WriteString(c, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	require.NoError(t, err)
	_, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	frame := func(p []byte) []byte { // masked with 0
		return append([]byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}, p...)
	}
	for _, p := range []string{"RFB 003.008\n", "\x01", "\x01"} {
		_, err = c.Write(frame([]byte(p)))
		require.NoError(t, err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	request := frame([]byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1})
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
	for range 20000 { // far more than the relay takes in a second, and than the inbox holds
		if _, err = c.Write(request); err != nil {
			break
		}
	}
	require.NoError(t, c.(*net.TCPConn).SetLinger(0))
	c.Close()
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
}

// The source's end is told at once, the viewer's greeting or not.
func TestSourceEndsWhileTheViewerGreets(t *testing.T) {
	h := start(t, shadow.Config{})
	v, err := dial(t, h.granted(t, "s1", "alice").URL, nil)
	require.NoError(t, err)
	v.expect([]byte("RFB 003.008\n"))
	h.source.fail(shadow.ErrSessionEnded)
	v.closed(1001, "session_ended")
	assert.Equal(t, shadow.SessionEnded, h.until(t, shadow.EventEnded).Reason)
}

func TestBrokenResolver(t *testing.T) {
	h := start(t, shadow.Config{Sessions: brokenResolver{}})
	h.refused(t, shadow.PromptFailed)
}

type brokenResolver struct{ shadow.Resolver }

func (brokenResolver) Session(context.Context, string) (*shadow.Session, error) {
	return nil, errors.New("no bus")
}

func TestForeignOrigin(t *testing.T) {
	h := start(t, shadow.Config{OriginPatterns: []string{"director.corp"}})
	g := h.granted(t, "s1", "alice")
	evil, err := dial(t, g.URL, http.Header{"Origin": {"https://evil.example"}})
	require.NoError(t, err)
	evil.turnedAway(1008, `origin "https://evil.example" not allowed`)
	h.until(t, shadow.EventRejected)
	_, err = dial(t, g.URL, http.Header{"Origin": {"https://director.corp"}})
	require.NoError(t, err, "a refused origin used the token up")
}

func TestOptionalToken(t *testing.T) {
	h := start(t, shadow.Config{TokenOptional: true})
	g := h.granted(t, "s1", "alice")
	v := view(t, "ws://127.0.0.1:"+strconv.Itoa(g.Port)+"/")
	v.update()
	_, err := dial(t, g.URL, nil)
	require.Error(t, err, "a second viewer got in")
}

func TestViewerAbsent(t *testing.T) {
	h := start(t, shadow.Config{ConnectTimeout: 20 * time.Millisecond})
	g := h.granted(t, "s1", "alice")
	assert.Equal(t, shadow.ViewerAbsent, h.until(t, shadow.EventEnded).Reason)
	_, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(g.Port), time.Second)
	require.Error(t, err)
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(h *host, g *shadow.Grant, v *viewer)
		code   int
		reason shadow.Reason
	}{
		{"session ends", func(h *host, _ *shadow.Grant, _ *viewer) { h.source.fail(shadow.ErrSessionEnded) }, 1001, shadow.SessionEnded},
		{"source fails", func(h *host, _ *shadow.Grant, _ *viewer) { h.source.fail(errors.New("killed")) }, 1011, shadow.SourceFailed},
		{"source just ends", func(h *host, _ *shadow.Grant, _ *viewer) { h.source.fail(nil) }, 1011, shadow.SourceFailed},
		{"stopped", func(h *host, g *shadow.Grant, _ *viewer) { _ = h.Stop(g.ID, shadow.StoppedByAdmin) }, 1000, shadow.StoppedByAdmin},
		{"stopped by the user", func(h *host, g *shadow.Grant, _ *viewer) { _ = h.Stop(g.ID, shadow.StoppedByUser) }, 4002, shadow.StoppedByUser},
		{"shutdown", func(h *host, _ *shadow.Grant, _ *viewer) { _ = h.Shutdown(context.Background()) }, 1001, shadow.Shutdown},
		{"forbidden message", func(_ *host, _ *shadow.Grant, v *viewer) { v.send([]byte{10, 1, 0, 9, 0, 9}) }, 1008, shadow.ViewerViolation},
		{"unknown message", func(_ *host, _ *shadow.Grant, v *viewer) { v.send([]byte{99}) }, 1002, shadow.ViewerViolation},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, shadow.Config{})
			g := h.granted(t, "s1", "alice")
			v := view(t, g.URL)
			v.update()
			var wg sync.WaitGroup
			wg.Go(func() { c.do(h, g, v) })
			v.closed(c.code, string(c.reason))
			wg.Wait()
			assert.Equal(t, c.reason, h.until(t, shadow.EventEnded).Reason)
		})
	}
}

// The source's end is noticed even before a viewer came.
func TestSourceEndsBeforeTheViewer(t *testing.T) {
	h := start(t, shadow.Config{})
	h.granted(t, "s1", "alice")
	h.source.fail(shadow.ErrSessionEnded)
	assert.Equal(t, shadow.SessionEnded, h.until(t, shadow.EventEnded).Reason)
}

func TestTextFrameIsAViolation(t *testing.T) {
	h := start(t, shadow.Config{})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.text("hello")
	assert.Equal(t, shadow.ViewerViolation, h.until(t, shadow.EventEnded).Reason)
}

func TestGivingUpTakesTheQuestionBack(t *testing.T) {
	asked := make(chan struct{})
	h := start(t, shadow.Config{Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
		close(asked)
		<-ctx.Done()
		return consent.Denied, context.Cause(ctx)
	})})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := h.Shadow(ctx, shadow.Request{Session: "s1", Admin: "alice"})
	var r *shadow.Refusal
	require.ErrorAs(t, err, &r)
	assert.Equal(t, shadow.StoppedByAdmin, r.Reason)
}

func TestStopDuringThePrompt(t *testing.T) {
	asked := make(chan struct{})
	h := start(t, shadow.Config{Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
		close(asked)
		<-ctx.Done()
		return consent.Granted, nil
	})})
	go func() {
		<-asked
		list := h.List()
		if assert.Len(t, list, 1) {
			assert.Equal(t, shadow.Prompting, list[0].State)
			assert.NoError(t, h.Stop(list[0].ID, shadow.StoppedByAdmin))
		}
	}()
	h.refused(t, shadow.StoppedByAdmin)
	assert.ErrorIs(t, h.Stop("nothing", shadow.StoppedByAdmin), shadow.ErrNotFound)
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

func TestSwitchedOffWhileTheUserIsAsked(t *testing.T) {
	var off atomic.Bool
	h := start(t, shadow.Config{
		Settings: func(context.Context) (shadow.Settings, error) {
			return shadow.Settings{EnableSessionShadowing: !off.Load()}, nil
		},
		Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
			off.Store(true)
			return consent.Granted, nil
		}),
	})
	h.refused(t, shadow.Disabled)
	opened, _ := h.source.counts()
	assert.Zero(t, opened)
}

func TestTwoSessionsAtOnce(t *testing.T) {
	h := start(t, shadow.Config{})
	a, b := h.granted(t, "s1", "alice"), h.granted(t, "s2", "bob")
	viewA, viewB := view(t, a.URL), view(t, b.URL)
	viewA.update()
	viewB.update()
	require.NoError(t, h.Stop(a.ID, shadow.StoppedByAdmin))
	viewB.update()
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	for _, cfg := range []shadow.Config{
		{},
		{Sessions: oneSession{}, Prompter: answer(consent.Denied)},
		{Sessions: oneSession{}, Source: &fakeSource{}},
		{Prompter: answer(consent.Denied), Source: &fakeSource{}},
	} {
		_, err := shadow.New(cfg)
		require.Error(t, err)
	}
}
