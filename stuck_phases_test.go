package shadow_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// stuckPhases are what a view may be in the middle of when it ends, besides showing the screen.
var stuckPhases = map[string]struct {
	cfg    shadow.Config
	enter  func(t *testing.T, s *stuckHost, url string) *viewer
	ends   []string
	places []string
}{
	// The port is open, and nobody has come.
	"granted": {
		shadow.Config{ConnectTimeout: patience},
		func(_ *testing.T, s *stuckHost, _ string) *viewer { s.c.set.Store(true); return nil },
		[]string{"stopped by admin", "shutdown", "switched off", "session ends", "taken over"},
		[]string{"source.Read", "source.Write", "source.Close", "source.Err", "resolver.WaitEnd", "log", "audit"},
	},
	"never used": {
		shadow.Config{ConnectTimeout: time.Second},
		func(_ *testing.T, s *stuckHost, _ string) *viewer { s.c.set.Store(true); return nil },
		[]string{"time passes"},
		[]string{"source.Read", "source.Write", "source.Close", "source.Err", "resolver.Session", "resolver.WaitEnd", "log", "audit"},
	},
	"paused": {
		shadow.Config{Pause: true},
		func(t *testing.T, s *stuckHost, url string) *viewer {
			v := view(t, url)
			v.update()
			r := next(t, s.shown)
			s.c.set.Store(s.c.where == "source.Close")
			r.Wish(consent.Pause)
			v.covered()
			s.c.set.Store(true)
			return v
		},
		[]string{"display gone", "banner gone", "stopped by user", "stopped by admin", "shutdown", "switched off", "session ends", "taken over", "viewer leaves", "viewer breaks the rules"},
		[]string{"source.Close", "source.Open", "resolver.Session", "resolver.WaitEnd", "banner", "log", "audit"},
	},
	// The user wants the view to go on, and it can't.
	"resuming": {
		shadow.Config{Pause: true},
		func(t *testing.T, s *stuckHost, url string) *viewer {
			v := view(t, url)
			v.update()
			r := next(t, s.shown)
			r.Wish(consent.Pause)
			v.covered()
			s.c.set.Store(true)
			r.Wish(consent.Resume)
			return v
		},
		[]string{"display gone", "banner gone", "stopped by user", "stopped by admin", "shutdown", "switched off", "session ends", "viewer leaves", "viewer breaks the rules"},
		[]string{"source.Open", "resolver.Session"},
	},
	"away": {
		shadow.Config{Reconnect: patience},
		func(t *testing.T, s *stuckHost, url string) *viewer {
			v := view(t, url)
			v.update()
			next(t, s.shown)
			s.c.set.Store(s.c.where == "source.Close")
			v.hangUp()
			s.until(t, shadow.EventAway)
			s.c.set.Store(true)
			return nil
		},
		[]string{"display gone", "banner gone", "stopped by user", "stopped by admin", "shutdown", "switched off", "session ends", "taken over"},
		[]string{"source.Close", "source.Open", "resolver.Session", "resolver.WaitEnd", "banner", "log", "audit"},
	},
	"away for too long": {
		shadow.Config{Reconnect: time.Second},
		func(t *testing.T, s *stuckHost, url string) *viewer {
			v := view(t, url)
			v.update()
			s.c.set.Store(true)
			v.hangUp()
			return nil
		},
		[]string{"time passes"},
		[]string{"source.Close", "source.Err", "resolver.Session", "resolver.WaitEnd", "banner", "log", "audit"},
	},
}

// As TestEndsWaitForNobody, while nobody views, and while the user hides the screen.
func TestEndsWaitForNobodyInAnyPhase(t *testing.T) {
	for phase, p := range stuckPhases {
		for _, name := range p.ends {
			for _, where := range p.places {
				if name == "taken over" && slices.Contains([]string{"source.Open", "resolver.Session", "audit"}, where) {
					continue // then it isn't taken over
				}
				t.Run(phase+", "+name+" while "+where+" hangs", func(t *testing.T) {
					t.Parallel()
					c, waits := stuckEnds[name], name == "time passes"
					switch {
					case phase == "never used":
						c.reason = shadow.ViewerAbsent
					case waits:
						c.reason = shadow.ViewerLeft
					}
					s := stuckAt(t, where, p.cfg)
					g := s.granted(t, "s1", "alice")
					v := p.enter(t, s, g.URL)
					acted := make(chan struct{})
					go func() {
						defer close(acted)
						if !waits {
							c.do(s, v, g.ID)
						}
					}()
					if c.code != 0 && v != nil {
						soon(t, "the viewer", func() { v.closed(c.code, string(c.reason)) })
					}
					soon(t, "who asked for the end", func() { <-acted })
					soon(t, "the end", func() {
						for e := range s.events {
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
}

// A request ends while the user is asked, too, when shadowing is switched off or the session ends.
func TestQuestionsWaitForNobody(t *testing.T) {
	for name, reason := range map[string]shadow.Reason{"switched off": shadow.Disabled, "session ends": shadow.SessionEnded} {
		for _, where := range []string{"nothing", "prompter", "resolver.WaitEnd", "log", "audit"} {
			t.Run(name+" while "+where+" hangs", func(t *testing.T) {
				t.Parallel()
				var s *stuckHost
				s = stuckAt(t, where, shadow.Config{Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
					s.c.at("prompter")
					<-ctx.Done()
					return consent.Granted, context.Cause(ctx)
				})})
				s.c.set.Store(where == "prompter")
				asked := make(chan error, 1)
				go func() {
					_, err := s.ask("s1", "alice")
					asked <- err
				}()
				s.until(t, shadow.EventPrompted)
				s.c.set.Store(true)
				stuckEnds[name].do(s, nil, "")
				soon(t, "the request", func() { require.ErrorContains(t, <-asked, string(reason)) })
				assert.Equal(t, reason, s.until(t, shadow.EventRefused).Reason)
				assert.Empty(t, s.List())
			})
		}
	}
}
