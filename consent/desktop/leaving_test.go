package desktop

import (
	"encoding/binary"
	"errors"
	"image/color"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// unmanaged reports whether the question has left the window manager's hands.
func (d *desk) unmanaged() bool {
	out, err := d.Run(d.ctx, "xwininfo", "-stats", "-id", strconv.Itoa(int(d.win.ID)))
	return err == nil && strings.Contains(string(out), "Override Redirect State: yes") && strings.Contains(string(out), "IsViewable")
}

// keyboard is the window that has the keyboard.
func (d *desk) keyboard() string {
	d.t.Helper()
	return strings.TrimSpace(d.run("xdotool", "getwindowfocus", "-f"))
}

// The question that has left the window manager, because of what that keeps above it, has the
// keyboard and an edge of its own, and gives the keyboard back.
func TestOutOfTheWindowManagersHands(t *testing.T) {
	t.Parallel()
	for name, argv := range managers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := put(t, testhost.Options{Width: 640, Height: 480, WindowManager: argv == nil}, func(d *desk) {
				if argv != nil {
					d.manage(argv)
				}
			}).ready()
			var screen testhost.Window
			if name == "metacity" { // keeps the question above a full screen
				d.spawn("cover")
			} else {
				screen = d.fullScreen()
			}
			eventually(t, d.unmanaged, "it stays below")
			d.ready()
			assert.Equal(t, strconv.Itoa(int(d.win.ID)), d.keyboard())

			img, ok := d.look("consent", false)
			require.True(t, ok)
			edge, last := color.RGBA{0x8a, 0x94, 0xa0, 0xff}, img.Rect.Max.Sub(img.Rect.Min).Sub(img.Rect.Min)
			for x := range last.X {
				require.Equal(t, []color.RGBA{edge, edge}, []color.RGBA{img.RGBAAt(x, 0), img.RGBAAt(x, last.Y-1)}, "column %d", x)
			}
			for y := range last.Y {
				require.Equal(t, []color.RGBA{edge, edge}, []color.RGBA{img.RGBAAt(0, y), img.RGBAAt(last.X-1, y)}, "row %d", y)
			}
			want := kept(t, "dialog-en-1")
			timeless(img.Rect, 1, img, want)
			assert.LessOrEqual(t, difference(img, want, 4), few, "it looks as without a window manager")

			d.key("Tab", "Return")
			d.expect(consent.Granted)
			if screen.ID != 0 {
				assert.Equal(t, strconv.Itoa(int(screen.ID)), d.keyboard())
			}
		})
	}
}

// The question gives the keyboard back when nobody answers, too.
func TestKeyboardAfterSilence(t *testing.T) {
	t.Parallel()
	var terminal string
	d := newDesk(t, bare, func(d *desk) {
		d.surround("xterm", "xterm")
		eventually(d.t, func() bool {
			windows, err := d.Windows(d.ctx, "xterm")
			if err != nil || len(windows) == 0 {
				return false
			}
			terminal = strconv.Itoa(int(windows[0].ID))
			d.run("xdotool", "windowfocus", terminal)
			return d.keyboard() == terminal
		}, "it never had the keyboard")
	})
	d.silence(func() error {
		if d.keyboard() != strconv.Itoa(int(d.win.ID)) {
			return errors.New("the question never had the keyboard")
		}
		return nil
	})
	assert.Equal(t, terminal, d.keyboard())
}

// A window manager that doesn't let go of the question doesn't have it for ever.
func TestOutOfStubbornHands(t *testing.T) {
	t.Parallel()
	d := put(t, bare, func(d *desk) { d.manage([]string{"/proc/self/exe", hostileArg, "stubborn manager"}) }).ready()
	assert.False(t, d.unmanaged())
	d.spawn("cover")
	eventually(t, d.unmanaged, "it stays below")
	d.ready().key("Tab", "Return")
	d.expect(consent.Granted)
}

