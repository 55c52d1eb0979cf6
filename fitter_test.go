package shadow_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/source"
)

// people are the sessions of a host, by display.
type people struct {
	mu       sync.Mutex
	displays []string
	err      error
}

func (p *people) set(err error, displays ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.displays, p.err = displays, err
}

func (p *people) Sessions(context.Context) (list []*shadow.Session, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, display := range p.displays {
		list = append(list, &shadow.Session{ID: "s" + display[1:], User: "user", UID: 1001 + uint32(i), Display: display})
	}
	return list, p.err
}

func (p *people) Session(context.Context, string) (*shadow.Session, error) {
	return &shadow.Session{ID: "s1", User: "user", UID: 1001, Display: ":1"}, nil
}

// A dialled server shows whatever its screen has: the Yes of whom it showed is no Yes of whoever logs in
// while it is watched.
func TestDialledServerWhenSomebodyElseLogsIn(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"another session": {nil, "2 sessions"},
		"no list":         {errors.New("no broker"), "cannot tell whose screen is shown"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rfb")
			ln, err := net.Listen("unix", path)
			require.NoError(t, err)
			defer ln.Close()
			servers := &fakeSource{}
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					f := &fakeServer{Conn: conn, far: conn, from: servers, ended: make(chan struct{})}
					go f.serve()
				}
			}()
			list := &people{displays: []string{":1"}}
			h := start(t, shadow.Config{Sessions: list, Source: &source.Dial{Network: "unix", Address: path, Sessions: list}})
			v := view(t, h.granted(t, "s1", "alice").URL)
			v.update()
			list.set(test.err, ":1", ":2")
			v.closed(1011, "source_failed")
			e := h.until(t, shadow.EventEnded)
			assert.Equal(t, shadow.SourceFailed, e.Reason)
			assert.Contains(t, e.Detail, test.want)
		})
	}
}

// A fitter is a source that may show another session.
type fitter struct {
	*fakeSource
	fits func(context.Context) error
}

func (f fitter) Fits(ctx context.Context, _ *shadow.Session) error { return f.fits(ctx) }

// What it may show is looked at while it is watched, and what is known ends the view at once.
func TestPictureBecomesAnotherSessions(t *testing.T) {
	var another atomic.Bool
	h := start(t, shadow.Config{Source: fitter{&fakeSource{}, func(context.Context) error {
		if another.Load() {
			return &shadow.End{Reason: shadow.SessionEnded, Detail: "bob is there"}
		}
		return nil
	}}})
	h.LookEvery(tick)
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	another.Store(true)
	v.closed(1001, "session_ended")
	assert.Equal(t, "bob is there", h.until(t, shadow.EventEnded).Detail)
}

// Five times in a row is one time too many, four are not.
func TestHowOftenThePictureMayBeUnclear(t *testing.T) {
	for failures, ends := range map[int]bool{4: false, 5: true} {
		var left, good atomic.Int32
		h := start(t, shadow.Config{Source: fitter{&fakeSource{}, func(context.Context) error {
			if left.Add(-1) >= 0 {
				return errors.New("no broker")
			}
			good.Add(1)
			return nil
		}}})
		h.LookEvery(tick)
		v := view(t, h.granted(t, "s1", "alice").URL)
		v.update()
		left.Store(int32(failures))
		if ends {
			v.closed(1011, "source_failed")
			assert.Contains(t, h.until(t, shadow.EventEnded).Detail, "cannot tell whose screen is shown: no broker")
			continue
		}
		require.Eventually(t, func() bool { return left.Load() <= 0 }, patience, time.Millisecond)
		before := good.Load()
		require.Eventually(t, func() bool { return good.Load() > before+1 }, patience, time.Millisecond)
		v.update()
		v.hangUp()
	}
}

// No answer is none for half a minute, not five times as long.
func TestLookAtThePictureThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, shadow.Config{
			Source:        fitter{&fakeSource{}, func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }},
			PromptTimeout: time.Hour,
			Prompter: consent.Func(func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
				<-ctx.Done()
				return consent.TimedOut, nil
			}),
		})
		begun := time.Now()
		assert.Contains(t, h.refused(t, shadow.SourceFailed).Detail, "cannot tell whose screen is shown")
		assert.Less(t, time.Since(begun), time.Minute)
	})
}
