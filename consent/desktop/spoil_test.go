package desktop

import (
	"encoding/binary"
	"image"
	"image/color"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/composite"
	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
)

// spoils are ways to take a window's picture from the screen that the window itself says nothing of.
var spoils = map[string]func(c client, w xproto.Window) error{
	"draws over": func(c client, w xproto.Window) error { return c.fill(w, image.Rect(0, 0, 4000, 4000)) },
	"gives another background": func(c client, w xproto.Window) error {
		xproto.ChangeWindowAttributes(c.x.Conn, w, xproto.CwBackPixel, []uint32{0xaa5500})
		return xproto.ClearAreaChecked(c.x.Conn, false, w, 0, 0, 0, 0).Check()
	},
	"draws over a word": func(c client, w xproto.Window) error { return c.fill(w, word) },
	"makes transparent": func(c client, w xproto.Window) error { // for a compositor
		return xproto.ChangePropertyChecked(c.x.Conn, xproto.PropModeReplace, w, c.atom("_NET_WM_WINDOW_OPACITY"), xproto.AtomCardinal, 32, 1, make([]byte, 4)).Check()
	},
}

// word is where the banner has the name of who views.
var word = image.Rect(40, 8, 120, 24)

// fill draws over a part of a window.
func (c client) fill(w xproto.Window, r image.Rectangle) error {
	gc, err := xproto.NewGcontextId(c.x.Conn)
	if err != nil {
		return err
	}
	xproto.CreateGC(c.x.Conn, gc, xproto.Drawable(w), xproto.GcForeground, []uint32{0xaa5500})
	defer xproto.FreeGC(c.x.Conn, gc)
	part := xproto.Rectangle{X: int16(r.Min.X), Y: int16(r.Min.Y), Width: uint16(r.Dx()), Height: uint16(r.Dy())}
	return xproto.PolyFillRectangleChecked(c.x.Conn, xproto.Drawable(w), gc, []xproto.Rectangle{part}).Check()
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
		if way == "draws over a word" {
			continue // see below
		}
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

// enlarge does to what a compositor shows what its magnifier does: something else than the windows is on the screen.
func (c client) enlarge() error {
	if err := composite.Init(c.x.Conn); err != nil {
		return err
	}
	composite.QueryVersion(c.x.Conn, 0, 4)
	overlay, err := composite.GetOverlayWindow(c.x.Conn, c.screen.Root).Reply()
	if err != nil {
		return err
	}
	gc, err := xproto.NewGcontextId(c.x.Conn)
	if err != nil {
		return err
	}
	xproto.CreateGC(c.x.Conn, gc, xproto.Drawable(overlay.OverlayWin), xproto.GcForeground|xproto.GcSubwindowMode, []uint32{0x335577, xproto.SubwindowModeIncludeInferiors})
	for {
		err := xproto.PolyFillRectangleChecked(c.x.Conn, xproto.Drawable(overlay.OverlayWin), gc, []xproto.Rectangle{{Width: 4000, Height: 4000}}).Check()
		if err != nil {
			return err
		}
		select {
		case <-c.x.Gone():
			return nil
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// alive makes sure that viewing goes on.
func (w *watched) alive() {
	w.t.Helper()
	select {
	case <-w.Done():
		require.FailNow(w.t, "viewing has ended", "%v", w.Err())
	default:
	}
}

// The user may enlarge the screen, or have all windows shown at once: that is the compositor's doing, and ends no view.
func TestBannerOfAnEnlargedScreen(t *testing.T) {
	t.Parallel()
	w := &watched{desk: newDesk(t, bare, (*desk).composite)}
	w.show(w.ctx, request(w.Desktop))
	eventually(t, w.painted, "there is no banner")
	seen := map[uint32]bool{uint32(w.win.ID): true}
	w.client("enlarge", "0")
	eventually(t, func() bool {
		w.alive()
		if windows, err := w.Windows(w.ctx, "banner"); err == nil && len(windows) == 1 {
			seen[uint32(windows[0].ID)] = true
		}
		return len(seen) == 1+4 // as often as it is made anew
	}, "nothing was done for it")
	time.Sleep(7 * time.Second) // more than it may take to be seen
	w.alive()
}

// What is drawn over a part of it, such as a name, is put right as well.
func TestBannerWhoseWordsAreDrawnOver(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*desk){"bare": nil, "composited": (*desk).composite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := putAsleep(t, bare, before)
			eventually(t, w.painted, "there is no banner")
			at := image.Pt(w.win.X+word.Min.X+3, w.win.Y+word.Min.Y+3)
			isOver := func() bool {
				img, err := w.Screenshot(w.ctx)
				return err == nil && img.RGBAAt(at.X, at.Y) == color.RGBA{0xaa, 0x55, 0, 0xff}
			}
			w.client("keep spoiling", "0", "draws over a word", "banner")
			eventually(t, isOver, "nobody has drawn on it")
			eventually(t, func() bool { return !isOver() }, "it stays so")
		})
	}
}

// On another virtual terminal nothing can be seen, which is nobody's doing.
func TestBannerOnAnotherTerminal(t *testing.T) {
	t.Parallel()
	w := putAsleep(t, bare, nil)
	has := func(v string) {
		w.run("xprop", "-root", "-f", "XFree86_has_VT", "32i", "-set", "XFree86_has_VT", v)
	}
	has("0")
	w.spawn("veil")
	time.Sleep(10 * time.Second) // more than it may not be seen
	windows, err := w.Windows(w.ctx, "banner")
	require.NoError(t, err)
	require.Len(t, windows, 1)
	assert.Equal(t, w.win.ID, windows[0].ID, "made anew")
	w.alive()
	has("1")
	assert.ErrorContains(t, w.down(), "the screen no longer shows the banner")
}

// Silence counts only of a question that the screen has shown.
func TestSilenceOverAQuestionThatIsDrawnOver(t *testing.T) {
	t.Parallel()
	for way := range spoils {
		if way == "draws over a word" {
			continue // the rest of the question can be read
		}
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
