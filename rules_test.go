package shadow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
)

// A user is one who is asked or told, as a prompter and an announcer.
type user struct {
	decision consent.Decision
	unseen   bool // the question isn't on the screen
	asked    int
	told     int
	request  consent.Request
}

func (u *user) Ask(_ context.Context, r consent.Request) (consent.Decision, error) {
	u.asked++
	u.request = r
	if !u.unseen {
		r.Shown()
	}
	return u.decision, nil
}

func (u *user) Announce(_ context.Context, r consent.Request) (consent.Decision, error) {
	u.told++
	u.request = r
	return u.decision, nil
}

// Every answer of a rule × what the user does × what the screen is like × what the rule says of silence
// and of a lock.
func TestEveryAnswerSilenceAndLock(t *testing.T) {
	const locked = true
	for _, c := range []struct {
		answer   policy.Answer
		does     consent.Decision
		locked   bool // as logind says, before anybody is asked
		may      policy.Rule
		want     shadow.Reason // empty: granted
		basis    consent.Basis
		mayAsked int // how often the user is asked
		mayTold  int
	}{
		{policy.Ask, consent.Granted, !locked, policy.Rule{}, "", consent.ByAnswer, 1, 0},
		{policy.Ask, consent.Denied, !locked, policy.Rule{}, shadow.Denied, "", 1, 0},
		{policy.Ask, consent.Closed, !locked, policy.Rule{}, shadow.Closed, "", 1, 0},
		{policy.Ask, consent.TimedOut, !locked, policy.Rule{}, shadow.TimedOut, "", 1, 0},
		{policy.Ask, consent.Locked, !locked, policy.Rule{}, shadow.Locked, "", 1, 0},
		{policy.Ask, consent.Granted, locked, policy.Rule{}, shadow.Locked, "", 0, 0},

		{policy.Ask, consent.Granted, !locked, policy.Rule{Unanswered: true}, "", consent.ByAnswer, 1, 0},
		{policy.Ask, consent.Denied, !locked, policy.Rule{Unanswered: true, Locked: true}, shadow.Denied, "", 1, 0},
		{policy.Ask, consent.Closed, !locked, policy.Rule{Unanswered: true, Locked: true}, shadow.Closed, "", 1, 0},
		{policy.Ask, consent.TimedOut, !locked, policy.Rule{Unanswered: true}, "", consent.BySilence, 1, 0},
		{policy.Ask, consent.TimedOut, !locked, policy.Rule{Locked: true}, shadow.TimedOut, "", 1, 0},
		{policy.Ask, consent.Locked, !locked, policy.Rule{Unanswered: true}, shadow.Locked, "", 1, 0},
		{policy.Ask, consent.Locked, !locked, policy.Rule{Locked: true}, "", consent.ByLock, 1, 0},
		{policy.Ask, consent.Denied, locked, policy.Rule{Locked: true}, "", consent.ByLock, 0, 0},
		{policy.Ask, consent.Granted, locked, policy.Rule{Unanswered: true}, shadow.Locked, "", 0, 0},

		{policy.Notify, consent.Granted, !locked, policy.Rule{}, "", consent.ByNotice, 0, 1},
		{policy.Notify, consent.Denied, !locked, policy.Rule{}, shadow.Denied, "", 0, 1},
		{policy.Notify, consent.TimedOut, !locked, policy.Rule{Unanswered: true}, shadow.TimedOut, "", 0, 1},
		{policy.Notify, consent.Closed, !locked, policy.Rule{Locked: true}, shadow.Closed, "", 0, 1},
		{policy.Notify, consent.Locked, !locked, policy.Rule{}, shadow.Locked, "", 0, 1},
		{policy.Notify, consent.Locked, !locked, policy.Rule{Locked: true}, "", consent.ByLock, 0, 1},
		{policy.Notify, consent.Granted, locked, policy.Rule{}, shadow.Locked, "", 0, 0},
		{policy.Notify, consent.Denied, locked, policy.Rule{Locked: true}, "", consent.ByLock, 0, 0},

		{policy.Allow, consent.Denied, !locked, policy.Rule{}, "", consent.ByRuleOnly, 0, 0},
		{policy.Allow, consent.Denied, locked, policy.Rule{}, shadow.Locked, "", 0, 0},
		{policy.Allow, consent.Denied, locked, policy.Rule{Locked: true}, "", consent.ByLock, 0, 0},

		{policy.Deny, consent.Granted, !locked, policy.Rule{}, shadow.NotAllowed, "", 0, 0},
		{policy.Deny, consent.Granted, locked, policy.Rule{Unanswered: true, Locked: true}, shadow.NotAllowed, "", 0, 0},
	} {
		name := fmt.Sprintf("%v, user %v, screen locked %v, %v", c.answer, c.does, c.locked, c.may)
		t.Run(name, func(t *testing.T) {
			u, b := &user{decision: c.does}, newFakeBanner()
			var log bytes.Buffer
			rule := c.may
			rule.Answer = c.answer
			h := start(t, shadow.Config{
				Prompter: u, Announcer: u, Banner: b, Logger: zerolog.New(&log),
				Sessions: oneSession{shadow.Session{User: "user1", UID: 1001, Display: ":1", Locked: c.locked}},
				Rules:    policy.Rules{{Users: []string{"nobody"}, Answer: policy.Allow, Locked: true}, rule},
			})
			g, err := h.ask("s1", "alice")
			assert.Equal(t, c.mayAsked, u.asked, "asked")
			assert.Equal(t, c.mayTold, u.told, "told")
			if c.want != "" {
				var r *shadow.End
				require.ErrorAs(t, err, &r)
				assert.Equal(t, c.want, r.Reason)
				e := h.until(t, shadow.EventRefused)
				assert.Equal(t, "2", e.Rule)
				assert.Empty(t, e.Consent)
				opened, _ := h.source.counts()
				assert.Zero(t, opened)
				return
			}
			require.NoError(t, err)
			e := h.until(t, shadow.EventGranted)
			assert.Equal(t, "2", e.Rule)
			assert.Equal(t, string(c.basis), e.Consent)
			if c.basis != consent.ByAnswer {
				assert.Regexp(t, `"level":"warn".*"rule":"2","consent":"`+string(c.basis)+`".*without the user's Yes`, log.String())
			}
			view(t, g.URL)
			assert.Equal(t, c.basis, next(t, b.shown).Basis, "the banner says what allows it")
		})
	}
}

