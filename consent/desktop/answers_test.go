package desktop

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(d *desk)
		want consent.Decision
	}{
		"mouse on Yes":       {func(d *desk) { d.click(d.allow) }, consent.Granted},
		"mouse on No":        {func(d *desk) { d.click(d.deny) }, consent.Denied},
		"Tab, Enter":         {func(d *desk) { d.key("Tab", "Return") }, consent.Granted},
		"Right, Space":       {func(d *desk) { d.key("Right", "space") }, consent.Granted},
		"Tab, keypad":        {func(d *desk) { d.key("Tab", "KP_Enter") }, consent.Granted},
		"Enter":              {func(d *desk) { d.key("Return") }, consent.Denied},
		"Tab, Tab, Enter":    {func(d *desk) { d.key("Tab", "Tab", "Return") }, consent.Denied},
		"Right, Left, Space": {func(d *desk) { d.key("Right", "Left", "space") }, consent.Denied},
		"Tab, Esc":           {func(d *desk) { d.key("Tab", "Escape") }, consent.Denied},
		// A letter that granted would show in the first, one that refused in the second.
		"letters, Esc":        {func(d *desk) { d.key("y", "Y", "j", "o", "ctrl+y"); d.ready().key("Escape") }, consent.Denied},
		"letters, Tab, Enter": {func(d *desk) { d.key("n", "N", "q", "ctrl+c", "alt+n", "ctrl+Return"); d.ready().key("Tab", "Return") }, consent.Granted},
		"Shift, Tab, Enter":   {func(d *desk) { d.key("shift+Tab", "Return") }, consent.Granted},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, o testhost.Options) {
				d := put(t, o, nil).ready()
				c.do(d)
				d.expect(c.want)
			})
		})
	}
}

// Somebody who goes on typing when the question comes answers nothing by it: neither with a
// form's Tab and Enter, nor with the arrows of a spreadsheet, nor with the spaces of prose.
func TestTypingAnswersNothing(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]string{
		"form":        "1 2 3 4 5 6 7 8 9 Tab 3 4 Return Tab Return",
		"spreadsheet": "1 Right 2 Right Right Return 3 Down Return Right Return",
		"prose":       "a n d space t h e n space i t space Return Escape",
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, o testhost.Options) {
				d := put(t, o, nil).ready()
				d.run("xdotool", append([]string{"key", "--delay", "140"}, strings.Fields(keys)...)...)
				d.unanswered()
				d.ready().key("Tab", "Return") // calmly
				d.expect(consent.Granted)
			})
		})
	}
}

func TestMouseMustStayOnTheButton(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	x, y := d.deny()
	d.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mousedown", "1")
	x, y = d.allow()
	d.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mouseup", "1")
	d.key("Escape") // comes after the mouse
	d.expect(consent.Denied)
}

func TestInputOfAnotherClientIsIgnored(t *testing.T) {
	t.Parallel()
	const (
		keyPress, keyRelease, buttonPress, buttonRelease = 2, 3, 4, 5
		escape, tab, enter                               = 9, 23, 36 // keycodes of Xvfb's keyboard
	)
	t.Run("Yes", func(t *testing.T) {
		both(t, func(t *testing.T, o testhost.Options) {
			d := put(t, o, nil).ready()
			d.send(keyPress, keyRelease, tab, d.allow)
			d.send(keyPress, keyRelease, enter, d.allow)
			d.send(buttonPress, buttonRelease, 1, d.allow)
			d.key("Escape")
			d.expect(consent.Denied)
		})
	})
	t.Run("No", func(t *testing.T) {
		d := put(t, bare, nil).ready()
		d.send(keyPress, keyRelease, escape, d.deny)
		d.send(buttonPress, buttonRelease, 1, d.deny)
		d.key("Tab", "Return")
		d.expect(consent.Granted)
	})
}

