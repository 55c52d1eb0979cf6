package desktop

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/shape"
	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// surround starts another client and returns when its window is there.
func (d *desk) surround(instance string, program string, args ...string) {
	d.t.Helper()
	_, err := d.Spawn(program, args...)
	require.NoError(d.t, err)
	_, err = d.FindWindow(d.ctx, instance)
	require.NoError(d.t, err)
}

// around is surround for one of scenery's.
func (d *desk) around(what string) { d.surround(what, "/proc/self/exe", hostileArg, what) }

// twoMonitors says that the screen is on two.
func (d *desk) twoMonitors() {
	d.run("xrandr", "--setmonitor", "left", "600/100x480/200+0+0", "screen")
	d.run("xrandr", "--setmonitor", "right", "680/150x480/200+600+0", "none")
}

// A place is a desktop on which screens are locked, with a window manager of its own or none.
type place struct {
	name   string
	o      testhost.Options
	manage []string
}

var places = []place{
	{"bare", testhost.Options{Width: 1280, Height: 480}, nil},
	{"openbox", testhost.Options{Width: 1280, Height: 480, WindowManager: true}, nil},
	{"metacity", testhost.Options{Width: 1280, Height: 480}, managers["metacity"]},
}

func (p place) prepare(d *desk) {
	if p.manage != nil {
		d.manage(p.manage)
	}
}

// lockers are how a screen is locked.
var lockers = map[string]func(d *desk){
	"one window":                func(d *desk) { d.around("locker") },
	"below what input passes":   func(d *desk) { d.around("locker"); d.around("overlay") },
	"a window for each monitor": func(d *desk) { d.twoMonitors(); d.around("lockers") },
	"i3lock":                    func(d *desk) { d.surround("i3lock", "i3lock", "-n", "-c", "336699") },
	"xsecurelock":               (*desk).xsecurelock,
}

// xsecurelock locks with the program of this name, and returns when the screen is dark.
func (d *desk) xsecurelock() {
	d.t.Helper()
	testenv.Program(d.t, "xsecurelock", "xsecurelock")
	d.run("xsetroot", "-solid", "#aa5500")
	_, err := d.Spawn("env", "XSECURELOCK_SAVER=saver_blank", "XSECURELOCK_NO_PAM_RHOST=1", "xsecurelock")
	require.NoError(d.t, err)
	eventually(d.t, func() bool {
		img, err := d.Screenshot(d.ctx)
		if err != nil {
			return false
		}
		c := img.RGBAAt(img.Rect.Max.X/3, img.Rect.Max.Y/3)
		return c.R == 0 && c.G == 0 && c.B == 0
	}, "xsecurelock doesn't lock")
}

// Nobody is asked who can't answer.
func TestLocked(t *testing.T) {
	t.Parallel()
	for name, lock := range lockers {
		for _, p := range places {
			t.Run(name+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				t.Cleanup(cancel)
				d := &desk{Desktop: testhost.Require(t, p.o), t: t, ctx: ctx}
				p.prepare(d)
				lock(d)
				got, err := quick.Ask(t.Context(), request(d.Desktop))
				require.NoError(t, err)
				assert.Equal(t, consent.Locked, got)
			})
			t.Run(name+"/"+p.name+"/meanwhile", func(t *testing.T) {
				t.Parallel()
				d := put(t, p.o, p.prepare).ready()
				lock(d)
				d.expect(consent.Locked)
			})
		}
	}
	// A locker that begins as the question comes may show its window before, and take the keyboard after.
	for _, p := range places {
		t.Run("a keyboard taken late/"+p.name, func(t *testing.T) {
			t.Parallel()
			put(t, p.o, func(d *desk) { p.prepare(d); d.around("slowlocker") }).expect(consent.Locked)
		})
	}
	t.Run("a window that was there before", func(t *testing.T) {
		t.Parallel()
		d := put(t, bare, func(d *desk) {
			_, err := d.Spawn("/proc/self/exe", hostileArg, "latelocker")
			require.NoError(t, err)
			eventually(t, func() bool {
				_, err := d.Run(d.ctx, "xdotool", "search", "--classname", "latelocker")
				return err == nil
			}, "no window")
		}).ready()
		d.run("xdotool", "search", "--classname", "latelocker", "windowmap")
		d.expect(consent.Locked)
	})
}

