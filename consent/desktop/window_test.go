package desktop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

func TestWindowProperties(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil, func(r *consent.Request) {
			r.Admin = "CORP\\Zoë\u202e 张伟"
			r.Identity.Account = r.Admin
		})
		props := d.run("xprop", "-id", strconv.Itoa(int(d.win.ID)))
		for _, want := range []string{
			`WM_CLASS(STRING) = "consent", "shadowd"`, `_NET_WM_NAME(UTF8_STRING) = "CORP\\Zoë 张伟 wants to view your screen"`,
			"_NET_WM_WINDOW_TYPE_DIALOG", "_NET_WM_STATE_MODAL", "_MOTIF_WM_HINTS(_MOTIF_WM_HINTS) = 0x3, 0x24, 0x1a, 0x0, 0x0",
			"_NET_WM_ICON(CARDINAL) = 	Icon (16 x 16):", "Icon (48 x 48):", `_KDE_NET_WM_DESKTOP_FILE(UTF8_STRING) = "shadowd"`,
			"_NET_WM_STATE_ABOVE", "WM_DELETE_WINDOW, _NET_WM_PING",
			fmt.Sprintf("program specified minimum size: %d by %d", d.win.Width, d.win.Height),
			fmt.Sprintf("program specified maximum size: %d by %d", d.win.Width, d.win.Height),
			"The urgency hint bit is set", "WM_CLIENT_MACHINE(STRING)", "_NET_WM_DESKTOP(CARDINAL) = 4294967295",
		} {
			assert.Contains(t, props, want)
		}
		assert.NotContains(t, props, "TRANSIENT_FOR", "window managers complain of the root window")
		assert.NotContains(t, props, "SKIP_TASKBAR", "who has minimized it must find it again")
		d.hostile("ping")
		x, y := d.win.Center()
		assert.InDelta(t, 320, x, 1)
		assert.InDelta(t, 240, y, 1)
		d.ready().key("Escape")
		d.expect(consent.Denied)
	})
}

// The window comes to the monitor that the pointer is on.
func TestMonitorOfThePointer(t *testing.T) {
	t.Parallel()
	d := put(t, testhost.Options{}, func(d *desk) {
		d.run("xrandr", "--setmonitor", "left", "400/100x768/200+0+0", "screen")
		d.run("xrandr", "--setmonitor", "right", "624/150x768/200+400+0", "none")
		require.NoError(t, d.Move(d.ctx, 900, 700))
	})
	x, y := d.win.Center()
	assert.InDelta(t, 400+312, x, 1)
	assert.InDelta(t, 384, y, 1)
	d.ready().key("Escape")
	d.expect(consent.Denied)
}

func TestScaledByDPI(t *testing.T) {
	t.Parallel()
	d := put(t, testhost.Options{Width: 1600, Height: 1200}, func(d *desk) {
		d.run("sh", "-c", "echo 'Xft.dpi: 192' | xrdb -merge")
	})
	assert.Equal(t, 1040, d.win.Width)
	d.refuse()
}

func TestDepths(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{15, 16, 24, 30} {
		t.Run(strconv.Itoa(depth), func(t *testing.T) {
			d := put(t, testhost.Options{Width: 640, Height: 480, Depth: depth}, nil)
			img, err := d.Screenshot(d.ctx)
			require.NoError(t, err)
			c := img.RGBAAt(d.win.X+5, d.win.Y+5)
			assert.Equal(t, []uint8{0xff, 0xff, 0xff}, []uint8{c.R, c.G, c.B}, "the paper is white")
			d.ready() // the focus is blue
			img, ok := d.look("consent", false)
			require.True(t, ok)
			want := kept(t, "dialog-en-1")
			timeless(img.Rect, 1, img, want)
			assert.LessOrEqual(t, difference(img, want, 4), few, "it looks as with 24 bits")
			d.click(d.allow)
			d.expect(consent.Granted)
		})
	}
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120, Depth: 8})
	_, err := quick.Ask(t.Context(), request(d))
	assert.ErrorContains(t, err, "colours can't be used")
}

// A session's display may name another X screen than the first. It is asked there.
func TestAnotherScreen(t *testing.T) {
	t.Parallel()
	o := testhost.Options{Width: 320, Height: 240, Args: []string{"-screen", "1", "640x480x24"}}
	d := put(t, o, func(d *desk) { d.Display += ".1" }).ready()
	x, y := d.win.Center()
	assert.InDelta(t, 320, x, 1)
	assert.InDelta(t, 240, y, 1)
	d.key("Tab", "Return")
	d.expect(consent.Granted)

	s := showing(t.Context(), quick, request(d.Desktop))
	banner, err := d.FindWindow(d.ctx, "banner")
	require.NoError(t, err)
	x, _ = banner.Center()
	assert.InDelta(t, 320, x, 1)
	s.Close()
	<-s.Done()
	require.NoError(t, s.Err())

	r := request(d.Desktop)
	r.Display = strings.TrimSuffix(d.Display, "1") + "2"
	got, err := quick.Ask(t.Context(), r)
	assert.ErrorContains(t, err, "has 2 screens, and no screen .2")
	assert.Equal(t, consent.Denied, got)
}

// Desktops say in XSETTINGS how large things are to be, and in their programs' environment.
func TestScaleOfTheDesktop(t *testing.T) {
	t.Parallel()
	for name, scale := range map[string]func(d *desk){
		"XSETTINGS": func(d *desk) {
			_, err := d.Spawn("/proc/self/exe", hostileArg, "settings manager")
			require.NoError(d.t, err)
			eventually(d.t, func() bool {
				out, err := d.Run(d.ctx, "xprop", "-root", "_SETTINGS_ARE_THERE")
				return err == nil && strings.Contains(string(out), "yes")
			}, "nobody manages settings")
		},
		"environment": func(d *desk) {
			_, err := d.Spawn("env", "QT_SCALE_FACTOR=2", "sleep", "600")
			require.NoError(d.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testhost.Options{Width: 1280, Height: 800}
			d := put(t, o, scale)
			assert.Equal(t, 1040, d.win.Width)
			d.refuse()
		})
	}
}