func TestEarlyInputIsIgnored(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := early(t, o, func(d *desk) time.Time {
			x, y := d.deny()
			d.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "click", "1", "key", "Escape", "Return")
			return d.asked
		})
		d.ready().key("Tab", "Return")
		d.expect(consent.Granted)
	})
}

// early gives input to a question while it takes none, which it does for [waryGuard] since something that
// input returns the time of. Where that was too short it does so again.
func early(t *testing.T, o testhost.Options, input func(d *desk) (since time.Time)) *desk {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 10*time.Minute; {
		d := newDesk(t, o, nil)
		d.by = wary
		d.put()
		if time.Since(input(d)) < waryGuard {
			return d
		} // some of it may have counted
	}
	require.FailNow(t, "for ten minutes this machine was too slow for a click within ten seconds")
	return nil
}

func TestAButtonThatWasDownIsIgnored(t *testing.T) {
	t.Parallel()
	d := put(t, bare, func(d *desk) {
		d.run("xdotool", "mousemove", "320", "240", "mousedown", "1")
	}).ready()
	x, y := d.allow()
	d.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mouseup", "1")
	d.unanswered()
	d.click(d.allow)
	d.expect(consent.Granted)
}

func TestAnotherButtonThatWasDownIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := put(t, bare, func(d *desk) {
		d.run("xdotool", "mousemove", "320", "240", "mousedown", "3")
	}).ready()
	d.click(d.deny) // would be heard before what follows
	d.run("xdotool", "mouseup", "3")
	d.click(d.allow)
	d.expect(consent.Granted)
}

// A key that is down when the question comes repeats, and belongs to whoever it was pressed for.
func TestAKeyThatWasDownIsIgnored(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"Return", "Escape", "Tab"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o testhost.Options) {
				d := put(t, o, func(d *desk) { d.run("xdotool", "keydown", key) })
				require.Never(t, func() bool { return len(d.answer) > 0 }, 2*time.Second, 100*time.Millisecond)
				d.run("xdotool", "keyup", key)
				d.ready().key("Tab", "Return")
				d.expect(consent.Granted)
			})
		})
	}
}

// A program that has the pointer for itself leaves the keyboard, so that nothing is locked.
func TestPointerHeld(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, func(d *desk) { d.surround("cover", "/proc/self/exe", hostileArg, "hold the pointer") }).ready()
		require.Never(t, func() bool { return len(d.answer) > 0 }, 2500*time.Millisecond, 100*time.Millisecond)
		d.key("Tab", "Return")
		d.expect(consent.Granted)
	})
}

func TestFocusStolen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil).ready()
		d.hostile("steal")
		d.key("Tab", "Return", "Return", "Escape") // nobody's
		d.unanswered()
		d.click(d.allow)
		d.expect(consent.Granted)
	})
}

// Somebody who goes on typing while the window gets the keyboard answers nothing by it.
func TestFocusArrivesWhileTyping(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	d.hostile("steal")
	d.run("xdotool", "windowfocus", strconv.Itoa(int(d.win.ID)), "key", "--delay", "50", "Tab", "Return")
	d.unanswered()
	d.ready().key("Tab", "Return")
	d.expect(consent.Granted)
}

// The keyboard goes back to who had it.
func TestFocusReturns(t *testing.T) {
	t.Parallel()
	var before string
	d := put(t, bare, func(d *desk) {
		_, err := d.Spawn("xmessage", "-geometry", "200x100+0+0", "hello")
		require.NoError(t, err)
		w, err := d.FindWindow(d.ctx, "xmessage")
		require.NoError(t, err)
		before = strconv.Itoa(int(w.ID))
		d.run("xdotool", "windowfocus", before)
	}).ready()
	assert.Equal(t, strconv.Itoa(int(d.win.ID)), strings.TrimSpace(d.run("xdotool", "getwindowfocus", "-f")))
	d.key("Escape")
	d.expect(consent.Denied)
	assert.Equal(t, before, strings.TrimSpace(d.run("xdotool", "getwindowfocus", "-f")))
}