// unlocked is what looks a bit like a locked screen.
var unlocked = map[string]func(d *desk){
	"the X server's screen saver":       func(d *desk) { d.run("xset", "s", "activate") },
	"a menu":                            func(d *desk) { d.around("menu") },
	"a menu over a window below it all": func(d *desk) { d.around("wallpaper"); d.around("menu") },
	"a menu over a full screen":         func(d *desk) { d.surround("xterm", "xterm", "-fullscreen"); d.around("menu") },
	"a menu and a compositor":           func(d *desk) { d.composite(); d.around("menu") },
	"a full screen with the keyboard":   func(d *desk) { d.around("machine") },
	"a tile with the keyboard":          func(d *desk) { d.around("tile") },
	"an InputOnly window":               func(d *desk) { d.around("invisible") },
	"what input passes":                 func(d *desk) { d.around("glass") },
	"what input passes but in a corner": func(d *desk) { d.around("pane") },
	"a frame around the screen":         func(d *desk) { d.around("frame") },
	"a lock on one monitor of two":      func(d *desk) { d.twoMonitors(); d.around("half") },
}

// Menus take the keyboard, too.
func TestNotLocked(t *testing.T) {
	t.Parallel()
	for name, look := range unlocked {
		for _, p := range places {
			if strings.Contains(name, "over a full screen") && p.name == "bare" {
				continue // without a window manager there is none
			}
			t.Run(name+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				d := put(t, p.o, func(d *desk) { p.prepare(d); look(d) })
				require.Never(t, func() bool { return len(d.answer) > 0 }, 2500*time.Millisecond, 100*time.Millisecond, "nor is it locked meanwhile")
				d.ready().click(d.deny)
				d.expect(consent.Denied)
			})
		}
		t.Run(name+"/meanwhile", func(t *testing.T) {
			t.Parallel()
			d := put(t, places[1].o, nil).ready()
			look(d)
			require.Never(t, func() bool { return len(d.answer) > 0 }, 2500*time.Millisecond, 100*time.Millisecond)
			d.ready().click(d.deny)
			d.expect(consent.Denied)
		})
	}
}

// The banner of an administrator who is viewing already lies above a lock.
func TestLockedBelowTheBanner(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		w := watch(t, o, nil)
		w.around("locker")
		got, err := quick.Ask(t.Context(), request(w.Desktop))
		require.NoError(t, err)
		assert.Equal(t, consent.Locked, got)
	})
}

// To find out whether the screen is locked the keyboard is grabbed for a moment, before the
// question is shown and again while it is.
func TestTheKeyboardIsFree(t *testing.T) {
	t.Parallel()
	d := put(t, bare, func(d *desk) { d.spawn("cover") })
	d.hostile("grab")
	d.ready() // the cover is below
	d.hostile("grab")
	d.key("Escape")
	d.expect(consent.Denied)
}

