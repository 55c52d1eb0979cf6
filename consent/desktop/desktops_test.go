package desktop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// desktopsVariable names the folder for the pictures of make desktops, which runs these tests.
const desktopsVariable = "SHADOW_DESKTOPS"

// A whole is a desktop as people have it, or its lack of some habits.
type whole struct {
	testhost.Whole
	server string // empty: Xvfb
	hides  bool   // it has a "show desktop" (EWMH, _NET_SHOWING_DESKTOP)
	mouse  bool   // which leaves the question in view, and the keyboard to the desktop
}

// desktops are those of Debian 12. Each runs with a session bus and as an ordinary user.
var desktops = map[string]whole{
	"xfce":     {Whole: testhost.Wholes["xfce"], hides: true},
	"mate":     {Whole: testhost.Wholes["mate"], hides: true},
	"lxqt":     {Whole: testhost.Wholes["lxqt"], hides: true},
	"plasma":   {Whole: testhost.Wholes["plasma"], hides: true, mouse: true},
	"cinnamon": {Whole: testhost.Wholes["cinnamon"], hides: true},
	"gnome":    {Whole: testhost.Wholes["gnome"], hides: true},
	"i3":       {Whole: testhost.Wholes["i3"]},
	"awesome":  {Whole: testhost.Wholes["awesome"]},
	"fluxbox":  {Whole: testhost.Wholes["fluxbox"], hides: true},
	"xmonad":   {Whole: testhost.Wholes["xmonad"]},
	"xvnc":     {Whole: testhost.Wholes["xfce"], server: "Xtigervnc", hides: true},
	"xorgxrdp": {Whole: testhost.Wholes["mate"], server: "Xorg", hides: true},
}

// servers are the programs and packages of what isn't Xvfb.
var servers = map[string][2]string{
	"Xtigervnc": {"Xtigervnc", "tigervnc-standalone-server"},
	"Xorg":      {testhost.XorgPath, "xorgxrdp"},
}

// require ends the test if this isn't make desktops, or the machine lacks the desktop.
func (w whole) require(t *testing.T) {
	t.Helper()
	if os.Getenv(desktopsVariable) == "" {
		t.Skip("whole desktops are for make desktops")
	}
	testenv.Program(t, w.Program, w.Package)
	if server, ok := servers[w.server]; ok {
		testenv.Program(t, server[0], server[1])
	}
}

// open starts the desktop, and returns when it has painted and is still.
func (w whole) open(t *testing.T) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	o := family(1280, 800)
	o.Server = w.server
	if w.server != "" {
		o.Args = nil
	}
	d := &desk{Desktop: testhost.Require(t, o), t: t, ctx: ctx, answer: make(chan func() (consent.Decision, error), 1)}
	t.Cleanup(d.keepFailure)
	require.NoError(t, d.Furnish(ctx, w.Whole))
	d.alive(w)
	messages, err := d.Windows(ctx, "xmessage")
	require.NoError(t, err)
	assert.Empty(t, messages, "the desktop complains of what it lacks")
	return d
}

// alive makes sure that the desktop's window manager is there: what it has said of itself stays
// after its end.
func (d *desk) alive(w whole) {
	d.t.Helper()
	if !w.Silent {
		out, err := d.Run(d.ctx, "wmctrl", "-m")
		require.NoError(d.t, err, "the desktop has ended")
		require.Contains(d.t, string(out), "Name: ")
	}
}

// picture keeps what is on the screen for people to look at. With -update it is in testdata/consent, too: desktops draw
// too much else for a comparison.
func (d *desk) picture(desktop, what string) {
	d.t.Helper()
	img, err := d.Screenshot(d.ctx)
	require.NoError(d.t, err)
	folder := os.Getenv(desktopsVariable)
	require.NoError(d.t, os.MkdirAll(folder, 0o755))
	keep(d.t, filepath.Join(folder, desktop+"-"+what+".png"), img)
	if *update && (what == "question" || what == "banner") {
		keep(d.t, filepath.Join(pictures, "desktop-"+desktop+"-"+what+".png"), img)
	}
}