// All that a rule can say × all that the user can do × a screen that is locked or not, before anybody is asked:
// by what decides first.
func TestEveryCombination(t *testing.T) {
	combination := func(answer policy.Answer, does consent.Decision, locked bool, may policy.Rule) (want shadow.Reason, basis consent.Basis) {
		switch {
		case answer == policy.Deny:
			return shadow.NotAllowed, ""
		case locked && may.Locked:
			return "", consent.ByLock
		case locked:
			return shadow.Locked, ""
		case answer == policy.Allow:
			return "", consent.ByRuleOnly
		}
		switch does {
		case consent.Granted:
			return "", map[policy.Answer]consent.Basis{policy.Ask: consent.ByAnswer, policy.Notify: consent.ByNotice}[answer]
		case consent.Denied:
			return shadow.Denied, ""
		case consent.Closed:
			return shadow.Closed, ""
		case consent.Locked:
			if may.Locked {
				return "", consent.ByLock
			}
			return shadow.Locked, ""
		}
		if answer == policy.Ask && may.Unanswered {
			return "", consent.BySilence
		}
		return shadow.TimedOut, ""
	}
	yesNo := []bool{true, false}
	for _, answer := range []policy.Answer{policy.Ask, policy.Notify, policy.Deny, policy.Allow} {
		for _, does := range []consent.Decision{consent.Granted, consent.Denied, consent.Closed, consent.TimedOut, consent.Locked} {
			for _, locked := range yesNo {
				for _, unanswered := range yesNo {
					for _, lockedMay := range yesNo {
						rule := policy.Rule{Answer: answer, Unanswered: unanswered, Locked: lockedMay}
						name := fmt.Sprintf("%v, user %v, screen locked %v", rule, does, locked)
						want, basis := combination(answer, does, locked, rule)
						u := &user{decision: does}
						h := start(t, shadow.Config{
							Prompter: u, Announcer: u, Banner: newFakeBanner(), Rules: policy.Rules{rule},
							Sessions: oneSession{shadow.Session{User: "user1", UID: 1001, Display: ":1", Locked: locked}},
						})
						_, err := h.ask("s1", "alice")
						if want != "" {
							require.ErrorContains(t, err, string(want), name)
							continue
						}
						require.NoError(t, err, name)
						e := h.until(t, shadow.EventGranted)
						require.Equal(t, []string{"1", string(basis)}, []string{e.Rule, e.Consent}, name)
					}
				}
			}
		}
	}
}