// scenery is a window, or several, named after what it is, most with the keyboard grabbed. It
// reports whether what is none.
func (c client) scenery(what string) (bool, error) {
	width, height := c.screen.WidthInPixels, c.screen.HeightInPixels
	c.name = what
	grab := true
	var ids []xproto.Window
	make := func(x, y int, width, height uint16) xproto.Window {
		id, err := c.window(c.screen.Root, width, height, xproto.EventMaskStructureNotify)
		if err != nil {
			return 0
		}
		xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowX|xproto.ConfigWindowY, []uint32{uint32(x), uint32(y)})
		ids = append(ids, id)
		return id
	}
	if err := shape.Init(c.x.Conn); err != nil {
		return true, err
	}
	switch what {
	case "locker":
		make(0, 0, width, height)
	case "lockers":
		make(0, 0, 600, height)
		make(600, 0, width-600, height)
	case "half":
		make(0, 0, 600, height)
	case "menu":
		make(0, 0, 60, 300)
	case "machine": // a virtual one's, and any window manager's
		xproto.ChangeWindowAttributes(c.x.Conn, make(0, 0, width, height), xproto.CwOverrideRedirect, []uint32{0})
	case "tile": // the same in a frame that no window manager would touch, as i3's
		tile, err := c.window(make(0, 0, width, height), width, height, 0)
		if err != nil {
			return true, err
		}
		const name = "WM_STATE"
		state, err := xproto.InternAtom(c.x.Conn, false, uint16(len(name)), name).Reply()
		if err != nil {
			return true, err
		}
		normal := []byte{1, 1, 1, 1, 0, 0, 0, 0} // not withdrawn, in either order of bytes
		xproto.ChangeProperty(c.x.Conn, xproto.PropModeReplace, tile, state.Atom, state.Atom, 32, 2, normal)
		ids = append(ids, tile)
	case "wallpaper", "wallpaper with the keyboard":
		id := make(0, 0, width, height)
		xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowStackMode, []uint32{xproto.StackModeBelow})
		grab = what != "wallpaper"
	case "glass":
		shape.Rectangles(c.x.Conn, shape.SoSet, shape.SkInput, 0, make(0, 0, width, height), 0, 0, nil)
	case "overlay":
		shape.Rectangles(c.x.Conn, shape.SoSet, shape.SkInput, 0, make(0, 0, width, height), 0, 0, nil)
		grab = false
	case "pane":
		shape.Rectangles(c.x.Conn, shape.SoSet, shape.SkInput, 0, make(0, 0, width, height), 0, 0, []xproto.Rectangle{{Width: 10, Height: 10}})
	case "list":
		make(int(width)/2-50, int(height)/2-50, 100, 100)
	case "frame":
		edge := []xproto.Rectangle{{Width: width, Height: 4}, {Y: int16(height) - 4, Width: width, Height: 4}, {Width: 4, Height: height}, {X: int16(width) - 4, Width: 4, Height: height}}
		shape.Rectangles(c.x.Conn, shape.SoSet, shape.SkBounding, 0, make(0, 0, width, height), 0, 0, edge)
	case "invisible":
		id, err := xproto.NewWindowId(c.x.Conn)
		if err != nil {
			return true, err
		}
		xproto.CreateWindow(c.x.Conn, 0, id, c.screen.Root, 0, 0, width, height, 0, xproto.WindowClassInputOnly, 0, xproto.CwOverrideRedirect, []uint32{1})
		c.named(id)
		xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowStackMode, []uint32{xproto.StackModeBelow}) // or nobody could click
		ids = append(ids, id)
	case "slowlocker": // takes the keyboard when the question has come
		id := make(0, 0, width, height)
		xproto.ChangeWindowAttributes(c.x.Conn, c.screen.Root, xproto.CwEventMask, []uint32{xproto.EventMaskSubstructureNotify})
		xproto.MapWindow(c.x.Conn, id)
		if err := c.mapped(func(w xproto.Window) bool { return w != id }); err != nil {
			return true, err
		}
	case "latelocker":
		make(0, 0, width, height)
		if err := c.mapped(func(xproto.Window) bool { return true }); err != nil {
			return true, err
		}
	default:
		return false, nil
	}
	if grab {
		if err := c.grab(); err != nil {
			return true, err
		}
	}
	for _, id := range ids {
		if err := xproto.MapWindowChecked(c.x.Conn, id).Check(); err != nil {
			return true, err
		}
	}
	<-c.x.Gone()
	return true, nil
}

// mapped waits until a window that is meant comes onto the screen.
func (c client) mapped(meant func(xproto.Window) bool) error {
	for {
		ev, xerr := c.x.WaitForEvent()
		if ev == nil && xerr == nil {
			return errors.New("the X server has gone")
		}
		if m, ok := ev.(xproto.MapNotifyEvent); ok && meant(m.Window) {
			return nil
		}
	}
}