// ruled makes a request show what there can be: who asks, by which other name, why, and what the rules say.
func ruled(r *consent.Request) {
	r.Identity, r.Purpose = consent.Identity{Account: "mallory", Name: "Mallory Moe"}, "INC-1234 screen flickers"
	r.SilenceAllows, r.LockAllows = true, true
}

// The question is answered, comes back and stays above on every desktop, and the banner is seen
// and stops the viewing.
func TestDesktops(t *testing.T) {
	for name, w := range desktops {
		t.Run(name, func(t *testing.T) {
			w.require(t)
			d := w.open(t)
			step := func(what string, f func()) {
				ok := t.Run(what, func(t *testing.T) {
					outer := d.t
					d.t = t
					defer func() { d.t = outer }()
					f()
				})
				fmt.Printf("desktops: %-9s %-22s %v\n", name, what, map[bool]string{true: "ok", false: "FAILED"}[ok])
				for len(d.answer) > 0 {
					<-d.answer
				}
			}
			defer d.alive(w)
			step("keys", func() {
				d.put(patient, ruled)
				d.ready()
				d.picture(name, "question")
				d.agree()
			})
			step("mouse", func() {
				d.put(patient)
				d.ready()
				d.clickPatiently()
				d.expect(consent.Granted)
			})
			if w.hides {
				step("show desktop", func() {
					d.put(patient)
					d.ready()
					hide := func(d *desk) { d.run("wmctrl", "-k", "on") }
					if w.mouse {
						hide(d)
						d.clickPatiently()
						d.expect(consent.Granted)
					} else {
						d.typeWhileHidden(hide)
						d.agree()
					}
					_, _ = d.Run(d.ctx, "wmctrl", "-k", "off")
				})
			}
			step("full screen", func() {
				p, err := d.Spawn("xterm")
				require.NoError(d.t, err)
				defer p.Stop(0, time.Second)
				_, err = d.FindWindow(d.ctx, "xterm")
				require.NoError(d.t, err)
				for range 20 { // xmonad's knows nothing of full screens
					_, _ = d.Run(d.ctx, "wmctrl", "-x", "-r", "xterm.XTerm", "-b", "add,fullscreen")
					time.Sleep(500 * time.Millisecond)
					if windows, err := d.Windows(d.ctx, "xterm"); err == nil && len(windows) > 0 && windows[0].Height > 780 {
						break
					}
				}
				d.put(patient)
				d.ready()
				d.picture(name, "fullscreen")
				d.agree()
			})
			if name == "gnome" {
				step("overview", func() { d.overview(name) })
			}
			step("banner", func() {
				r := request(d.Desktop)
				ruled(&r)
				r.Wish = func(consent.Wish) {}
				banner := &watched{desk: d}
				banner.show(d.ctx, r)
				eventually(d.t, banner.painted, "the banner isn't painted")
				d.picture(name, "banner")
				if name == "gnome" {
					banner.overview(name)
				}
				assert.False(d.t, stopped(banner.Showing))
				require.NoError(d.t, testhost.Until(d.ctx, "the end of viewing", func() (bool, error) {
					banner.click(banner.stop)
					time.Sleep(700 * time.Millisecond)
					return stopped(banner.Showing), nil
				}))
				assert.ErrorIs(d.t, banner.down(), consent.ErrStopped)
			})
		})
	}
}

// overview asks while GNOME shows small pictures of the windows: keys are the shell's there, and the question can be
// answered afterwards.
func (d *desk) overview(name string) {
	d.t.Helper()
	d.put(patient)
	d.ready()
	before, err := d.Screenshot(d.ctx)
	require.NoError(d.t, err)
	d.key("super")
	eventually(d.t, func() bool {
		now, err := d.Screenshot(d.ctx)
		return err == nil && difference(now, before, 16) > 200
	}, "there is no overview")
	require.NoError(d.t, d.Settle(d.ctx, true))
	d.picture(name, "overview")
	d.key("Tab")
	time.Sleep(700 * time.Millisecond) // calmly
	d.key("space")
	time.Sleep(300 * time.Millisecond) // for an answer that is on its way
	d.unanswered()
	d.key("Escape", "Escape")
	d.agree()
}

