package shadow_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// A clamp lets one call of what a Manager depends on hang for ever, from the moment it is set.
type clamp struct {
	where   string
	set     atomic.Bool
	hangs   atomic.Bool   // a call does
	late    bool          // sources that are opened when it is set hang, else those from before
	release chan struct{} // closed at the test's end
}

// at hangs if this is where.
func (c *clamp) at(where string) {
	if c.where == where && c.set.Load() {
		c.hangs.Store(true)
		<-c.release
	}
}

// stuckSource is a fakeSource whose calls hang at the clamp.
type stuckSource struct {
	*fakeSource
	c *clamp
}

func (s stuckSource) Open(ctx context.Context, session *shadow.Session) (net.Conn, error) {
	s.c.at("source.Open")
	conn, err := s.fakeSource.Open(ctx, session)
	c := s.c
	if c.set.Load() != c.late {
		c = &clamp{}
	}
	return &stuckConn{conn.(*fakeServer), c}, err
}

func (s stuckSource) Check(ctx context.Context, session *shadow.Session) error {
	s.c.at("source.Check")
	return s.fakeSource.Check(ctx, session)
}

type stuckConn struct {
	*fakeServer
	c *clamp
}

func (s *stuckConn) Read(p []byte) (int, error) {
	n, err := s.fakeServer.Read(p)
	s.c.at("source.Read")
	return n, err
}

func (s *stuckConn) Write(p []byte) (int, error) {
	s.c.at("source.Write")
	return s.fakeServer.Write(p)
}

func (s *stuckConn) Close() error {
	s.c.at("source.Close")
	return s.fakeServer.Close()
}

func (s *stuckConn) Err() error {
	s.c.at("source.Err")
	return s.fakeServer.Err()
}

// stuckSessions is oneSession, of which one ends.
type stuckSessions struct {
	oneSession
	c   *clamp
	end chan struct{}
}

func (s stuckSessions) Session(ctx context.Context, id string) (*shadow.Session, error) {
	s.c.at("resolver.Session")
	return s.oneSession.Session(ctx, id)
}

func (s stuckSessions) WaitEnd(ctx context.Context, _ string) error {
	select {
	case <-s.end:
		return nil
	case <-ctx.Done():
		s.c.at("resolver.WaitEnd")
		return context.Cause(ctx)
	}
}

func (s stuckSessions) WaitEndOf(ctx context.Context, of *shadow.Session) error {
	return s.WaitEnd(ctx, of.ID)
}

// stuckWriter is a log's.
type stuckWriter struct {
	c     *clamp
	where string
}

func (w stuckWriter) Write(p []byte) (int, error) {
	w.c.at(w.where)
	return len(p), nil
}

// stuckBanner is a banner that is stopped or fails, and may not go.
func stuckBanner(c *clamp, stop <-chan struct{}, fail <-chan error, shown chan<- consent.Request) bannerFunc {
	return func(ctx context.Context, r consent.Request, s *consent.Showing) error {
		shown <- r
		select {
		case <-stop:
			s.Stop()
			c.at("banner")
			return consent.ErrStopped
		case err := <-fail:
			return err
		case <-s.Why():
		case <-s.Closing():
		case <-ctx.Done():
		}
		c.at("banner")
		return nil
	}
}

// stuckHost is a Manager with everything that can hang.
type stuckHost struct {
	*host
	c     *clamp
	stop  chan struct{}
	fail  chan error
	end   chan struct{}
	shown chan consent.Request
	power *switchboard
}