// The user who is asked is told what silence and a locked screen mean, and the one who is only told, why.
func TestUsersAreToldTheRules(t *testing.T) {
	u := &user{decision: consent.Granted}
	h := start(t, shadow.Config{Prompter: u, Announcer: u, Banner: newFakeBanner(), Rules: policy.Rules{
		{Admins: []string{"a"}, Unanswered: true, Locked: true}, {Admins: []string{"n"}, Answer: policy.Notify},
		{Admins: []string{"l"}, Answer: policy.Notify, Locked: true},
	}})
	h.granted(t, "s1", "a")
	assert.True(t, u.request.SilenceAllows)
	assert.True(t, u.request.LockAllows)
	h.granted(t, "s1", "n")
	assert.Equal(t, consent.ByNotice, u.request.Basis)
	assert.False(t, u.request.LockAllows)
	h.granted(t, "s1", "l")
	assert.True(t, u.request.LockAllows, "a notice says what a lock means, too")
	assert.False(t, u.request.SilenceAllows)
	h.granted(t, "s1", "b")
	assert.False(t, u.request.SilenceAllows)
	assert.False(t, u.request.LockAllows)
	assert.Empty(t, u.request.Basis)
}

// What a prompter grants that asks nobody is no user's answer, and the user is told.
func TestPrompterThatAsksNobody(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Prompter: consent.Allow{}, Banner: b})
	g := h.granted(t, "s1", "alice")
	assert.Equal(t, "rule", h.until(t, shadow.EventGranted).Consent)
	view(t, g.URL)
	assert.Equal(t, consent.ByRuleOnly, next(t, b.shown).Basis)
}

// Nobody's silence is a Yes who can't have seen the question: it wasn't on the screen, or what was to
// put it there hangs.
func TestSilenceOfWhoSawNothing(t *testing.T) {
	rules := policy.Rules{{Unanswered: true}}
	h := start(t, shadow.Config{Prompter: &user{decision: consent.TimedOut, unseen: true}, Banner: newFakeBanner(), Rules: rules})
	h.refused(t, shadow.TimedOut)
	h = start(t, shadow.Config{Rules: rules, Banner: newFakeBanner(), Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		r.Shown()
		return consent.TimedOut, errors.New("crashed")
	})})
	h.refused(t, shadow.PromptFailed)
	// The daemon's timer is as good as the prompter's.
	h = start(t, shadow.Config{Rules: rules, Banner: newFakeBanner(), PromptTimeout: 20 * time.Millisecond, Prompter: consent.Func(func(ctx context.Context, r consent.Request) (consent.Decision, error) {
		r.Shown()
		<-ctx.Done()
		return consent.TimedOut, nil
	})})
	h.granted(t, "s1", "alice")
	assert.Equal(t, "unanswered", h.until(t, shadow.EventGranted).Consent)
}

// A refusal that comes with the end of the time is no silence.
func TestLateRefusalIsNoSilence(t *testing.T) {
	for decision, want := range map[consent.Decision]shadow.Reason{
		consent.Denied: shadow.Denied, consent.Closed: shadow.Closed, consent.Locked: shadow.TimedOut,
	} {
		h := start(t, shadow.Config{
			Rules: policy.Rules{{Unanswered: true, Locked: true}}, Banner: newFakeBanner(), PromptTimeout: 20 * time.Millisecond,
			Prompter: consent.Func(func(ctx context.Context, r consent.Request) (consent.Decision, error) {
				r.Shown()
				<-ctx.Done()
				return decision, nil
			}),
		})
		h.refused(t, want)
	}
}

// A notice that wasn't in view for long enough is no question that nobody has answered.
func TestNoticeThatWasNotInView(t *testing.T) {
	u := &user{decision: consent.TimedOut}
	h := start(t, shadow.Config{Prompter: u, Announcer: u, Banner: newFakeBanner(), Rules: policy.Rules{{Answer: policy.Notify}}})
	assert.Equal(t, "the notice was not in view for 5s", h.refused(t, shadow.TimedOut).Detail)
	h = start(t, shadow.Config{Prompter: u})
	assert.Empty(t, h.refused(t, shadow.TimedOut).Detail)
}

