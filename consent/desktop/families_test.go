package desktop

import (
	"fmt"
	"image"
	"image/color"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/shape"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// families are the window managers of desktops, one of each family: Xfce's, MATE's, GNOME's, and
// one that tiles. The first and third draw everything themselves (composite).
var families = map[string][]string{
	"xfwm4":  bus("xfwm4", "--sm-client-disable", "--compositor=on", "--vblank=off"),
	"marco":  bus("marco", "--sm-disable", "--no-composite"),
	"mutter": bus("mutter", "--x11", "--sm-disable"),
	"i3":     {"sh", "-c", `printf 'font pango:monospace 8\n' > "$HOME/i3"; exec i3 -c "$HOME/i3"`},
}

// bus is a command that needs a session bus and nothing of the user's.
func bus(argv ...string) []string {
	return append([]string{"sh", "-c", `XDG_RUNTIME_DIR=$HOME GSETTINGS_BACKEND=memory LIBGL_ALWAYS_SOFTWARE=1 NO_AT_BRIDGE=1 exec dbus-run-session -- "$@"`, "sh"}, argv...)
}

// family is a desktop of a family, with the question's monitor this large.
func family(width, height int) testhost.Options {
	return testhost.Options{Width: width, Height: height, Args: []string{"+extension", "GLX", "+extension", "RANDR", "+extension", "COMPOSITE"}}
}

// patient is a question that waits for a desktop on a slow machine.
func patient(r *consent.Request) { r.Timeout = 10 * time.Minute }

// eachFamily runs a test under those window managers, all of them if none is named.
func eachFamily(t *testing.T, names []string, f func(t *testing.T, start func(d *desk))) {
	if names == nil {
		names = []string{"xfwm4", "marco", "mutter", "i3"}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, name, name)
			testenv.Program(t, "wmctrl", "wmctrl")
			f(t, func(d *desk) { d.manage(families[name]) })
		})
	}
}

// The question can be answered under each of them, with keys and with the mouse.
func TestFamilies(t *testing.T) {
	t.Parallel()
	eachFamily(t, nil, func(t *testing.T, start func(d *desk)) {
		d := put(t, family(1024, 600), start, patient).ready()
		d.key("Tab", "Return")
		d.expect(consent.Granted)
		d.put(patient)
		d.ready()
		d.clickCalmly()
		d.expect(consent.Granted)
	})
}

// What is hidden takes no answer, and comes back by itself.
func TestHiddenTakesNoAnswer(t *testing.T) {
	t.Parallel()
	for how, hide := range map[string]func(d *desk){
		"show desktop": func(d *desk) { d.run("wmctrl", "-k", "on") },
		"rolled up":    func(d *desk) { d.run("wmctrl", "-x", "-r", "consent.shadowd", "-b", "add,shaded") },
		"minimized":    func(d *desk) { d.run("xdotool", "windowminimize", strconv.Itoa(int(d.win.ID))) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			names := []string{"xfwm4", "marco"}
			if how == "show desktop" {
				names = append(names, "mutter") // which minimizes no window that asks it not to
			}
			eachFamily(t, names, func(t *testing.T, start func(d *desk)) {
				d := put(t, family(1024, 600), start, patient).ready()
				d.typeWhileHidden(hide)
				d.agree()
			})
		})
	}
}

// typeWhileHidden has the question hidden and types a Yes, which isn't heard. The question's process is stopped
// meanwhile, or it could be back before the keys. A question that has left the window manager's hands, because that
// took its time to show it, can't be hidden: then another is put.
func (d *desk) typeWhileHidden(hide func(d *desk)) {
	d.t.Helper()
	for {
		pid := d.pid()
		require.NoError(d.t, unix.Kill(pid, unix.SIGSTOP))
		defer unix.Kill(pid, unix.SIGCONT) // whatever becomes of the test
		eventually(d.t, func() bool { hide(d); return d.unmanaged() || d.isHidden() }, "it isn't hidden")
		if !d.unmanaged() {
			d.key("Tab", "Return")
			require.NoError(d.t, unix.Kill(pid, unix.SIGCONT))
			eventually(d.t, func() bool { return len(d.answer) > 0 || !d.isHidden() }, "it doesn't come back")
			d.unanswered()
			return
		}
		require.NoError(d.t, d.ctx.Err(), "the window manager never had it")
		require.NoError(d.t, unix.Kill(pid, unix.SIGCONT))
		d.refuse()
		d.put(patient)
		d.ready()
	}
}

