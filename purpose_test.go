package shadow_test

import (
	"context"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
)

// The reason goes where it is to be seen: to the user, in the question and the banner, to every event,
// and to the list.
func TestPurpose(t *testing.T) {
	asked := make(chan consent.Request, 1)
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b, Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		asked <- r
		return consent.Granted, nil
	})})
	const cleaned = "INC-1234 'flickers'"
	g, err := h.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice", Purpose: "INC-1234\n\"flickers\" "})
	require.NoError(t, err)
	assert.Equal(t, cleaned, next(t, asked).Purpose)
	assert.Equal(t, cleaned, h.List()[0].Purpose)
	view(t, g.URL)
	assert.Equal(t, cleaned, next(t, b.shown).Purpose)
	require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
	for range 5 { // requested, prompted, granted, connected, ended
		e := next(t, h.events)
		assert.Equal(t, cleaned, e.Purpose, e.Type)
	}
}

func TestPurposeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		demands policy.Purpose
		given   string
		detail  string
	}{
		"none":      {policy.Purpose{Mode: policy.Required}, " \n", "none was given"},
		"no ticket": {policy.Purpose{Pattern: regexp.MustCompile("INC-[0-9]+"), Hint: "name the ticket"}, "flickers", "this one doesn't fit: name the ticket"},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, shadow.Config{Purpose: c.demands, Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
				assert.Fail(t, "the user was asked")
				return consent.Granted, nil
			})})
			_, err := h.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice", Purpose: c.given})
			var r *shadow.End
			require.ErrorAs(t, err, &r)
			assert.Equal(t, shadow.PurposeMissing, r.Reason)
			assert.Equal(t, c.detail, r.Detail)
			assert.Equal(t, c.detail, h.until(t, shadow.EventRefused).Detail)
		})
	}
}

// A hidden reason is recorded, and not shown; the user is told that there is one.
func TestPurposeHidden(t *testing.T) {
	b := newFakeBanner()
	h := start(t, shadow.Config{Banner: b, Purpose: policy.Purpose{Mode: policy.Hidden}, Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		assert.Empty(t, r.Purpose)
		assert.True(t, r.PurposeHidden, "the user is told that there is a reason")
		return consent.Granted, nil
	})})
	g, err := h.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice", Purpose: "INC-1"})
	require.NoError(t, err)
	view(t, g.URL)
	shown := next(t, b.shown)
	assert.Empty(t, shown.Purpose)
	assert.True(t, shown.PurposeHidden)
	assert.Equal(t, "INC-1", h.until(t, shadow.EventConnected).Purpose)
}