// The name that is decided by is the one that the user is shown.
func TestRulesSeeCleanNames(t *testing.T) {
	h := start(t, shadow.Config{Rules: policy.Rules{{Admins: []string{`CORP\mallory`}, Answer: policy.Deny}}})
	for _, name := range []string{`CORP\mallory`, `corp\Mallory`, "CORP\\mal\u200blory", "\u202eCORP\\mallory ", "CORP\\\u0301mallory\x00"} {
		_, err := h.ask("s1", name)
		if name == "CORP\\\u0301mallory\x00" { // which can be seen
			assert.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, "not_allowed", "%q", name)
	}
}

func TestRulesSeeGroups(t *testing.T) {
	session := shadow.Session{User: "user1", UID: 1001, Display: ":1", GID: 7, Groups: []uint32{8, 9}}
	var failed error
	cfg := shadow.Config{
		Sessions: oneSession{session},
		Rules:    policy.Rules{{UserGroups: []string{"staff"}, Groups: []string{"help*"}, Accounts: []string{"director"}}, {Answer: policy.Deny}},
		GroupNames: func(_ context.Context, gids []uint32) ([]string, error) {
			assert.Equal(t, []uint32{7, 8, 9}, gids)
			return []string{"users", "staff"}, failed
		},
	}
	h := start(t, cfg)
	req := shadow.Request{Session: "s1", Admin: "a", Groups: []string{"x", "helpdesk"}, Account: "director"}
	v, err := h.Judge(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, 1, v.Number)
	assert.Empty(t, h.count(shadow.EventRequested), "nothing has happened")
	_, err = h.Shadow(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "1", h.until(t, shadow.EventGranted).Rule)
	h.refused(t, shadow.NotAllowed)
	assert.Equal(t, "by rule 2", h.until(t, shadow.EventRefused).Detail)
	_, err = h.Judge(t.Context(), shadow.Request{Session: "s9"})
	assert.ErrorContains(t, err, "no_session")

	failed = errors.New("the directory is down")
	r := h.refused(t, shadow.PromptFailed)
	assert.Contains(t, r.Detail, "the directory is down")

	cfg.GroupNames = nil
	cfg.Prompter, cfg.Source = answer(consent.Granted), &fakeSource{}
	_, err = shadow.New(cfg)
	assert.ErrorContains(t, err, "GroupNames")
	_, err = shadow.New(shadow.Config{Sessions: cfg.Sessions, Prompter: cfg.Prompter, Source: cfg.Source, Rules: policy.Rules{{Answer: policy.Notify}}})
	assert.ErrorContains(t, err, "Announcer")
}

// Rules may count on a user: a session without one is refused before.
func TestRulesNeedAUser(t *testing.T) {
	h := start(t, shadow.Config{Sessions: oneSession{shadow.Session{Display: ":1"}}, Rules: policy.Rules{{Users: []string{"*"}}, {Answer: policy.Deny}}})
	h.refused(t, shadow.NoUser)
	assert.Empty(t, h.until(t, shadow.EventRefused).Rule)
	_, err := h.Judge(t.Context(), shadow.Request{Session: "s1", Admin: "a"})
	assert.ErrorContains(t, err, "no_user")
}

// Without rules every line says so.
func TestNoRule(t *testing.T) {
	h := start(t, shadow.Config{})
	h.granted(t, "s1", "alice")
	assert.Empty(t, h.until(t, shadow.EventRequested).Rule, "not decided yet")
	assert.Equal(t, "none", h.until(t, shadow.EventPrompted).Rule)
	e := h.until(t, shadow.EventGranted)
	assert.Equal(t, "none", e.Rule)
	assert.Equal(t, "answer", e.Consent)
}

// A log that hangs keeps no viewing from beginning that needs no Yes.
func TestRuleAndStuckLog(t *testing.T) {
	s := stuckAt(t, "log", shadow.Config{Banner: newFakeBanner(), Rules: policy.Rules{{Answer: policy.Allow}}})
	s.c.set.Store(true)
	soon(t, "the request", func() {
		_, err := s.ask("s1", "alice")
		assert.NoError(t, err)
	})
}