// overview has GNOME show its small pictures while somebody is viewing: there is no banner then, which the documents say,
// and viewing goes on.
func (w *watched) overview(name string) {
	w.t.Helper()
	w.key("super")
	eventually(w.t, func() bool { return !w.painted() }, "there is no overview")
	require.NoError(w.t, w.Settle(w.ctx, true))
	w.picture(name, "overview-banner")
	w.key("Escape", "Escape")
	eventually(w.t, w.painted, "the banner isn't back")
	select {
	case <-w.Done():
		assert.Fail(w.t, "viewing has ended", "%v", w.Err())
	default:
	}
}

// clickPatiently clicks on Yes until there is an answer.
func (d *desk) clickPatiently() {
	d.t.Helper()
	for len(d.answer) == 0 {
		require.NoError(d.t, d.ctx.Err(), "Yes was never heard")
		if windows, err := d.Windows(d.ctx, "consent"); err == nil && len(windows) > 0 {
			d.win = windows[0]
			d.click(d.allow)
		}
		time.Sleep(800 * time.Millisecond)
	}
}

// lockPrograms are programs that lock a screen, with what they need around them.
var lockPrograms = map[string]struct {
	program, debian string
	lock            string // for a shell in the session
}{
	"i3lock":               {"i3lock", "i3lock", "exec i3lock -n -c 336699"},
	"xsecurelock":          {"xsecurelock", "xsecurelock", "XSECURELOCK_SAVER=saver_blank exec xsecurelock"},
	"xscreensaver":         {"xscreensaver", "xscreensaver", "xscreensaver --no-splash & for i in 1 2 3 4 5 6 7 8 9; do sleep 1; xscreensaver-command -lock && break; done; wait"},
	"mate-screensaver":     {"mate-screensaver", "mate-screensaver", "mate-screensaver --no-daemon & for i in 1 2 3 4 5 6 7 8 9; do sleep 1; mate-screensaver-command --lock && break; done; wait"},
	"kscreenlocker":        {"ksmserver", "plasma-workspace", "QT_QUICK_BACKEND=software exec ksmserver --lockscreen"},
	"cinnamon-screensaver": {"cinnamon-screensaver", "cinnamon-screensaver", "cinnamon-screensaver & for i in 1 2 3 4 5 6 7 8 9; do sleep 2; cinnamon-screensaver-command --lock && break; done; wait"},
}

// Nobody is asked whose screen one of these has locked.
func TestLockPrograms(t *testing.T) {
	for name, l := range lockPrograms {
		t.Run(name, func(t *testing.T) {
			if os.Getenv(desktopsVariable) == "" {
				t.Skip("whole desktops are for make desktops")
			}
			testenv.Program(t, l.program, l.debian)
			d := whole{Whole: testhost.Whole{Program: "marco", Shell: "exec marco --sm-disable --no-composite", Bare: true}}.open(t)
			address := "unix:path=" + d.Home + "/bus"
			argv := []string{"dbus-daemon", "--session", "--nofork", "--address=" + address}
			_, err := d.Spawn(argv[0], argv[1:]...)
			require.NoError(t, err)
			d.put(patient, func(r *consent.Request) { r.Bus = address })
			d.ready()
			_, err = d.Spawn("sh", "-c", "export XDG_RUNTIME_DIR=$HOME DBUS_SESSION_BUS_ADDRESS="+address+" LIBGL_ALWAYS_SOFTWARE=1; "+l.lock)
			require.NoError(t, err)
			got, err := d.result()
			require.NoError(t, err)
			assert.Equal(t, consent.Locked, got, "it is locked meanwhile")
			require.NoError(t, d.Settle(d.ctx, false))
			d.picture("locker", name)
			r := request(d.Desktop)
			r.Bus = address
			got, err = quick.Ask(d.ctx, r)
			require.NoError(t, err)
			assert.Equal(t, consent.Locked, got, "it is locked before")
			fmt.Printf("desktops: %-20s %v\n", name, !t.Failed())
		})
	}
}
