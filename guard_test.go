package shadow_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// tick is how often these tests' settings are read.
const tick = 50 * time.Millisecond

// A switchboard is settings that a test changes.
type switchboard struct {
	mu       sync.Mutex
	settings shadow.Settings
	err      error
	read     int
}

func (s *switchboard) Settings(context.Context) (shadow.Settings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read++
	return s.settings, s.err
}

func (s *switchboard) set(on bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings.EnableSessionShadowing, s.err = on, err
}

func (s *switchboard) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

func TestSwitchedOffWhileSomebodyWatches(t *testing.T) {
	s := &switchboard{}
	s.set(true, nil)
	h := start(t, shadow.Config{Settings: s.Settings})
	h.ReadSettingsEvery(tick)
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	waiting := h.granted(t, "s2", "bob") // whose viewer isn't there yet
	s.set(false, nil)
	v.closed(1008, "disabled")
	for range 2 {
		e := h.until(t, shadow.EventEnded)
		assert.Equal(t, shadow.Disabled, e.Reason)
		assert.Equal(t, "EnableSessionShadowing is 0", e.Detail)
	}
	_, err := dial(t, waiting.URL, nil)
	require.Error(t, err)
}

// Settings that can't be read for a moment end nothing; a request they refuse.
func TestUnreadableSettingsWhileSomebodyWatches(t *testing.T) {
	s := &switchboard{}
	s.set(true, nil)
	h := start(t, shadow.Config{Settings: s.Settings})
	h.ReadSettingsEvery(tick)
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	s.set(false, errors.New("half a file"))
	before := s.reads()
	require.Eventually(t, func() bool { return s.reads() > before }, patience, 10*time.Millisecond)
	v.update()
	h.refused(t, shadow.Disabled)
	v.closed(1008, "disabled")
	assert.Contains(t, h.until(t, shadow.EventEnded).Detail, "half a file")
	assert.GreaterOrEqual(t, s.reads()-before, 5)
}

// Only in a row do failures count.
func TestSettingsUnreadableNowAndThen(t *testing.T) {
	s := &switchboard{}
	s.set(true, nil)
	h := start(t, shadow.Config{Settings: s.Settings})
	h.ReadSettingsEvery(tick)
	v := view(t, h.granted(t, "s1", "alice").URL)
	for range 3 {
		for _, err := range []error{errors.New("half a file"), nil} {
			s.set(true, err)
			before := s.reads()
			require.Eventually(t, func() bool { return s.reads() >= before+2 }, patience, time.Millisecond)
		}
	}
	v.update()
	assert.Len(t, h.List(), 1)
}

// Nobody reads the settings for nothing.
func TestSettingsAreLeftAloneWhenNobodyWatches(t *testing.T) {
	s := &switchboard{}
	s.set(true, nil)
	h := start(t, shadow.Config{Settings: s.Settings})
	h.ReadSettingsEvery(tick)
	g := h.granted(t, "s1", "alice")
	before := s.reads()
	require.Eventually(t, func() bool { return s.reads() > before }, patience, 10*time.Millisecond)
	require.NoError(t, h.Stop(context.Background(), g.ID, shadow.StoppedByAdmin))
	require.Eventually(t, func() bool { return !h.Patrolling() }, patience, 10*time.Millisecond)
	// And they are read again for the next one.
	h.granted(t, "s1", "alice")
	before = s.reads()
	require.Eventually(t, func() bool { return s.reads() > before }, patience, 10*time.Millisecond)
}

// A mortal is a resolver whose sessions end when the test says so.
type mortal struct {
	oneSession
	ends map[string]chan error // by session
}

func newMortal() mortal {
	return mortal{ends: map[string]chan error{"s1": make(chan error), "s2": make(chan error)}}
}

