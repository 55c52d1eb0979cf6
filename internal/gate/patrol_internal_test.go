package gate

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/signin"
)

// A stuckBoard takes no notice until its test ends.
type stuckBoard struct{ asked, over chan struct{} }

func (b stuckBoard) OnPosted(func(string)) {}

func (b stuckBoard) Post(context.Context, string, string, time.Time) error {
	select {
	case b.asked <- struct{}{}:
	default:
	}
	<-b.over
	return nil
}

// What is over ends however long it takes to tell other gates of something.
func TestPatrolWaitsForNoBoard(t *testing.T) {
	t.Parallel()
	board := stuckBoard{make(chan struct{}, 1), make(chan struct{})}
	desk := signin.New(signin.Config{Board: board, Sealer: signin.NewSealer(), Idle: time.Hour, Longest: time.Hour, Now: time.Now})
	g := &Gate{Config: Config{Desk: desk}, holds: map[*hold]struct{}{}}
	g.views = newViews(g)
	require.NoError(t, desk.EndOthers(&signin.Session{ID: "one", Name: "ann", Method: signin.ByPassword}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.patrol(ctx) }()
	defer func() { cancel(); close(board.over); <-done }()
	<-board.asked
	held, end := context.WithCancelCause(ctx)
	g.mu.Lock()
	g.holds[&hold{&signin.Session{ID: "another", Name: "nobody", Method: signin.ByPassword}, end}] = struct{}{}
	g.mu.Unlock()
	select {
	case <-held.Done():
		require.ErrorIs(t, context.Cause(held), errSignedOut)
	case <-time.After(5 * time.Minute):
		require.Fail(t, "it goes on")
	}
}
