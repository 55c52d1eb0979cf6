package shadow_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/portpool"
)

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
		{"another daemon's question", consent.Granted, consent.ErrBusy, shadow.PromptBusy},
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
		{"greeter, as Debian 13's logind has it", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "gdm", Class: "greeter", Type: "unspecified"}}}, shadow.NoUser},
		{"greeter", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "gdm", Class: "greeter"}}}, shadow.NoUser},
		{"locked", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "u", Locked: true}}}, shadow.Locked},
		{"closing", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "u", State: "closing"}}}, shadow.SessionEnded},
		{"a number left out", shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1", User: "u"}}}, shadow.NoUser},
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
		var r *shadow.End
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

func TestNoPortLeft(t *testing.T) {
	h := start(t, shadow.Config{Ports: ports(t, 1)})
	h.granted(t, "s1", "alice")
	_, err := h.ask("s2", "bob")
	var r *shadow.End
	require.ErrorAs(t, err, &r)
	assert.Equal(t, shadow.NoPort, r.Reason)
	assert.ErrorIs(t, err, portpool.ErrExhausted)
}

// Whoever hears a No may ask again at once: the answer doesn't overtake the
// place at the prompt that it frees.
func TestNoFreesThePlaceBeforeItIsHeard(t *testing.T) {
	h := start(t, shadow.Config{Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
		return consent.Denied, nil
	})})
	quiet := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 { // who keep the manager's lock busy, so that the order shows
		wg.Go(func() {
			for {
				select {
				case <-quiet:
					return
				default:
					h.List()
				}
			}
		})
	}
	defer wg.Wait()
	defer close(quiet)
	for range 500 {
		h.refused(t, shadow.Denied)
		h.Forgive()
	}
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
			var r *shadow.End
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

func TestBrokenResolver(t *testing.T) {
	h := start(t, shadow.Config{Sessions: brokenResolver{}})
	h.refused(t, shadow.PromptFailed)
}

type brokenResolver struct{ shadow.Resolver }

func (brokenResolver) Session(context.Context, string) (*shadow.Session, error) {
	return nil, errors.New("no bus")
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
	var r *shadow.End
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
			assert.NoError(t, h.Stop(context.Background(), list[0].ID, shadow.StoppedByAdmin))
		}
	}()
	h.refused(t, shadow.StoppedByAdmin)
	assert.ErrorIs(t, h.Stop(context.Background(), "nothing", shadow.StoppedByAdmin), shadow.ErrNotFound)
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

// What became of the session while its user was asked counts, whatever the prompter says.
func TestSessionChangesWhileTheUserIsAsked(t *testing.T) {
	theirs := shadow.Session{ID: "s1", User: "user1", UID: 1001, Display: ":1"}
	for name, c := range map[string]struct {
		change func(s *shadow.Session) error
		want   shadow.Reason
	}{
		"locked":          {func(s *shadow.Session) error { s.Locked = true; return nil }, shadow.Locked},
		"logged out":      {func(s *shadow.Session) error { s.State = "closing"; return nil }, shadow.SessionEnded},
		"gone":            {func(*shadow.Session) error { return &shadow.End{Reason: shadow.NoSession} }, shadow.SessionEnded},
		"another user":    {func(s *shadow.Session) error { s.UID++; return nil }, shadow.SessionEnded},
		"another display": {func(s *shadow.Session) error { s.Display = ":2"; return nil }, shadow.SessionEnded},
		"not known":       {func(*shadow.Session) error { return errors.New("no bus") }, shadow.PromptFailed},
	} {
		t.Run(name, func(t *testing.T) {
			var answered atomic.Bool
			h := start(t, shadow.Config{
				Sessions: sessionFunc(func() (*shadow.Session, error) {
					s := theirs
					if answered.Load() {
						if err := c.change(&s); err != nil {
							return nil, err
						}
					}
					return &s, nil
				}),
				Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
					answered.Store(true)
					return consent.Granted, nil
				}),
			})
			h.refused(t, c.want)
			opened, _ := h.source.counts()
			assert.Zero(t, opened)
		})
	}
}