// isHidden reports whether the window manager doesn't show the question.
func (d *desk) isHidden() bool {
	out, err := d.Run(d.ctx, "sh", "-c", fmt.Sprintf("xprop -id %[1]d WM_STATE _NET_WM_STATE; xwininfo -id %[1]d", d.win.ID))
	return err == nil && (strings.Contains(string(out), "window state: Iconic") || strings.Contains(string(out), "_NET_WM_STATE_HIDDEN") || !strings.Contains(string(out), "IsViewable"))
}

// hasKeyboard reports whether the question has it.
func (d *desk) hasKeyboard() bool {
	out, err := d.Run(d.ctx, "xdotool", "getwindowfocus", "-f")
	return err == nil && strings.TrimSpace(string(out)) == strconv.Itoa(int(d.win.ID))
}

// A screen that becomes smaller takes the question along, and nothing counts before it is there.
func TestScreenBecomesSmaller(t *testing.T) {
	t.Parallel()
	testenv.Program(t, "xfwm4", "xfwm4")
	testenv.Program(t, "mutter", "mutter")
	for name, start := range map[string]func(d *desk){
		"bare": func(*desk) {}, "xfwm4": func(d *desk) { d.manage(families["xfwm4"]) }, "mutter": func(d *desk) { d.manage(families["mutter"]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := put(t, family(1920, 1080), start, patient).ready()
			// It is stopped until the keys are there: they came while it was off the screen.
			pid := d.pid()
			require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
			d.run("xrandr", "--newmode", "small", "25.175", "640", "656", "752", "800", "480", "490", "492", "525")
			d.run("xrandr", "--addmode", "screen", "small")
			d.run("xrandr", "--output", "screen", "--mode", "small")
			d.key("Tab", "Return")
			require.NoError(t, unix.Kill(pid, unix.SIGCONT))
			eventually(t, func() bool {
				windows, err := d.Windows(d.ctx, "consent")
				if err != nil || len(windows) == 0 {
					return len(d.answer) > 0
				}
				w := windows[0]
				return w.X >= 0 && w.Y >= 0 && w.X+w.Width <= 640 && w.Y+w.Height <= 480
			}, "it stays off the screen")
			d.unanswered()
			d.ready().clickCalmly()
			d.expect(consent.Granted)
		})
	}
}

// A window manager that shows nothing but a full screen doesn't have the question to itself.
func TestNeverShown(t *testing.T) {
	t.Parallel()
	for _, composited := range []bool{false, true} {
		t.Run(strconv.FormatBool(composited), func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, "i3", "i3-wm")
			d := put(t, family(640, 480), func(d *desk) {
				d.manage(families["i3"])
				if composited {
					d.composite()
				}
				d.surround("xterm", "xterm")
				d.run("wmctrl", "-x", "-r", "xterm.XTerm", "-b", "add,fullscreen")
				eventually(d.t, func() bool {
					windows, err := d.Windows(d.ctx, "xterm")
					return err == nil && len(windows) > 0 && windows[0].Height > 470
				}, "it doesn't fill the screen")
			}, patient).ready()
			d.key("Tab", "Return")
			d.expect(consent.Granted)
		})
	}
}

// Another window manager may take the desktop over while the question is there.
func TestWindowManagerIsReplaced(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"xfwm4", "marco", "mutter"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, "xfwm4", "xfwm4")
			testenv.Program(t, name, name)
			d := put(t, family(1024, 600), func(d *desk) { d.manage(families["xfwm4"]) }, patient).ready()
			d.replaceManager(name)
			eventually(t, d.hasKeyboard, "it has no keyboard")
			d.agree()
		})
	}
	t.Run("by none", func(t *testing.T) {
		t.Parallel()
		testenv.Program(t, "xfwm4", "xfwm4")
		var manager *child.Process
		d := put(t, family(1024, 600), func(d *desk) { manager = d.manage(families["xfwm4"]) }, patient).ready()
		manager.Stop(0, time.Second)
		eventually(t, d.unmanaged, "it stays with nobody")
		eventually(t, d.hasKeyboard, "it has no keyboard")
		d.agree()
	})
}

