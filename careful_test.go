package shadow_test

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/source"
	"vda.internal/shadow/tlsstore"
)

// A sourceFunc is a source whose Open it is.
type sourceFunc func() (net.Conn, error)

func (sourceFunc) Check(context.Context, *shadow.Session) error              { return nil }
func (f sourceFunc) Open(context.Context, *shadow.Session) (net.Conn, error) { return f() }

// A checkFunc is a source whose Check it is.
type checkFunc func() error

func (f checkFunc) Check(context.Context, *shadow.Session) error          { return f() }
func (checkFunc) Open(context.Context, *shadow.Session) (net.Conn, error) { return nil, nil }

type certificatesFunc func() (*tls.Config, error)

func (f certificatesFunc) TLSConfig(string) (*tls.Config, error) { return f() }

// What a host program puts into a Config may be wrong in any way: a request is refused with
// the cause, and nothing is left.
func TestPartsThatAreWrong(t *testing.T) {
	wss := func(context.Context) (shadow.Settings, error) {
		return shadow.Settings{EnableSessionShadowing: true, ShadowingUseSSL: true}, nil
	}
	for name, c := range map[string]struct {
		cfg    shadow.Config
		want   shadow.Reason
		detail string
	}{
		"settings panic": {shadow.Config{Settings: func(context.Context) (shadow.Settings, error) { panic("boom") }},
			shadow.Disabled, "Config.Settings panicked: boom"},
		"settings end their goroutine": {shadow.Config{Settings: func(context.Context) (shadow.Settings, error) { runtime.Goexit(); return shadow.Settings{}, nil }},
			shadow.Disabled, "Config.Settings ended its goroutine"},
		"resolver panics": {shadow.Config{Sessions: sessionFunc(func() (*shadow.Session, error) { panic("boom") })},
			shadow.PromptFailed, "the resolver panicked: boom"},
		"resolver says nothing": {shadow.Config{Sessions: sessionFunc(func() (*shadow.Session, error) { return nil, nil })},
			shadow.PromptFailed, "neither a session nor an error"},
		"prompter panics": {shadow.Config{Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) { panic("boom") })},
			shadow.PromptFailed, "the prompter panicked: boom"},
		"prompter ends its goroutine": {shadow.Config{Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
			runtime.Goexit()
			return consent.Granted, nil
		})}, shadow.PromptFailed, "the prompter ended its goroutine"},
		"source panics": {shadow.Config{Source: sourceFunc(func() (net.Conn, error) { panic("boom") })},
			shadow.SourceFailed, "the source panicked: boom"},
		"source says nothing": {shadow.Config{Source: sourceFunc(func() (net.Conn, error) { return nil, nil })},
			shadow.SourceFailed, "neither a connection nor an error"},
		"source is a nil pointer": {shadow.Config{Source: sourceFunc(func() (net.Conn, error) { return (*net.TCPConn)(nil), nil })},
			shadow.SourceFailed, "neither a connection nor an error"},
		"source's check panics": {shadow.Config{Source: checkFunc(func() error { panic("boom") })},
			shadow.SourceFailed, "the source panicked: boom"},
		"certificates panic": {shadow.Config{Settings: wss, Certificates: certificatesFunc(func() (*tls.Config, error) { panic("boom") })},
			shadow.TLSConfig, "the certificate store panicked: boom"},
		"certificates say nothing": {shadow.Config{Settings: wss, Certificates: certificatesFunc(func() (*tls.Config, error) { return nil, nil })},
			shadow.TLSConfig, "neither a configuration nor an error"},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, c.cfg)
			for range 2 { // nothing is left of the first
				_, err := h.Shadow(context.Background(), shadow.Request{Session: "s1", Admin: "alice"})
				var r *shadow.End
				require.ErrorAs(t, err, &r)
				assert.Equal(t, c.want, r.Reason)
				assert.Contains(t, r.Detail, c.detail)
				assert.Empty(t, h.List())
			}
		})
	}
}

// A banner that panics is one that fails.
func TestBannerThatPanics(t *testing.T) {
	h := start(t, shadow.Config{Banner: panickingBanner{}})
	_, err := dial(t, h.granted(t, "s1", "alice").URL, nil)
	require.NoError(t, err)
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, shadow.PromptFailed, e.Reason)
	assert.Contains(t, e.Detail, "the banner panicked: boom")
}

// A banner that ends its goroutine is one that fails: nobody views without one.
func TestBannerThatEndsItsGoroutine(t *testing.T) {
	h := start(t, shadow.Config{Banner: exitingBanner{}})
	_, err := dial(t, h.granted(t, "s1", "alice").URL, nil)
	require.NoError(t, err)
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, shadow.PromptFailed, e.Reason)
	assert.Contains(t, e.Detail, "the banner ended its goroutine")
}

type exitingBanner struct{}

func (exitingBanner) Show(context.Context, consent.Request, *consent.Showing) error {
	runtime.Goexit()
	return nil
}

// A wait for a session's end that ends its goroutine is one that fails, and is begun again.
func TestWaitThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var once sync.Once
		h := start(t, shadow.Config{Sessions: exitingWaiter{&once}, Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			<-ctx.Done()
			return consent.TimedOut, nil
		})})
		h.refused(t, shadow.SessionEnded)
	})
}

type exitingWaiter struct{ once *sync.Once }

func (exitingWaiter) Session(context.Context, string) (*shadow.Session, error) {
	return oneSession{}.Session(context.Background(), "s1")
}
func (exitingWaiter) Sessions(context.Context) ([]*shadow.Session, error) { return nil, nil }
func (w exitingWaiter) WaitEnd(context.Context, string) error {
	w.once.Do(runtime.Goexit)
	return nil
}

