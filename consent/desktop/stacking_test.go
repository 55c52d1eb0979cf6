package desktop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// Without a window manager a window that is laid over the question is not the
// last word.
func TestRaisedWhenCovered(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	d.spawn("cover")
	eventually(t, func() bool { d.click(d.allow); return len(d.answer) > 0 }, "Yes was never heard")
	d.expect(consent.Granted)
}

// fullScreen has a window manager fill the screen with another client.
func (d *desk) fullScreen() testhost.Window {
	d.t.Helper()
	d.surround("xterm", "xterm", "-fullscreen")
	var screen testhost.Window
	eventually(d.t, func() bool {
		windows, err := d.Windows(d.ctx, "xterm")
		if err == nil && len(windows) > 0 {
			screen = windows[0]
		}
		return screen.Height > 400
	}, "it doesn't fill the screen")
	return screen
}

// clickCalmly clicks on Yes until it counts, not so often that the guard time would begin again
// each time.
func (d *desk) clickCalmly() {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		if len(d.answer) > 0 {
			return true
		}
		if windows, err := d.Windows(d.ctx, "consent"); err == nil && len(windows) > 0 {
			d.win = windows[0] // it may have been moved
			d.click(d.allow)
		}
		return false
	}, 5*time.Minute, 700*time.Millisecond, "Yes was never heard")
}

// Nor is it with one, which keeps some windows above those that it manages, whatever those
// wish: what fills the screen and has the keyboard, and what it doesn't manage.
func TestRaisedAboveAFullScreen(t *testing.T) {
	t.Parallel()
	screens := map[string]func(d *desk){
		"managed":   func(d *desk) { d.fullScreen() },
		"unmanaged": func(d *desk) { d.spawn("cover") },
	}
	for name, argv := range managers {
		for kind, fill := range screens {
			for _, composited := range []bool{false, true} {
				t.Run(fmt.Sprint(name, "/", kind, "/", composited), func(t *testing.T) {
					t.Parallel()
					d := put(t, testhost.Options{Width: 640, Height: 480, WindowManager: argv == nil}, func(d *desk) {
						if argv != nil {
							d.manage(argv)
						}
						if composited {
							d.composite()
						}
					}).ready()
					fill(d)
					d.clickCalmly()
					d.expect(consent.Granted)
				})
			}
		}
	}
}

// An open menu, and what a window manager shows while the user drags a window, may lie above
// the question for a while.
func TestNotRaisedWhileTheUserIsBusy(t *testing.T) {
	t.Parallel()
	t.Run("menu", func(t *testing.T) {
		t.Parallel()
		d := put(t, managed, nil).ready()
		before := time.Now()
		d.around("list")
		eventually(t, d.unmanaged, "it stays below for ever")
		require.Greater(t, time.Since(before), 1500*time.Millisecond)
		d.ready().click(d.allow)
		d.expect(consent.Granted)
	})
	t.Run("mouse", func(t *testing.T) {
		t.Parallel()
		d := put(t, managed, nil).ready()
		d.run("xdotool", "mousemove", "5", "5", "mousedown", "1")
		d.spawn("cover")
		require.Never(t, d.unmanaged, 3500*time.Millisecond, 50*time.Millisecond)
		d.run("xdotool", "mouseup", "1")
		d.ready().click(d.allow)
		d.expect(consent.Granted)
	})
}

// A Yes that the user can't have seen the question for counts nothing; a No always does.
func TestYesNeedsToBeSeen(t *testing.T) {
	t.Parallel()
	t.Run("fought over", func(t *testing.T) { // by a window that comes back each time
		t.Parallel()
		d := put(t, bare, nil).ready()
		d.spawn("fight")
		d.key("Tab", "Return", "Return", "Return")
		d.unanswered()
		d.key("Escape")
		d.expect(consent.Denied)
	})
	t.Run("half covered", func(t *testing.T) {
		t.Parallel()
		d := put(t, bare, nil).ready()
		d.spawn("fight", 200, 200) // only this much of it, in a corner of the screen
		d.click(d.allow)           // the button itself can be seen
		d.key("Tab", "Return")
		d.unanswered()
		d.key("Escape")
		d.expect(consent.Denied)
	})
	t.Run("covered from within", func(t *testing.T) {
		t.Parallel()
		d := put(t, bare, nil).ready()
		d.hostile("within")
		d.ready() // it is destroyed
		d.key("Tab", "Return")
		d.expect(consent.Granted)
	})
}

// With a compositor the server never says that a window is covered.
func TestCompositor(t *testing.T) {
	t.Parallel()
	t.Run("keyboard", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, o testhost.Options) {
			d := put(t, o, (*desk).composite).ready()
			d.key("Tab", "Return")
			d.expect(consent.Granted)
		})
	})
	t.Run("covered", func(t *testing.T) { // by a window that lets input through
		t.Parallel()
		d := put(t, bare, (*desk).composite).ready()
		d.spawn("veil")
		d.key("Tab", "Return", "Return")
		d.unanswered()
		d.click(d.allow) // the pointer enters the window
		d.expect(consent.Granted)
	})
}

// The question and the banner do their work under each of these, with its own ideas of
// frames, focus and stacking.
func TestWindowManagers(t *testing.T) {
	t.Parallel()
	for _, argv := range [][]string{managers["metacity"], managers["icewm"], {"metacity", "--sm-disable", "--composite"}} {
		manage := func(d *desk) { d.manage(argv) }
		t.Run(strings.Join(argv, " "), func(t *testing.T) {
			t.Parallel()
			d := put(t, bare, manage).ready()
			d.key("Tab", "Return")
			d.expect(consent.Granted)
			d = put(t, bare, manage).ready()
			d.click(d.allow)
			d.expect(consent.Granted)
			w := watch(t, bare, manage)
			w.click(w.stop)
			assert.ErrorIs(t, w.down(), consent.ErrStopped)
		})
	}
}

// Windows that come and go over the question a thousand times make the server send
// it an event each time.
func TestExposeFlood(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	d.hostile("flood", 1000)
	eventually(t, func() bool { d.click(d.allow); return len(d.answer) > 0 }, "Yes was never heard")
	d.expect(consent.Granted)
}