func stuckAt(t *testing.T, where string, cfg shadow.Config) *stuckHost {
	s := &stuckHost{
		c:    &clamp{where: where, release: make(chan struct{})},
		stop: make(chan struct{}), fail: make(chan error, 9), end: make(chan struct{}), shown: make(chan consent.Request, 9), power: &switchboard{},
	}
	s.power.set(true, nil)
	source := &fakeSource{}
	cfg.Source = stuckSource{source, s.c}
	cfg.Sessions = stuckSessions{c: s.c, end: s.end}
	cfg.Banner = stuckBanner(s.c, s.stop, s.fail, s.shown)
	cfg.Settings = func(ctx context.Context) (shadow.Settings, error) {
		s.c.at("settings")
		return s.power.Settings(ctx)
	}
	if cfg.Prompter == nil {
		cfg.Prompter = answer(consent.Granted)
	}
	cfg.Logger, cfg.Audit = zerolog.New(stuckWriter{s.c, "log"}), shadow.JSONLines(stuckWriter{s.c, "audit"})
	s.host = start(t, cfg)
	s.host.source = source
	s.ReadSettingsEvery(tick)
	s.TidyFor(20 * time.Millisecond)
	t.Cleanup(func() { close(s.c.release) })
	return s
}

// soon fails unless f returns.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	c := make(chan struct{})
	go func() {
		defer close(c)
		f()
	}()
	select {
	case <-c:
	case <-time.After(time.Minute):
		require.FailNow(t, "it hangs", what)
	}
}

// stuckPlaces are what may hang while somebody is viewing.
var stuckPlaces = []string{
	"nothing", "source.Read", "source.Write", "source.Close", "source.Err", "source.Open", "resolver.Session", "resolver.WaitEnd", "banner", "log", "audit", "subscriber",
}

// stuckEnds are the ends of a view: what is done, and what the viewer, unless code is 0, and the audit hear of it.
var stuckEnds = map[string]struct {
	do     func(s *stuckHost, v *viewer, id string)
	code   int
	reason shadow.Reason
}{
	"display gone":     {func(s *stuckHost, _ *viewer, _ string) { s.fail <- consent.ErrDisplay }, 1011, shadow.DisplayUnreachable},
	"banner gone":      {func(s *stuckHost, _ *viewer, _ string) { s.fail <- errors.New("out of ink") }, 1011, shadow.PromptFailed},
	"stopped by user":  {func(s *stuckHost, _ *viewer, _ string) { close(s.stop) }, 4002, shadow.StoppedByUser},
	"stopped by admin": {func(s *stuckHost, _ *viewer, id string) { _ = s.Stop(context.Background(), id, shadow.StoppedByAdmin) }, 1000, shadow.StoppedByAdmin},
	"shutdown":         {func(s *stuckHost, _ *viewer, _ string) { _ = s.Shutdown(context.Background()) }, 1001, shadow.Shutdown},
	"switched off":     {func(s *stuckHost, _ *viewer, _ string) { s.power.set(false, nil) }, 1008, shadow.Disabled},
	"session ends":     {func(s *stuckHost, _ *viewer, _ string) { close(s.end) }, 1001, shadow.SessionEnded},
	"taken over":       {func(s *stuckHost, _ *viewer, _ string) { _, _ = s.ask("s1", "bob") }, 4001, shadow.Superseded},
	"nonsense":         {func(_ *stuckHost, v *viewer, _ string) { v.send([]byte{99}) }, 1002, shadow.ViewerViolation},
	// What the viewer itself hears of these matters to nobody.
	"viewer leaves":           {func(_ *stuckHost, v *viewer, _ string) { v.hangUp() }, 0, shadow.ViewerLeft},
	"viewer breaks the rules": {func(_ *stuckHost, v *viewer, _ string) { v.text("x") }, 0, shadow.ViewerViolation},
	"source fails":            {func(s *stuckHost, _ *viewer, _ string) { s.source.fail(errors.New("out of film")) }, 1011, shadow.SourceFailed},
}

