package shadow

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
)

// Who was stopped while his predecessor was being ended is not admitted.
func TestNobodyIsSeatedAfterHisEnd(t *testing.T) {
	m := &Manager{base: t.Context(), lives: map[string]*life{}, seats: map[string]*seat{}, patrolling: true}
	l := &life{m: m, id: "x", session: &Session{ID: "s1", Display: ":1"}}
	l.ctx, l.end = context.WithCancelCause(t.Context())
	require.Nil(t, m.admit(l, l.session))
	l.end(&End{Reason: StoppedByAdmin})
	why := m.seatWatcher(l)
	require.NotNil(t, why, "seated")
	assert.Equal(t, StoppedByAdmin, why.Reason)
	m.forget(l)
	assert.Empty(t, m.seats)
}

// A request that was left behind may still be decided while its end is told.
func TestDecidedWhileTheEndIsTold(t *testing.T) {
	l := &life{m: &Manager{}}
	l.ctx, l.end = context.WithCancelCause(t.Context())
	told := done(func() {
		for range 100 {
			l.complete(Event{})
		}
	})
	require.Nil(t, l.decide(&Session{ID: "s1", User: "ann"}))
	l.allow(consent.ByAnswer)
	<-told
	e := l.complete(Event{})
	assert.Equal(t, []string{"none", "answer"}, []string{e.Rule, e.Consent})
}

// No source is opened again for a viewer that has gone, nor where its return has taken the source away.
func TestNothingIsOpenedForAViewerThatHasGone(t *testing.T) {
	l := &life{m: &Manager{}}
	l.ctx, l.end = context.WithCancelCause(t.Context())
	_, err := l.openAnew(t.Context())
	require.ErrorContains(t, err, "no source")
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone"))
	_, err = l.openAnew(gone)
	require.ErrorContains(t, err, "gone")
}
