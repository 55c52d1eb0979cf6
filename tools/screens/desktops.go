package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/host/xconn"
)

// A kind is a desktop with its compositor on.
type kind struct{ name, title string }

var kinds = []kind{
	{"xfce", "XFCE (xfwm4)"}, {"mate", "MATE (marco)"}, {"lxqt", "LXQt (xfwm4)"}, {"plasma", "Plasma (kwin)"},
	{"cinnamon", "Cinnamon (muffin)"}, {"gnome", "GNOME (mutter)"},
}

// compositorArg is the first argument of a process of the desktop's user that says by its exit status
// whether there is a compositor.
const compositorArg = "__compositor"

// composited reports whether a compositor draws d.
func composited(d *testhost.Desktop) (bool, error) {
	p, err := d.SpawnCmd(exec.Command("/proc/self/exe", compositorArg, d.Display, d.Xauthority))
	if err != nil {
		return false, err
	}
	<-p.Done()
	return p.ExitCode() == 0, nil
}

// hasCompositor is the work of that process (EWMH, "Compositing Managers").
func hasCompositor(display, xauthority string) bool {
	const selection = "_NET_WM_CM_S0"
	x, err := xconn.Dial(display, xauthority, 10*time.Second)
	if err != nil {
		return false
	}
	atom, err := xproto.InternAtom(x.Conn, true, uint16(len(selection)), selection).Reply()
	if err != nil {
		return false
	}
	owner, err := xproto.GetSelectionOwner(x.Conn, atom.Atom).Reply()
	return err == nil && owner.Owner != 0
}

// resources ask for text with sub-pixel anti-aliasing.
const resources = "Xft.antialias: 1\nXft.hinting: 1\nXft.hintstyle: hintslight\nXft.rgba: rgb\n"

// open starts a desktop and waits until it has painted, and is still.
func (k *kind) open(ctx context.Context) (*testhost.Desktop, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	d, err := testhost.Start(ctx, testhost.Options{
		Width: 1280, Height: 800, Args: []string{"+extension", "GLX", "+extension", "RANDR", "+extension", "COMPOSITE"},
	})
	if err != nil {
		return nil, err
	}
	err = k.furnish(ctx, d)
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (k *kind) furnish(ctx context.Context, d *testhost.Desktop) error {
	file := filepath.Join(d.Home, "resources")
	if err := os.WriteFile(file, []byte(resources), 0o644); err != nil {
		return err
	}
	if _, err := d.Run(ctx, "xrdb", "-merge", file); err != nil {
		return err
	}
	if err := d.Furnish(ctx, testhost.Wholes[k.name]); err != nil {
		return err
	}
	return d.Move(ctx, 640, 400)
}

// A scene is something that happens on a desktop.
type scene struct {
	name, title string
	window      string // the class of its window; empty: it has none
	start       func(d *testhost.Desktop) (*child.Process, error)
}

// lines prints a log, 30 lines a second.
const lines = `i=0; while :; do i=$((i+1)); printf '%s %06d the quick brown fox jumps over the lazy dog, {"id":%d,"took":"%dms"}\n' "2026-11-30T02:00:00Z" $i $((i*7919)) $((i*31%997)); sleep 0.033; done`

func terminal(more ...string) func(d *testhost.Desktop) (*child.Process, error) {
	return func(d *testhost.Desktop) (*child.Process, error) {
		args := append([]string{"-fa", "DejaVu Sans Mono", "-fs", "11", "-bg", "#fbfaf7", "-fg", "#1c2733"}, more...)
		return d.Spawn("xterm", append(args, "-e", "sh", "-c", lines)...)
	}
}

var scenes = []scene{
	{"idle", "the desktop alone", "", nil},
	{"terminal", "terminal, 30 lines/s", "xterm", terminal("-geometry", "110x36+60+60")},
	{"fullscreen", "… in full screen", "xterm", terminal("-fullscreen")},
	{"browser", "Chromium scrolling", "chromium", browse},
}

// page is text, no line of which is like another, with pictures in it. It scrolls by itself, up and down.
const page = `<!doctype html><meta charset=utf-8><title>A page</title><style>body{font:16px sans-serif;margin:2em auto;max-width:46em}
div{height:120px;margin:1em 0;background:linear-gradient(90deg,#355,#9bd 40%,#fd8)}</style><script>
let seed = 1;
const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
const words = "the a quick brown fox jumps over lazy dogs while pages go by and nobody reads them twice session host viewer question answer picture screen".split(" ");
const text = (n) => Array.from({length: n}, () => words[random(words.length)]).join(" ");
for (let i = 0; i < 80; i++) document.write("<h2>" + text(4) + "</h2>" + Array.from({length: 5}, () => "<p>" + text(20 + random(40)) + ", <b>" + text(3) + "</b>.").join("") + "<div></div>");
let y = 0, by = 4;
(function f() { y += by; if (y < 0 || y > document.body.scrollHeight - innerHeight) by = -by; scrollTo(0, y); requestAnimationFrame(f); })();
</script>`

func browse(d *testhost.Desktop) (*child.Process, error) {
	file := filepath.Join(d.Home, "page.html")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		return nil, err
	}
	return d.Spawn("chromium", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update", "--disable-quic",
		"--user-data-dir="+filepath.Join(d.Home, "chromium"), "--window-size=1000,700", "--window-position=100,50", "--app=file://"+file)
}

// begin starts a scene and returns what ends it.
func (s *scene) begin(ctx context.Context, k *kind, d *testhost.Desktop) (end func(), err error) {
	if s.start == nil {
		return func() {}, nil
	}
	p, err := s.start(d)
	if err != nil {
		return nil, err
	}
	end = func() { p.Stop(0, 5*time.Second) }
	if s.window == "chromium" {
		end = func() {
			p.Stop(0, 5*time.Second)
			_, _ = d.Run(context.WithoutCancel(ctx), "sh", "-c", "rm -rf \"$HOME/chromium\"")
		}
	}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := testhost.Until(wait, s.title, func() (bool, error) {
		out, err := d.Run(wait, "xdotool", "search", "--onlyvisible", "--class", s.window)
		return err == nil && len(out) > 0, nil
	}); err != nil {
		end()
		return nil, fmt.Errorf("%s: %w", s.title, err)
	}
	time.Sleep(2 * time.Second)
	if begins := testhost.Wholes[k.name].Begins; begins != "" {
		if err := d.Key(ctx, begins); err != nil {
			end()
			return nil, err
		}
	}
	time.Sleep(3 * time.Second) // until it scrolls, and windows have faded in
	return end, nil
}
