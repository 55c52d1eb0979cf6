package shadow

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Who was stopped while his predecessor was being ended is not admitted.
func TestNobodyIsSeatedAfterHisEnd(t *testing.T) {
	m := &Manager{base: t.Context(), lives: map[string]*life{}, seats: map[string]*seat{}, patrolling: true}
	l := &life{m: m, id: "x", session: &Session{ID: "s1", Display: ":1"}}
	l.ctx, l.end = context.WithCancelCause(t.Context())
	require.NoError(t, m.admit(l, l.session))
	l.end(&ending{reason: StoppedByAdmin})
	err := m.seatWatcher(l)
	r, ok := errors.AsType[*Refusal](err)
	require.True(t, ok, "seated")
	assert.Equal(t, StoppedByAdmin, r.Reason)
	m.forget(l)
	assert.Empty(t, m.seats)
}