// Who has chosen a session by its user gets no other user's, whose session has its id by now.
func TestSessionOfTheUserThatWasChosen(t *testing.T) {
	h := start(t, shadow.Config{Sessions: oneSession{shadow.Session{ID: "s1", User: "user1", UID: 1001, Display: ":1"}}})
	ask := func(user string) error {
		_, err := h.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "admin", User: &user})
		return err
	}
	for _, other := range []string{"user2", ""} {
		var r *shadow.End
		require.ErrorAs(t, ask(other), &r)
		assert.Equal(t, shadow.NoSession, r.Reason)
		assert.Equal(t, "it is another user's by now", r.Detail)
	}
	assert.NoError(t, ask("user1"))
}

// A sessionFunc is a resolver of one session.
type sessionFunc func() (*shadow.Session, error)

func (f sessionFunc) Session(context.Context, string) (*shadow.Session, error) { return f() }

func (f sessionFunc) Sessions(context.Context) ([]*shadow.Session, error) {
	s, err := f()
	return []*shadow.Session{s}, err
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

// What an administrator reads names no package of ours, in whatever depth an error began.
func TestDetailsNameNoPackages(t *testing.T) {
	registry := named.Package("registry").Errorf("%w", named.Package("program").New("/opt/ctxreg: exit status 1: key: not found"))
	h := start(t, shadow.Config{Settings: func(context.Context) (shadow.Settings, error) { return shadow.Settings{}, registry }})
	r := h.refused(t, shadow.Disabled)
	assert.Equal(t, "the settings can't be read: /opt/ctxreg: exit status 1: key: not found", r.Detail)
	assert.ErrorIs(t, r, registry)

	b := newFakeBanner()
	h = start(t, shadow.Config{Banner: b})
	view(t, h.granted(t, "s1", "alice").URL)
	b.failed <- named.Package("consent").New("the banner ended by itself")
	assert.Equal(t, "the banner failed, so the user can't know of the viewer: the banner ended by itself", h.until(t, shadow.EventEnded).Detail)

	var mu sync.Mutex
	var bad error
	h = start(t, shadow.Config{Settings: func(context.Context) (shadow.Settings, error) {
		mu.Lock()
		defer mu.Unlock()
		return shadow.Settings{EnableSessionShadowing: true}, bad
	}})
	h.ReadSettingsEvery(time.Millisecond)
	h.granted(t, "s1", "alice")
	mu.Lock()
	bad = registry
	mu.Unlock()
	assert.Equal(t, "the settings can't be read: /opt/ctxreg: exit status 1: key: not found", h.until(t, shadow.EventEnded).Detail)
}

// Nobody is asked for a Yes that no viewer could use.
func TestNoPortIsFoundBeforeTheUserIsAsked(t *testing.T) {
	taken := ports(t, 1)
	l, err := taken.Listen(t.Context())
	require.NoError(t, err)
	h := start(t, shadow.Config{Ports: taken, Prompter: untouched(t)})
	r := h.refused(t, shadow.NoPort)
	assert.ErrorIs(t, r, portpool.ErrExhausted)
	require.NoError(t, l.Close())

	// Who takes over can inherit.
	h = start(t, shadow.Config{Ports: ports(t, 1)})
	a := h.granted(t, "s1", "alice")
	b := h.granted(t, "s1", "bob")
	assert.Equal(t, a.Port, b.Port)
}

// A name by which nobody can come is found before, too.
func TestNameOfAnotherKindOfIP(t *testing.T) {
	m, err := shadow.New(shadow.Config{
		Sessions: oneSession{}, Source: &fakeSource{}, Prompter: untouched(t), Host: "2001:db8::1",
		Ports: &portpool.Pool{Host: "0.0.0.0"},
	})
	require.NoError(t, err)
	_, err = m.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice"})
	require.ErrorContains(t, err, "2001:db8::1 has no address on which viewers' ports listen (0.0.0.0)")
	require.NoError(t, m.Shutdown(t.Context()))
}

// The port is one's own while the user thinks, and nobody listens on it.
func TestPortWhileTheUserIsAsked(t *testing.T) {
	pool := ports(t, 1)
	h := start(t, shadow.Config{Ports: pool, Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
		assert.Equal(t, 1, pool.InUse())
		_, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(pool.First)))
		assert.Error(t, err, "it listens before the Yes")
		return consent.Denied, nil
	})})
	h.refused(t, shadow.Denied)
	assert.Zero(t, pool.InUse())
}