func (m mortal) WaitEnd(ctx context.Context, id string) error {
	select {
	case err := <-m.ends[id]:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestSessionEndsWhileSomebodyWatches(t *testing.T) {
	sessions := newMortal()
	h := start(t, shadow.Config{Sessions: sessions})
	a, b := view(t, h.granted(t, "s1", "alice").URL), view(t, h.granted(t, "s2", "bob").URL)
	a.update()
	sessions.ends["s1"] <- nil
	a.closed(1001, "session_ended")
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, shadow.SessionEnded, e.Reason)
	assert.Equal(t, "s1", e.Session)
	b.update() // the other one goes on
}

func TestSessionEndsWhileItsUserIsAsked(t *testing.T) {
	sessions := newMortal()
	asked := make(chan struct{})
	h := start(t, shadow.Config{Sessions: sessions, Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
		close(asked)
		<-ctx.Done()
		return consent.Granted, nil
	})})
	go func() { <-asked; sessions.ends["s1"] <- nil }()
	h.refused(t, shadow.SessionEnded)
}

// A resolver that can't wait ends nothing.
func TestWaitingForTheEndFails(t *testing.T) {
	sessions := newMortal()
	h := start(t, shadow.Config{Sessions: sessions})
	v := view(t, h.granted(t, "s1", "alice").URL)
	sessions.ends["s1"] <- errors.New("no bus")
	v.update()
	assert.Len(t, h.List(), 1)
}

// A lost resolver can't wait for the end of its sessions.
type lost struct{ sessionFunc }

func (lost) WaitEnd(context.Context, string) error { return errors.New("no bus") }

func (lost) WaitEndOf(context.Context, *shadow.Session) error { return errors.New("no bus") }

// Where the end can't be waited for, the session is looked up. One that isn't the same any more has ended, and
// so does the shadow when that can't be told five times in a row.
func TestLookedUpWhenTheEndCannotBeWaitedFor(t *testing.T) {
	same := shadow.Session{ID: "s1", User: "user1", UID: 1001, Display: ":1"}
	another, moved, closing, odd := same, same, same, same
	another.UID, another.User = 1002, "user2"
	moved.Display = ":2"
	closing.State = "closing"
	odd.Unavailable = &shadow.End{Reason: shadow.DisplayUnreachable, Detail: "not in time"}
	for name, test := range map[string]struct {
		failures int // before it can be looked up again
		session  *shadow.Session
		err      error
		want     shadow.Reason
		detail   string
	}{
		"the same":             {0, &same, nil, shadow.TimedOut, ""},
		"another user's":       {0, &another, nil, shadow.SessionEnded, "another session's"},
		"another display's":    {0, &moved, nil, shadow.SessionEnded, "another session's"},
		"closing":              {0, &closing, nil, shadow.SessionEnded, "logged out"},
		"gone":                 {0, nil, &shadow.End{Reason: shadow.NoSession}, shadow.SessionEnded, ""},
		"not known well":       {0, &odd, nil, shadow.SourceFailed, "whether the session is still running: not in time"},
		"found out too slowly": {0, nil, odd.Unavailable, shadow.SourceFailed, "not in time"},
		"four failures":        {4, &same, nil, shadow.TimedOut, ""},
		"five failures":        {5, &same, nil, shadow.SourceFailed, "no broker"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Bool
				left := test.failures
				h := start(t, shadow.Config{
					Sessions: lost{func() (*shadow.Session, error) {
						switch {
						case !asked.Load():
							return &same, nil
						case left > 0:
							left--
							return nil, errors.New("no broker")
						}
						return test.session, test.err
					}},
					PromptTimeout: 3 * time.Minute,
					Prompter:      asking(&asked),
				})
				assert.Contains(t, h.refused(t, test.want).Detail, test.detail)
			})
		})
	}
}

// asking is a prompter whose user thinks it over for as long as he may, and notes that he is asked.
func asking(asked *atomic.Bool) consent.Prompter {
	return consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
		asked.Store(true)
		<-ctx.Done()
		return consent.TimedOut, nil
	})
}