// agree says Yes with keys, calmly and again until that is heard: the window manager may still
// be busy with the keyboard.
func (d *desk) agree() {
	d.t.Helper()
	for len(d.answer) == 0 {
		require.NoError(d.t, d.ctx.Err(), "Yes was never heard")
		if windows, err := d.Windows(d.ctx, "consent"); err == nil && len(windows) > 0 {
			d.key("Tab", "Return")
		}
		time.Sleep(800 * time.Millisecond) // as somebody does who isn't typing
	}
	d.expect(consent.Granted)
}

// replaceManager has a window manager take over from xfwm4.
func (d *desk) replaceManager(name string) {
	d.t.Helper()
	manager := func() string { return d.run("xprop", "-root", "_NET_SUPPORTING_WM_CHECK") }
	before := manager()
	argv := append(append([]string{}, families[name]...), "--replace")
	_, err := d.Spawn(argv[0], argv[1:]...)
	require.NoError(d.t, err)
	eventually(d.t, func() bool { now := manager(); return strings.Contains(now, "window id") && now != before }, "it isn't replaced")
}

// night is what the banner has where it has neither text nor button.
var night = color.RGBA{0x1d, 0x25, 0x2d, 0xff}

// The banner is seen again, on the screen and not only as a window, after another compositor took
// the screen over.
func TestBannerAfterACompositorIsReplaced(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"xfwm4", "marco", "mutter"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, "xfwm4", "xfwm4")
			testenv.Program(t, name, name)
			w := watch(t, family(1024, 600), func(d *desk) { d.manage(families["xfwm4"]) })
			eventually(t, w.painted, "there is no banner")
			w.replaceManager(name)
			time.Sleep(2 * time.Second) // for what comes late
			eventually(t, w.painted, "the banner isn't painted")
			require.NoError(t, w.Err())
			assert.False(t, stopped(w.Showing))
			w.click(w.stop)
			assert.ErrorIs(t, w.down(), consent.ErrStopped)
		})
	}
}

// painted reports whether the banner is on the screen, and not only there as a window.
func (w *watched) painted() bool {
	img, err := w.Screenshot(w.ctx)
	windows, findErr := w.Windows(w.ctx, "banner")
	if err != nil || findErr != nil || len(windows) == 0 {
		return false
	}
	w.win = windows[0]
	return dark(img, image.Rect(0, 0, w.win.Width, w.win.Height).Add(image.Pt(w.win.X, w.win.Y)))
}

// A banner that nobody can see any more, although it is there, ends the view. A window above it that input
// passes excuses nothing: compositors may lay one over everything.
func TestBannerThatIsNotPainted(t *testing.T) {
	t.Parallel()
	for name, above := range map[string]func(d *desk){"alone": func(*desk) {}, "below": func(d *desk) { d.spawn("veil") }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, bare, nil)
			w.run("xsetroot", "-solid", "#aa5500")
			w.client("blind compositor")
			w.renewed()
			above(w.desk)
			assert.ErrorContains(t, w.down(), "the screen no longer shows the banner")
		})
	}
}

// A banner whose window another program takes off the screen comes back, and not for ever: whoever goes on with it
// ends the view.
func TestBannerThatIsTakenOff(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	w.run("xsetroot", "-solid", "#aa5500")
	off := func() {
		windows, err := w.Windows(w.ctx, "banner")
		if err == nil && len(windows) > 0 {
			_, _ = w.Run(w.ctx, "xdotool", "windowunmap", strconv.FormatUint(uint64(windows[0].ID), 10))
		}
	}
	eventually(t, w.painted, "there is no banner")
	off()
	w.renewed() // not that it is off the screen: it may be back before anybody looks
	eventually(t, w.painted, "it doesn't come back")
	assert.False(t, stopped(w.Showing))
	eventually(t, func() bool {
		off()
		select {
		case <-w.Done():
			return true
		default:
			return false
		}
	}, "the view goes on without a banner")
	require.ErrorContains(t, w.Err(), "the screen no longer shows the banner")
}

// onBanner does something to the banner's window, if there is one; it may be a new one's by now.
func (w *watched) onBanner(do func(id string) []string) {
	windows, err := w.Windows(w.ctx, "banner")
	if err != nil || len(windows) == 0 {
		return
	}
	argv := do(strconv.FormatUint(uint64(windows[0].ID), 10))
	if argv[0] == hostileArg {
		_, _ = w.other(argv...)
		return
	}
	_, _ = w.Run(w.ctx, argv[0], argv[1:]...)
}