// manageStubbornly is a window manager without frames that puts windows onto the screen, again
// when they go away, and moves or raises none. If lock is set, it lets go of the first instead,
// and locks the screen just before.
func (c client) manageStubbornly(lock bool) error {
	x := c.x.Conn
	err := xproto.ChangeWindowAttributesChecked(x, c.screen.Root, xproto.CwEventMask,
		[]uint32{xproto.EventMaskSubstructureRedirect | xproto.EventMaskSubstructureNotify}).Check()
	if err != nil {
		return err
	}
	check, err := c.window(c.screen.Root, 1, 1, 0)
	if err != nil {
		return err
	}
	const name = "_NET_SUPPORTING_WM_CHECK"
	atom, err := xproto.InternAtom(x, false, uint16(len(name)), name).Reply()
	if err != nil {
		return err
	}
	for _, of := range []xproto.Window{check, c.screen.Root} {
		id := binary.NativeEndian.AppendUint32(nil, uint32(check))
		xproto.ChangeProperty(x, xproto.PropModeReplace, of, atom.Atom, xproto.AtomWindow, 32, 1, id)
	}
	managed := map[xproto.Window]bool{}
	for {
		ev, xerr := c.x.WaitForEvent()
		switch e := ev.(type) {
		case nil:
			if xerr == nil {
				return nil // the X server has gone
			}
		case xproto.MapRequestEvent:
			managed[e.Window] = true
			xproto.MapWindow(x, e.Window)
		case xproto.UnmapNotifyEvent:
			switch {
			case !managed[e.Window]:
			case !lock:
				xproto.MapWindow(x, e.Window)
			default:
				delete(managed, e.Window)
				if err := c.lockAndRelease(e.Window); err != nil {
					return err
				}
			}
		}
	}
}

// lockAndRelease locks the screen and gives a window back to the root window.
func (c client) lockAndRelease(id xproto.Window) error {
	curtain, err := c.window(c.screen.Root, c.screen.WidthInPixels, c.screen.HeightInPixels, 0)
	if err != nil {
		return err
	}
	if err := c.grab(); err != nil {
		return err
	}
	xproto.MapWindow(c.x.Conn, curtain)
	return xproto.ReparentWindowChecked(c.x.Conn, id, c.screen.Root, 0, 0).Check()
}

// What looks like a lock is never below the question, not even before it is sure that it is one.
func TestNeverAboveALock(t *testing.T) {
	t.Parallel()
	for name, putAway := range map[string]bool{"covered": false, "put away": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o testhost.Options) {
				d := put(t, o, nil).ready()
				d.around("locker")
				if putAway { // which fails if it is gone by now
					_, _ = d.Run(d.ctx, "xdotool", "windowunmap", strconv.Itoa(int(d.win.ID)))
				}
				d.staysBelow()
				d.expect(consent.Locked)
			})
		})
	}
	t.Run("leaving the window manager", func(t *testing.T) {
		t.Parallel()
		d := put(t, bare, func(d *desk) { d.manage([]string{"/proc/self/exe", hostileArg, "locking manager"}) }).ready()
		d.spawn("cover")
		d.staysBelow()
		d.expect(consent.Locked)
	})
}

// staysBelow says that until there is an answer the question isn't seen again once it is covered.
func (d *desk) staysBelow() {
	d.t.Helper()
	x, y := d.win.Center()
	for covered := false; len(d.answer) == 0; {
		require.NoError(d.t, d.ctx.Err())
		img, err := d.Screenshot(d.ctx)
		if err != nil {
			continue // a window went away meanwhile
		}
		now := img.RGBAAt(x, y) == color.RGBA{0x00, 0xaa, 0x00, 0xff}
		require.True(d.t, now || !covered, "the question is above the lock")
		covered = now
	}
}

// The keyboard may be taken over a window that was there before, as a game's.
func TestACoverThatWasThereBeforeIsNoLock(t *testing.T) {
	t.Parallel()
	d := put(t, bare, func(d *desk) { d.spawn("cover") }).ready()
	require.Never(t, func() bool { return len(d.answer) > 0 }, 2*time.Second, 100*time.Millisecond)
	d.around("wallpaper with the keyboard")
	require.Never(t, func() bool { return len(d.answer) > 0 }, 3500*time.Millisecond, 100*time.Millisecond)
	d.ready().click(d.deny)
	d.expect(consent.Denied)
}

// The focus goes back to No by itself, which can be seen.
func TestTheFocusLapses(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	d.key("Tab")
	eventually(t, func() bool {
		img, err := d.Screenshot(d.ctx)
		x, y := d.allow()
		return err == nil && img.RGBAAt(x-30, y) == accent
	}, "Yes has no focus")
	d.ready().key("Return")
	d.expect(consent.Denied)
}