// A look that gets no answer is enough: not five of them, each of half a minute.
func TestLookedUpInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Bool
		hold := make(chan struct{})
		h := start(t, shadow.Config{
			Sessions: lost{func() (*shadow.Session, error) {
				if asked.Load() {
					<-hold
				}
				return &shadow.Session{ID: "s1", User: "user1", UID: 1001, Display: ":1"}, nil
			}},
			PromptTimeout: 3 * time.Minute,
			Prompter:      asking(&asked),
		})
		began := time.Now()
		assert.Contains(t, h.refused(t, shadow.SourceFailed).Detail, "whether the session is still running")
		assert.Less(t, time.Since(began), time.Minute)
		close(hold)
	})
}

// A forgetful resolver waits for the end of whoever has the id when it first looks.
type forgetful struct{ sessionFunc }

func (forgetful) WaitEnd(ctx context.Context, _ string) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Where who waits for the end knows the id only, the owner is looked up besides.
func TestLookedUpWhileTheEndIsWaitedForByItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Bool
		h := start(t, shadow.Config{
			Sessions: forgetful{func() (*shadow.Session, error) {
				if asked.Load() {
					return &shadow.Session{ID: "s1", User: "user2", UID: 1002, Display: ":1"}, nil
				}
				return &shadow.Session{ID: "s1", User: "user1", UID: 1001, Display: ":1"}, nil
			}},
			PromptTimeout: time.Minute,
			Prompter:      asking(&asked),
		})
		assert.Contains(t, h.refused(t, shadow.SessionEnded).Detail, "another session's")
	})
}

// A mindful resolver is told whose end it waits for. It fails once.
type mindful struct {
	sessionFunc
	waits *[]shadow.Session
}

func (mindful) WaitEnd(context.Context, string) error { return errors.New("by its id?") }

func (m mindful) WaitEndOf(_ context.Context, s *shadow.Session) error {
	if *m.waits = append(*m.waits, *s); len(*m.waits) == 1 {
		return errors.New("no bus")
	}
	return nil
}

// Who can be told whose end is waited for is told so, the second time too: the session that was found at first.
func TestTheEndIsWaitedForOfTheSessionThatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Bool
		same := shadow.Session{ID: "s1", User: "user1", UID: 1001, Display: ":1"}
		var waits []shadow.Session
		h := start(t, shadow.Config{
			Sessions:      mindful{func() (*shadow.Session, error) { s := same; return &s, nil }, &waits},
			PromptTimeout: time.Minute,
			Prompter:      asking(&asked),
		})
		h.refused(t, shadow.SessionEnded)
		assert.Equal(t, []shadow.Session{same, same}, waits)
	})
}

// Whoever is asked hears no more of it once shadowing is switched off.
func TestSwitchedOffTakesTheQuestionBack(t *testing.T) {
	s := &switchboard{}
	s.set(true, nil)
	takenBack := make(chan struct{})
	h := start(t, shadow.Config{Settings: s.Settings, PromptTimeout: time.Hour,
		Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			s.set(false, nil)
			<-ctx.Done()
			close(takenBack)
			return consent.Granted, nil
		}),
	})
	h.ReadSettingsEvery(tick)
	h.refused(t, shadow.Disabled)
	<-takenBack
}

// Five times in a row is one time too many, four are not.
func TestHowOftenSettingsMayBeUnreadable(t *testing.T) {
	for failures, ends := range map[int]bool{4: false, 5: true} {
		var left, good atomic.Int32
		h := start(t, shadow.Config{Settings: func(context.Context) (shadow.Settings, error) {
			if left.Add(-1) >= 0 {
				return shadow.Settings{}, errors.New("half a file")
			}
			good.Add(1)
			return shadow.Settings{EnableSessionShadowing: true}, nil
		}})
		h.ReadSettingsEvery(tick)
		v := view(t, h.granted(t, "s1", "alice").URL)
		v.update()
		left.Store(int32(failures))
		if ends {
			v.closed(1008, "disabled")
			continue
		}
		require.Eventually(t, func() bool { return left.Load() <= 0 }, 5*time.Minute, time.Millisecond)
		before := good.Load()
		require.Eventually(t, func() bool { return good.Load() > before+1 }, 5*time.Minute, time.Millisecond)
		v.update()
		v.hangUp()
	}
}
