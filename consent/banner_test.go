package consent_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/consent"
)

// bannerFunc is a function as a banner.
type bannerFunc func(ctx context.Context, s *consent.Showing) error

func (f bannerFunc) Show(ctx context.Context, _ consent.Request, s *consent.Showing) error {
	return f(ctx, s)
}

// What is said to a banner reaches it, whether it has started or not, and each but once.
func TestShowing(t *testing.T) {
	t.Parallel()
	s := consent.NewShowing()
	s.End("viewer_left")
	s.End("shutdown")
	assert.False(t, s.Told())
	s.Start(t.Context(), bannerFunc(func(_ context.Context, s *consent.Showing) error {
		s.Stop()
		s.Stop()
		why := <-s.Why()
		<-s.Closing()
		return errors.New(why)
	}), consent.Request{})
	<-s.Stopped()
	assert.NoError(t, s.Err(), "it isn't down yet")
	s.Close()
	s.Close()
	<-s.Done()
	assert.EqualError(t, s.Err(), "viewer_left")
	assert.True(t, s.Told())

	s.Start(t.Context(), nil, consent.Request{}) // does nothing
	assert.EqualError(t, s.Err(), "viewer_left")
}

// An end without words is a Close.
func TestShowingWithoutWords(t *testing.T) {
	t.Parallel()
	s := consent.NewShowing()
	s.End("")
	<-s.Closing()
	assert.False(t, s.Told())
}

// A banner that does what it must not has failed, and harms nothing else.
func TestShowingThatFails(t *testing.T) {
	t.Parallel()
	for says, f := range map[string]bannerFunc{
		"the banner panicked: out of ink": func(context.Context, *consent.Showing) error { panic("out of ink") },
		"the banner ended its goroutine":  func(context.Context, *consent.Showing) error { runtime.Goexit(); return nil },
	} {
		s := consent.NewShowing()
		s.Start(t.Context(), f, consent.Request{})
		<-s.Done()
		assert.ErrorContains(t, s.Err(), says)
	}
}
