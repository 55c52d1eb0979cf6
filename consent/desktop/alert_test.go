package desktop

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
)

// putAsleep puts up a banner that looks at nothing but what the X server has told it of, and gives it the time to
// find everything in order: what a test does before that, it would find anyway.
func putAsleep(t *testing.T, o testhost.Options, before func(d *desk)) *watched {
	t.Helper()
	w := &watched{desk: newDesk(t, o, before)}
	w.showBy(w.ctx, sleepy, request(w.Desktop))
	time.Sleep(time.Second)
	return w
}

// client starts another client that goes on for as long as the desktop.
func (w *watched) client(what string, args ...string) *child.Process {
	w.t.Helper()
	p, err := w.Spawn("/proc/self/exe", append([]string{hostileArg, what}, args...)...)
	require.NoError(w.t, err)
	return p
}

// renewed waits for another window in the banner's place.
func (w *watched) renewed() {
	w.t.Helper()
	before := w.win.ID
	eventually(w.t, func() bool {
		windows, err := w.Windows(w.ctx, "banner")
		if err == nil && len(windows) == 1 {
			w.win = windows[0]
		}
		return w.win.ID != before
	}, "it hasn't been noticed")
}

// stops makes sure that the user can stop the viewing.
func (w *watched) stops() {
	w.t.Helper()
	eventually(w.t, func() bool {
		if windows, err := w.Windows(w.ctx, "banner"); err == nil && len(windows) > 0 {
			w.win = windows[0]
		}
		w.click(w.stop)
		return stopped(w.Showing)
	}, "Stop was never heard")
	assert.ErrorIs(w.t, w.down(), consent.ErrStopped)
}

// Whatever may cover the banner, hide it, or leave it unpainted, is noticed when it happens, by an event. Where the
// server has none, the banner asks.
func TestBannerIsTold(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]testhost.Options{
		"by events": bare, "without RANDR": {Width: 640, Height: 480, Args: []string{"-extension", "RANDR"}},
	} {
		t.Run("a compositor that takes over/"+name, func(t *testing.T) {
			t.Parallel()
			w := putAsleep(t, o, nil)
			w.client("compositor in name")
			w.renewed()
			w.stops()
		})
	}
	t.Run("a window manager that comes and goes", func(t *testing.T) {
		t.Parallel()
		w := putAsleep(t, bare, nil)
		manager := w.client("manager in name")
		w.renewed()
		time.Sleep(time.Second) // until it has seen that it is painted
		manager.Stop(0, time.Second)
		w.renewed()
		w.stops()
	})
	t.Run("its own window as the window manager's", func(t *testing.T) {
		t.Parallel()
		w := putAsleep(t, bare, nil)
		w.client("manager in name", strconv.Itoa(int(w.win.ID)))
		time.Sleep(time.Second) // for a look
		w.stops()
	})
	t.Run("a window within", func(t *testing.T) {
		t.Parallel()
		w := putAsleep(t, bare, nil)
		w.hostile("within") // which ends when it is destroyed
		w.stops()
	})
	t.Run("a window above", func(t *testing.T) {
		t.Parallel()
		for name, before := range map[string]func(*desk){"bare": nil, "composited": (*desk).composite} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := putAsleep(t, bare, before)
				w.spawn("cover")
				w.stops()
			})
		}
	})
	t.Run("a monitor that shrinks", func(t *testing.T) {
		t.Parallel()
		for name, screen := range map[string][]string{"with the screen": nil, "alone": {"--fb", "1920x1080"}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := putAsleep(t, family(1920, 1080), nil)
				require.Greater(t, w.win.X+w.win.Width, 640)
				w.run("xrandr", "--newmode", "small", "25.175", "640", "656", "752", "800", "480", "490", "492", "525")
				w.run("xrandr", "--addmode", "screen", "small")
				w.run("xrandr", append(screen, "--output", "screen", "--mode", "small")...)
				eventually(t, func() bool { w.find(); return w.win.X >= 0 && w.win.X+w.win.Width <= 640 }, "it stays where nobody sees it")
				w.stops()
			})
		}
	})
}