// A log that ends its goroutine takes the next line.
func TestLogThatEndsItsGoroutine(t *testing.T) {
	w := &exitingWriter{}
	h := start(t, shadow.Config{Logger: zerolog.New(w)})
	for range 2 {
		v := view(t, h.granted(t, "s1", "alice").URL) // without a banner, which is logged
		v.update()
		v.hangUp()
		h.until(t, shadow.EventEnded)
	}
	require.NoError(t, h.Shutdown(t.Context()))
	assert.Positive(t, w.lines.Load())
}

type exitingWriter struct {
	once  sync.Once
	lines atomic.Int32
}

func (w *exitingWriter) Write(p []byte) (int, error) {
	w.once.Do(runtime.Goexit)
	w.lines.Add(1)
	return len(p), nil
}

type panickingBanner struct{}

func (panickingBanner) Show(context.Context, consent.Request, *consent.Showing) error {
	panic("boom")
}

// A resolver's list may have holes.
func TestListWithHoles(t *testing.T) {
	h := start(t, shadow.Config{Sessions: sessionFunc(func() (*shadow.Session, error) { return nil, nil })})
	list, err := h.Sessions(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
}

type panickyValidator struct{ sourceFunc }

func (panickyValidator) Validate() error { panic("boom") }

// New finds what can be found.
func TestNewRefusesNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*shadow.Config)
		want   string
	}{
		"nil resolver":       {func(c *shadow.Config) { c.Sessions = (*nilResolver)(nil) }, "Config.Sessions is nil"},
		"nil prompter":       {func(c *shadow.Config) { c.Prompter = consent.Func(nil) }, "Config.Prompter is nil"},
		"nil source":         {func(c *shadow.Config) { c.Source = (*source.X11vnc)(nil) }, "Config.Source is nil"},
		"dial nowhere":       {func(c *shadow.Config) { c.Source = &source.Dial{} }, "Config.Source: the dial source has no address"},
		"dial by pigeon":     {func(c *shadow.Config) { c.Source = &source.Dial{Network: "pigeon", Address: "x"} }, "neither tcp nor unix"},
		"no answer":          {func(c *shadow.Config) { c.Rules = policy.Rules{{}, {Answer: 9}} }, "rule 2 has Answer(9), which is no answer"},
		"allow, no banner":   {func(c *shadow.Config) { c.Rules = policy.Rules{{Answer: policy.Deny}, {Answer: policy.Allow}} }, "Config.Banner is nil, but rule 2 allows viewing without a Yes"},
		"silence, no banner": {func(c *shadow.Config) { c.Rules = policy.Rules{{Unanswered: true}} }, "Config.Banner is nil, but rule 1"},
		"lock, no banner":    {func(c *shadow.Config) { c.Banner = (*fakeBanner)(nil); c.Rules = policy.Rules{{Locked: true}} }, "Config.Banner is nil, but rule 1"},
		"notice, no banner":  {func(c *shadow.Config) { c.Announcer = &user{}; c.Rules = policy.Rules{{Answer: policy.Notify}} }, "Config.Banner is nil, but rule 1"},
		"notice, no time": {func(c *shadow.Config) {
			c.Announcer, c.Banner, c.PromptTimeout = &user{}, newFakeBanner(), 9*time.Second
			c.Rules = policy.Rules{{Answer: policy.Notify}}
		}, "Config.PromptTimeout is 9s, and a notice needs 10s"},
		"no mode":          {func(c *shadow.Config) { c.Purpose.Mode = 9 }, "Config.Purpose.Mode is 9"},
		"panic":            {func(c *shadow.Config) { c.Source = panickyValidator{} }, "Validate panicked: boom"},
		"timeout":          {func(c *shadow.Config) { c.PromptTimeout = -time.Second }, "negative"},
		"connect timeout":  {func(c *shadow.Config) { c.ConnectTimeout = -time.Second }, "negative"},
		"ports":            {func(c *shadow.Config) { c.Ports = &portpool.Pool{First: 7000, Last: 6000} }, "Config.Ports: the range 7000-6000 is empty"},
		"negative port":    {func(c *shadow.Config) { c.Ports = &portpool.Pool{First: -1} }, "-1 is not a port number"},
		"listen address":   {func(c *shadow.Config) { c.Ports = &portpool.Pool{Host: "localhost"} }, "not an IP address"},
		"origin":           {func(c *shadow.Config) { c.OriginPatterns = []string{"ok", "[a"} }, `"[a" has a bracket`},
		"origin with path": {func(c *shadow.Config) { c.OriginPatterns = []string{"https://director.corp/x"} }, "more than a scheme"},
		"empty origin":     {func(c *shadow.Config) { c.OriginPatterns = []string{""} }, "names no host"},
		"host with port":   {func(c *shadow.Config) { c.Host = "vda1:6001" }, "a port isn't part of it"},
		"host with path":   {func(c *shadow.Config) { c.Host = "vda1/x" }, "which no host's name has"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := shadow.Config{Sessions: oneSession{}, Prompter: answer(consent.Denied), Source: &fakeSource{}}
			c.change(&cfg)
			_, err := shadow.New(cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := shadow.New(shadow.Config{
		Sessions: oneSession{}, Prompter: answer(consent.Denied), Source: &fakeSource{}, Host: "::1",
		OriginPatterns: []string{"*", "https://*.corp:8443", "[::1]:80"}, Certificates: (*tlsstore.Store)(nil),
	})
	require.NoError(t, err)
}

type nilResolver struct{ oneSession }
