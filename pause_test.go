package shadow_test

import (
	"context"
	"errors"
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
		ask := func(session, admin string) *shadow.Refusal {
			_, err := m.Shadow(t.Context(), shadow.Request{Session: session, Admin: admin})
			r, _ := errors.AsType[*shadow.Refusal](err)
			require.NotNil(t, r)
			return r
		}
		require.Equal(t, shadow.Denied, ask("s1", `CORP\alice`).Reason)
		r := ask("s1", `corp\Alice `)
		assert.Equal(t, shadow.PromptBusy, r.Reason)
		assert.Equal(t, 15*time.Second, r.RetryAfter)
		assert.Contains(t, r.Detail, "ask again in 15 s")
		assert.Equal(t, 1, asked, "the user was asked again")

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