// A banner whose window another program moves, shrinks, cuts, leaves no input, or puts into another one is put right by a
// new window, and not for ever: whoever goes on with it ends the view. With a compositor, too, and when a window of a
// single pixel lies above.
func TestBannerThatAnotherProgramTakesAway(t *testing.T) {
	t.Parallel()
	ways := map[string]func(id string) []string{
		"moves":             func(id string) []string { return []string{"xdotool", "windowmove", id, "-5000", "0"} },
		"moves a little":    func(id string) []string { return []string{"xdotool", "windowmove", id, "7", "7"} },
		"shrinks":           func(id string) []string { return []string{"xdotool", "windowsize", id, "1", "1"} },
		"takes off":         func(id string) []string { return []string{"xdotool", "windowunmap", id} },
		"cuts":              func(id string) []string { return []string{hostileArg, "shape", id, strconv.Itoa(shape.SkBounding)} },
		"clips":             func(id string) []string { return []string{hostileArg, "shape", id, strconv.Itoa(shape.SkClip)} },
		"leaves no input":   func(id string) []string { return []string{hostileArg, "shape", id, strconv.Itoa(shape.SkInput)} },
		"puts into another": func(id string) []string { return []string{hostileArg, "reparent", id} },
	}
	for way, do := range ways {
		for name, before := range map[string]func(*desk){"bare": nil, "composited": (*desk).composite} {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := putAsleep(t, bare, before)
				w.client("speck", "0", strconv.Itoa(w.win.X+5), strconv.Itoa(w.win.Y+5))
				at := w.win
				w.onBanner(do)
				w.renewed()
				eventually(t, func() bool {
					windows, err := w.Windows(w.ctx, "banner")
					return err == nil && len(windows) == 1 && windows[0].X == at.X && windows[0].Y == at.Y && windows[0].Width == at.Width && windows[0].Height == at.Height
				}, "it isn't where it was")
				assert.False(t, stopped(w.Showing))
				eventually(t, func() bool {
					w.onBanner(do)
					select {
					case <-w.Done():
						return true
					default:
						return false
					}
				}, "the view goes on without a banner")
				require.ErrorContains(t, w.Err(), "the screen no longer shows the banner")
			})
		}
	}
}

// dark reports whether most of a part of a screen is the banner's paper.
func dark(img *image.RGBA, r image.Rectangle) bool {
	n := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if img.RGBAAt(x, y) == night {
				n++
			}
		}
	}
	return n > r.Dx()*r.Dy()/3
}

// A screen that becomes smaller has the whole banner, whatever it says, and Stop can be pressed.
func TestBannerOnAScreenThatBecomesSmaller(t *testing.T) {
	t.Parallel()
	for name, dpi := range map[string]int{"as large as ever": 96, "for a fine screen": 192} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, family(1920, 1080), nil)
			d.run("sh", "-c", fmt.Sprintf("echo 'Xft.dpi: %d' | xrdb -merge", dpi))
			r := request(d.Desktop)
			r.Locale, r.Identity, r.Basis, r.Wish = "de_DE.UTF-8", consent.Identity{}, consent.BySilence, func(consent.Wish) {}
			r.Purpose = purposes["sentence"]
			w := &watched{desk: d}
			w.show(w.ctx, r)
			require.Greater(t, w.win.Width, 640, "or it needn't become smaller")
			d.run("xrandr", "--newmode", "small", "25.175", "640", "656", "752", "800", "480", "490", "492", "525")
			d.run("xrandr", "--addmode", "screen", "small")
			d.run("xrandr", "--output", "screen", "--mode", "small")
			eventually(t, func() bool {
				w.find()
				return w.win.X >= 0 && w.win.Y >= 0 && w.win.X+w.win.Width <= 640 && w.win.Y+w.win.Height <= 480
			}, "it stays off the screen")
			assert.False(t, stopped(w.Showing))
			eventually(t, func() bool {
				// Not find: a banner that has heard of it is gone. Where it stays it has been.
				if windows, err := w.Windows(w.ctx, "banner"); err == nil && len(windows) > 0 {
					w.win = windows[0]
				}
				w.click(w.stop)
				return stopped(w.Showing)
			}, "Stop was never heard")
			assert.ErrorIs(t, w.down(), consent.ErrStopped)
		})
	}
}
