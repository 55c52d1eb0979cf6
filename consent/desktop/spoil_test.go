package desktop

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
)

// spoils are ways to take a window's picture from the screen that the window itself says nothing of.
var spoils = map[string]func(c client, w xproto.Window) error{
	"draws over": func(c client, w xproto.Window) error {
		gc, err := xproto.NewGcontextId(c.x.Conn)
		if err != nil {
			return err
		}
		xproto.CreateGC(c.x.Conn, gc, xproto.Drawable(w), xproto.GcForeground, []uint32{0xaa5500})
		defer xproto.FreeGC(c.x.Conn, gc)
		return xproto.PolyFillRectangleChecked(c.x.Conn, xproto.Drawable(w), gc, []xproto.Rectangle{{Width: 4000, Height: 4000}}).Check()
	},
	"gives another background": func(c client, w xproto.Window) error {
		xproto.ChangeWindowAttributes(c.x.Conn, w, xproto.CwBackPixel, []uint32{0xaa5500})
		return xproto.ClearAreaChecked(c.x.Conn, false, w, 0, 0, 0, 0).Check()
	},
	"makes transparent": func(c client, w xproto.Window) error { // for a compositor
		return xproto.ChangePropertyChecked(c.x.Conn, xproto.PropModeReplace, w, c.atom("_NET_WM_WINDOW_OPACITY"), xproto.AtomCardinal, 32, 1, make([]byte, 4)).Check()
	},
}

// keepSpoiling does that to whatever window has that name, for as long as this client lives.
func (c client) keepSpoiling(name string, spoil func(c client, w xproto.Window) error) error {
	for {
		tree, err := xproto.QueryTree(c.x.Conn, c.screen.Root).Reply()
		if err != nil {
			return err
		}
		for _, w := range tree.Children {
			class, err := xproto.GetProperty(c.x.Conn, false, w, xproto.AtomWmClass, xproto.AtomString, 0, 64).Reply()
			if err == nil && string(class.Value) == name+"\x00shadowd\x00" {
				_ = spoil(c, w) // it may have gone
			}
		}
		select {
		case <-c.x.Gone():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// twoManagers are two window managers in name, of which each new window without one finds the other, off the screen. It begins
// with one window.
func (c client) twoManagers(first xproto.Window) error {
	property := c.atom("_NET_SUPPORTING_WM_CHECK")
	name := func(in, id xproto.Window) {
		xproto.ChangeProperty(c.x.Conn, xproto.PropModeReplace, in, property, xproto.AtomWindow, 32, 1, binary.LittleEndian.AppendUint32(nil, uint32(id)))
	}
	var managers [2]xproto.Window
	for i := range managers {
		id, err := c.window(c.screen.Root, 1, 1, 0)
		if err != nil {
			return err
		}
		name(id, id)
		managers[i] = id
	}
	xproto.ChangeWindowAttributes(c.x.Conn, c.screen.Root, xproto.CwEventMask, []uint32{xproto.EventMaskSubstructureNotify})
	at := 0
	take := func(w xproto.Window) {
		x := int32(-5000)
		xproto.ConfigureWindow(c.x.Conn, w, xproto.ConfigWindowX, []uint32{uint32(x)})
		name(c.screen.Root, managers[at])
		at = 1 - at
	}
	take(first)
	for {
		ev, xerr := c.x.WaitForEvent()
		if xerr != nil {
			continue // a window that has gone
		}
		if ev == nil {
			return nil
		}
		if e, ok := ev.(xproto.CreateNotifyEvent); ok && e.OverrideRedirect {
			take(e.Window)
		}
	}
}

// A banner that another program draws over, gives another background, or has a compositor make transparent comes back when it is told,
// and not for ever: whoever goes on with it ends the view.
func TestBannerThatIsDrawnOver(t *testing.T) {
	t.Parallel()
	for way := range spoils {
		for name, before := range map[string]func(*desk){"bare": nil, "composited": (*desk).composite} {
			if way == "makes transparent" && before == nil {
				continue // nobody heeds it
			}
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := putAsleep(t, bare, func(d *desk) {
					d.run("xsetroot", "-solid", "#aa5500")
					if before != nil {
						before(d)
					}
				})
				eventually(t, w.painted, "there is no banner")
				w.hostile(way)
				if way == "makes transparent" { // or it may be seen before the compositor has taken it off
					id := strconv.Itoa(int(w.win.ID))
					eventually(t, func() bool { return !strings.Contains(w.run("xprop", "-id", id), "_NET_WM_WINDOW_OPACITY") }, "it stays so")
				}
				eventually(t, w.painted, "it doesn't come back")
				assert.False(t, stopped(w.Showing))
				w.client("keep spoiling", "0", way, "banner")
				assert.ErrorContains(t, w.down(), "the screen no longer shows the banner")
			})
		}
	}
}

// So does a window that input passes and that stays above an ordinary banner.
func TestBannerBelowAVeil(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*desk){"bare": nil, "composited": (*desk).composite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := putAsleep(t, bare, before)
			w.spawn("veil")
			assert.ErrorContains(t, w.down(), "the screen no longer shows the banner")
		})
	}
}

// A program that names another window manager whenever it takes the banner away gets no more time for that.
func TestBannerThatIsTakenAwayByManagers(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*desk){"bare": nil, "composited": (*desk).composite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := putAsleep(t, bare, before)
			w.client("two managers", strconv.Itoa(int(w.win.ID)))
			assert.ErrorContains(t, w.down(), "the screen no longer shows the banner")
		})
	}
}

// Silence counts only of a question that the screen has shown.
func TestSilenceOverAQuestionThatIsDrawnOver(t *testing.T) {
	t.Parallel()
	for way := range spoils {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var shown bool
			d := put(t, bare, func(d *desk) {
				d.run("xsetroot", "-solid", "#aa5500")
				d.composite()
				_, err := d.Spawn("/proc/self/exe", hostileArg, "keep spoiling", "0", way, "consent")
				require.NoError(t, err)
			}, func(r *consent.Request) {
				r.Timeout, r.SilenceAllows, r.Shown = consent.NoticeTime+3*time.Second, true, func() { shown = true }
			})
			d.expect(consent.TimedOut)
			assert.False(t, shown)
		})
	}
}
