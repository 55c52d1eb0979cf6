package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// Who asks again and again for nothing pushes nothing older out of the audit: beyond some requests there is no line of
// each, and the next says how many there were. Others' requests have their lines meanwhile, whatever is asked for.
func TestAsksForNothingDontFillTheAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []shadow.Event
		m, err := shadow.New(shadow.Config{
			Sessions: oneSession{}, Source: &fakeSource{}, Host: "h", Prompter: answer(consent.Granted),
			Audit: func(e shadow.Event) error { lines = append(lines, e); return nil },
		})
		require.NoError(t, err)
		ask := func(uid uint32, admin string) *shadow.End {
			ctx := shadow.WithCaller(t.Context(), shadow.Caller{UID: uid, User: fmt.Sprint("user", uid)})
			_, err := m.Shadow(ctx, shadow.Request{Session: "none", Admin: admin})
			why, _ := errors.AsType[*shadow.End](err)
			require.NotNil(t, why)
			synctest.Wait()
			return why
		}
		var last *shadow.End
		for i := range 500 {
			last = ask(2000, fmt.Sprint("name", i))
		}
		assert.Equal(t, shadow.PromptBusy, last.Reason)
		assert.Equal(t, 5*time.Minute, last.RetryAfter)
		assert.Contains(t, last.Detail, "ask again in 300 s")
		assert.Len(t, lines, 2*30, "requested and refused")

		lines = nil
		assert.Equal(t, shadow.NoSession, ask(2001, "bob").Reason, "another person's requests")
		assert.Len(t, lines, 2)

		lines = nil
		time.Sleep(last.RetryAfter)
		assert.Equal(t, shadow.NoSession, ask(2000, "alice").Reason)
		require.Len(t, lines, 2)
		assert.Equal(t, shadow.EventRequested, lines[0].Type)
		assert.Contains(t, lines[0].Detail, "470 more requests")
		assert.Equal(t, shadow.PromptBusy, ask(2000, "alice").Reason)
		require.NoError(t, m.Shutdown(t.Context()))
	})
}

// Whose names only begin alike, however long, have a share each.
func TestAsksOfLongNames(t *testing.T) {
	h := start(t, shadow.Config{})
	ask := func(admin string) error {
		_, err := h.ask("none", strings.Repeat("x", 64)+admin)
		return err
	}
	for range 30 {
		require.ErrorContains(t, ask("alice"), "no_session")
	}
	require.ErrorContains(t, ask("Alice"), "prompt_busy")
	require.ErrorContains(t, ask("kim"), "no_session")
}

// A view that somebody saw was no request for nothing; one to which no viewer came was.
func TestViewsThatAreSeenDontCount(t *testing.T) {
	h := start(t, shadow.Config{})
	for range 32 {
		view(t, h.granted(t, "s1", "admin").URL).hangUp()
		h.until(t, shadow.EventEnded)
	}
	var err error
	for i := 0; i < 64 && err == nil; i++ {
		var g *shadow.Grant
		if g, err = h.ask("s1", "admin"); err == nil {
			require.NoError(t, h.Stop(context.Background(), g.ID, shadow.StoppedByAdmin))
		}
	}
	require.ErrorContains(t, err, "prompt_busy")
}