// Whatever hangs: an end closes the viewer, frees the port and the place, and answers who asked
// for it.
func TestEndsWaitForNobody(t *testing.T) {
	for name, c := range stuckEnds {
		for _, where := range stuckPlaces {
			if name == "taken over" && (where == "source.Open" || where == "resolver.Session" || where == "audit") {
				continue // then it isn't taken over
			}
			if name == "nonsense" && where == "source.Write" {
				continue // then nobody reads it
			}
			t.Run(name+" while "+where+" hangs", func(t *testing.T) {
				t.Parallel()
				s := stuckAt(t, where, shadow.Config{})
				events := s.events
				if where == "subscriber" {
					events = s.Subscribe(t.Context())
				}
				g := s.granted(t, "s1", "alice")
				v := view(t, g.URL)
				v.update()
				next(t, s.shown)
				s.c.set.Store(true)
				v.send([]byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1}) // the relay is at work

				acted := make(chan struct{})
				go func() {
					defer close(acted)
					c.do(s, v, g.ID)
				}()
				if c.code != 0 {
					soon(t, "the viewer", func() { v.closed(c.code, string(c.reason)) })
				}
				soon(t, "who asked for the end", func() { <-acted })
				soon(t, "the end", func() {
					for e := range events {
						if e.Type == shadow.EventEnded && e.ID == g.ID {
							assert.Equal(t, c.reason, e.Reason)
							return
						}
					}
					t.Error("no end was announced")
				})
				_, there := s.Get(g.ID)
				assert.False(t, there, "it is listed still")
				if c.reason != shadow.Superseded {
					assert.Zero(t, s.PortsInUse())
				}
			})
		}
	}
}

// Who asks for a view that can't come about is answered, too, and nothing comes of it later.
func TestRequestsWaitForNobody(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(s *stuckHost, cancel func(), id string)
		reason shadow.Reason
	}{
		"given up": {func(_ *stuckHost, cancel func(), _ string) { cancel() }, shadow.StoppedByAdmin},
		"stopped":  {func(s *stuckHost, _ func(), id string) { _ = s.Stop(context.Background(), id, shadow.StoppedByAdmin) }, shadow.StoppedByAdmin},
		"shutdown": {func(s *stuckHost, _ func(), _ string) { _ = s.Shutdown(context.Background()) }, shadow.Shutdown},
	} {
		for _, where := range []string{"resolver.Session", "source.Check", "prompter", "source.Open", "source.Read", "source.Write", "source.Close", "log", "audit"} {
			t.Run(name+" while "+where+" hangs", func(t *testing.T) {
				t.Parallel()
				var s *stuckHost
				s = stuckAt(t, where, shadow.Config{Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
					s.c.at("prompter")
					switch where {
					case "source.Open", "source.Read", "source.Write":
						return consent.Granted, nil
					}
					<-ctx.Done()
					return consent.Granted, context.Cause(ctx)
				})})
				s.c.late = true
				s.c.set.Store(true)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				asked := make(chan error, 1)
				go func() {
					_, err := s.Shadow(ctx, shadow.Request{Session: "s1", Admin: "alice"})
					asked <- err
				}()
				id := s.until(t, shadow.EventRequested).ID
				acted := make(chan struct{})
				go func() {
					defer close(acted)
					c.do(s, cancel, id)
				}()
				soon(t, "the request", func() {
					var r *shadow.End
					if assert.ErrorAs(t, <-asked, &r) {
						assert.Equal(t, c.reason, r.Reason)
					}
				})
				soon(t, "who ended it", func() { <-acted })
				assert.Equal(t, c.reason, s.until(t, shadow.EventRefused).Reason)
				assert.Empty(t, s.List())
			})
		}
	}
}

// Settings that can't be read any more end what is going on, as those that say no do.
func TestSettingsThatHang(t *testing.T) {
	s := stuckAt(t, "settings", shadow.Config{})
	s.ReadSettingsWithin(tick)
	v := view(t, s.granted(t, "s1", "alice").URL)
	s.c.set.Store(true)
	v.closed(1008, "disabled")
	assert.Equal(t, shadow.Disabled, s.until(t, shadow.EventEnded).Reason)
}
