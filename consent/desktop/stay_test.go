package desktop

import (
	"strconv"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/shape"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// Another client that brings Yes under the user's click gets no Yes.
func TestMovedUnderTheClick(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := early(t, o, func(d *desk) time.Time {
			d.ready()
			d.win.X, d.win.Y = 100, 30 // where it will be
			x, y := d.allow()
			before := time.Now()
			d.run("xdotool", "windowmove", "--sync", strconv.Itoa(int(d.win.ID)), "100", "30",
				"mousemove", strconv.Itoa(x), strconv.Itoa(y), "click", "1")
			return before
		})
		d.ready()
		assert.InDelta(t, 100, d.win.X, 5, "it was moved")
		d.key("Escape")
		d.expect(consent.Denied)
	})
}

// Nor one that brings it there and back before anybody can ask where it is: the click
// itself tells.
func TestMovedThereAndBackUnderTheClick(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	was := d.win
	d.win.X, d.win.Y = was.X+40, was.Y+60 // still on the screen, as VisibilityNotify would tell
	x, y := d.allow()
	require.NoError(t, d.Move(d.ctx, x, y))
	d.hostile("there and back", d.win.X, d.win.Y, was.X, was.Y)
	d.key("Escape") // comes after the click
	d.expect(consent.Denied)
}

// What was put partly off the screen couldn't be answered. It comes back.
func TestMovedOffTheScreen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil).ready()
		for _, to := range [][2]string{{"400", "400"}, {"-300", "100"}} {
			d.run("xdotool", "windowmove", strconv.Itoa(int(d.win.ID)), to[0], to[1])
			eventually(t, func() bool {
				windows, err := d.Windows(d.ctx, "consent")
				require.NoError(t, err)
				w := windows[0]
				moved := w.X != d.win.X || w.Y != d.win.Y
				return moved && w.X >= 0 && w.Y >= 0 && w.X+w.Width <= 640 && w.Y+w.Height <= 480
			}, "it stays off the screen")
			d.ready()
		}
		d.click(d.allow)
		d.expect(consent.Granted)
	})
}

// Nor can another program leave less of it: it is whole again, and a Yes waits for that.
func TestCropped(t *testing.T) {
	t.Parallel()
	ways := map[string]func(d *desk){
		"shrunk":   func(d *desk) { d.run("xdotool", "windowsize", strconv.Itoa(int(d.win.ID)), "40", "20") },
		"cut":      func(d *desk) { d.hostile("shape", shape.SkBounding) },
		"clipped":  func(d *desk) { d.hostile("shape", shape.SkClip) },
		"no input": func(d *desk) { d.hostile("shape", shape.SkInput) },
	}
	for name, crop := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o testhost.Options) {
				d := put(t, o, nil).ready()
				crop(d)
				eventually(t, func() bool {
					windows, err := d.Windows(d.ctx, "consent")
					return err == nil && len(windows) == 1 && windows[0].Width == d.win.Width && windows[0].Height == d.win.Height
				}, "it stays small")
				d.clickPatiently()
				d.expect(consent.Granted)
			})
		})
	}
}

// Nor can it be put away.
func TestPutAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, how string
		o         testhost.Options
	}{
		{"minimized", "minimize", managed}, {"show desktop", "show desktop", managed},
		{"unmapped, managed", "unmap", managed}, {"unmapped, bare", "unmap", bare},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := put(t, c.o, nil).ready()
			d.hostile(c.how)
			d.ready().key("Tab", "Return")
			d.expect(consent.Granted)
		})
	}
}
