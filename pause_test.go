package shadow_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// Who was told No can't ask until the user gives in: each No makes the pause longer. Others
// may ask meanwhile, and a Yes ends it.
func TestPauseAfterANo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says, asked := consent.Denied, 0
		m, err := shadow.New(shadow.Config{
			Sessions: oneSession{}, Source: &fakeSource{}, Host: "h",
			Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
				asked++
				return says, nil
			}),
		})
		require.NoError(t, err)
		ask := func(session, admin string) *shadow.End {
			_, err := m.Shadow(t.Context(), shadow.Request{Session: session, Admin: admin})
			r, _ := errors.AsType[*shadow.End](err)
			require.NotNil(t, r)
			return r
		}
		require.Equal(t, shadow.Denied, ask("s1", `CORP\alice`).Reason)
		r := ask("s1", `corp\Alice `)
		assert.Equal(t, shadow.PromptBusy, r.Reason)
		assert.Equal(t, 15*time.Second, r.RetryAfter)
		assert.Contains(t, r.Detail, "ask again in 15 s")
		assert.Equal(t, shadow.PromptBusy, ask("s1", "CORP\\al\u200bice").Reason, "the user is shown the same name")
		assert.Equal(t, 1, asked, "the user was asked again")
		long := strings.Repeat("x", 64)
		require.Equal(t, shadow.Denied, ask("s1", long+"1").Reason)
		assert.Equal(t, shadow.PromptBusy, ask("s1", long+"2").Reason, "the user is shown the same beginning")

		require.Equal(t, shadow.Denied, ask("s1", "bob").Reason)
		require.Equal(t, shadow.Denied, ask("s2", `CORP\alice`).Reason)

		says = consent.Closed
		for _, next := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
			time.Sleep(ask("s1", `CORP\alice`).RetryAfter)
			require.Equal(t, shadow.Closed, ask("s1", `CORP\alice`).Reason)
			assert.Equal(t, next, ask("s1", `CORP\alice`).RetryAfter)
		}
		time.Sleep(time.Hour)
		require.Equal(t, shadow.Closed, ask("s1", `CORP\alice`).Reason)
		assert.Equal(t, 15*time.Second, ask("s1", `CORP\alice`).RetryAfter, "not forgotten")

		// What is no No has no pause.
		says = consent.TimedOut
		require.Equal(t, shadow.TimedOut, ask("s1", "carol").Reason)
		require.Equal(t, shadow.TimedOut, ask("s1", "carol").Reason)
		require.NoError(t, m.Shutdown(t.Context()))
	})
}

// A rule that always refuses is no user who could be asked too often.
func TestNoPauseWithoutAUser(t *testing.T) {
	h := start(t, shadow.Config{Prompter: consent.Deny{}})
	h.refused(t, shadow.Denied)
	h.refused(t, shadow.Denied)
}

// A No that crosses the administrator's withdrawal is one: whoever takes each question back in time can't
// ask for ever. The refusal is the withdrawal's.
func TestPauseAfterANoToAQuestionTakenBack(t *testing.T) {
	for _, late := range []bool{false, true} {
		asked, released := make(chan struct{}, 9), make(chan struct{})
		h := start(t, shadow.Config{Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			asked <- struct{}{}
			<-ctx.Done()
			if late { // when nobody waits for it any more
				<-released
			}
			return consent.Denied, nil
		})})
		h.TidyFor(20 * time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := h.Shadow(ctx, shadow.Request{Session: "s1", Admin: "alice"})
			done <- err
		}()
		next(t, asked)
		cancel()
		require.ErrorContains(t, next(t, done), string(shadow.StoppedByAdmin))
		close(released)
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := h.Shadow(ctx, shadow.Request{Session: "s1", Admin: "alice"})
			return strings.Contains(err.Error(), "ask again in") || len(asked) > 0
		}, patience, time.Millisecond)
		assert.Empty(t, asked, "the user was asked again")
	}
}

// Another name gets nobody round a pause: a person is the account that calls; of a service's names those are
// one that are one account's, and so are, for a minute at most, all that no account has.
func TestNoOtherNameGetsRoundAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := consent.Denied
		m, err := shadow.New(shadow.Config{
			Sessions: oneSession{}, Source: &fakeSource{}, Host: "h", Accounts: directory,
			Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) { return says, nil }),
		})
		require.NoError(t, err)
		agent, other := shadow.Caller{UID: 999, User: "director"}, shadow.Caller{UID: 61184, User: "gate"}
		ask := func(caller shadow.Caller, admin string) *shadow.End {
			_, err := m.Shadow(shadow.WithCaller(t.Context(), caller), shadow.Request{Session: "s1", Admin: admin})
			r, _ := errors.AsType[*shadow.End](err)
			require.NotNil(t, r)
			return r
		}
		require.Equal(t, shadow.Denied, ask(agent, `CORP\alice`).Reason)
		r := ask(agent, "alice@corp.example")
		assert.Equal(t, shadow.PromptBusy, r.Reason, "the same account")
		assert.Contains(t, r.Detail, `the user has said No to CORP\alice; ask again in 15 s`)
		assert.Equal(t, shadow.PromptBusy, ask(other, "alice@corp.example").Reason, "through another service")
		require.Equal(t, shadow.Denied, ask(agent, "kim").Reason, "another account")

		require.Equal(t, shadow.Denied, ask(agent, "bob").Reason)
		assert.Equal(t, shadow.PromptBusy, ask(agent, "eve").Reason, "another claim")
		require.Equal(t, shadow.Denied, ask(other, "eve").Reason, "another service's claim")
		for _, most := range []time.Duration{30 * time.Second, time.Minute, time.Minute} {
			time.Sleep(ask(agent, "frank").RetryAfter)
			require.Equal(t, shadow.Denied, ask(agent, most.String()+rand.Text()).Reason)
			assert.Equal(t, most, ask(agent, "frank").RetryAfter)
		}
		time.Sleep(time.Minute)
		says = consent.Granted
		ctx, cancel := context.WithTimeout(shadow.WithCaller(t.Context(), agent), time.Minute)
		defer cancel()
		_, err = m.Shadow(ctx, shadow.Request{Session: "s1", Admin: "grace"})
		require.NoError(t, err)
		require.NoError(t, m.Shutdown(t.Context()))
	})
}
