package viewers

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
	"vda.internal/shadow/wsproxy"
)

// patience bounds whatever must come.
const patience = 2 * time.Minute

// Everything is the environment variable that makes the whole matrix run, with the value "1".
const everything = "SHADOW_VIEWERS"

// releases are those of noVNC's npm packages, and two of other people's for what is older than 1.0.0,
// which npm hasn't got of noVNC itself. short ones run in make test: the oldest with modules, the last
// that asks for red in the third byte, and the newest. 1.5.0 and
// 1.6.0 are on npm as CommonJS only, which no browser loads.
var releases = []struct {
	name, pack string
	file       string // that shows it is there
	page       string
	short      bool
}{
	{"0.5", "novnc-node@0.5.3", "dist/novnc-node.js", page05, false},
	{"0.6", "@nraynaud/novnc@0.6.1", "lib/rfb.js", page06, false},
	{"1.0.0", "@novnc/novnc@1.0.0", "core/rfb.js", page, true},
	{"1.1.0", "@novnc/novnc@1.1.0", "core/rfb.js", page, false},
	{"1.2.0", "@novnc/novnc@1.2.0", "core/rfb.js", page, true},
	{"1.3.0", "@novnc/novnc@1.3.0", "core/rfb.js", page, false},
	{"1.4.0", "@novnc/novnc@1.4.0", "core/rfb.js", page, false},
	{"1.7.0", "@novnc/novnc@1.7.0", "core/rfb.js", page, true},
}

// release returns the folder of a package, from npm if it isn't in the user's cache yet.
func release(t *testing.T, pack, file string) string {
	t.Helper()
	npm := testenv.Program(t, "npm", "npm")
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "shadow-viewers", strings.NewReplacer("/", "-", "@", "-").Replace(pack))
	if _, err := os.Stat(filepath.Join(dir, "package", file)); err == nil {
		return filepath.Join(dir, "package")
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	get := exec.CommandContext(ctx, npm, "pack", "--silent", pack)
	get.Dir = dir
	out, err := get.CombinedOutput()
	if err != nil {
		testenv.Lack(t, "%s from npm is needed: %v: %s", pack, err, out)
	}
	unpack := exec.CommandContext(ctx, "tar", "xzf", strings.TrimSpace(string(out)))
	unpack.Dir = dir
	out, err = unpack.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, "package")
}

// A screen is a desktop and the RFB server that shows it.
type screen struct {
	size   string // at first; empty: 320x240
	dial   func(ctx context.Context) (net.Conn, error)
	paint  func(colour string)            // the whole of it
	resize func(width, height int)        // nil: it can't be
	input  func() (what string, any bool) // that has reached it since it was started
}

// servers are what people show.
var servers = []struct {
	name  string
	start func(t *testing.T) *screen
}{
	{"x11vnc", startX11vnc},
	{"Xvnc", startXvnc},
	{"capture", startCapture},
	{"QEMU", startQEMU},
}

// desktop is what x11vnc and the capture show.
func desktop(t *testing.T, s shadow.Source) *screen {
	t.Helper()
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240})
	log, err := d.WatchInput(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	session := &shadow.Session{ID: "s1", User: "user", UID: d.Identity.UID, GID: d.Identity.GID, Groups: d.Identity.Groups,
		Display: d.Display, Xauthority: d.Xauthority}
	return &screen{
		dial:  func(ctx context.Context) (net.Conn, error) { return s.Open(ctx, session) },
		paint: func(colour string) { require.NoError(t, d.SetRoot(t.Context(), colour)) },
		input: func() (string, bool) {
			events, err := log.Events(t.Context())
			require.NoError(t, err)
			return fmt.Sprint(events), len(events) > 0
		},
	}
}

func startX11vnc(t *testing.T) *screen {
	testenv.Program(t, "x11vnc", "x11vnc")
	return desktop(t, new(source.X11vnc))
}

// startCapture shows a desktop by the product's own capture, which is a child of shadowd.
func startCapture(t *testing.T) *screen {
	dir, err := os.MkdirTemp("", "viewers")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) // the session's user executes it
	bin := filepath.Join(dir, "shadowd")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "vda.internal/shadow/cmd/shadowd").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return desktop(t, &source.X11{Command: []string{bin, "capture"}})
}

func startXvnc(t *testing.T) *screen {
	path := testenv.Program(t, "Xvnc", "tigervnc-standalone-server")
	dir, err := os.MkdirTemp("", "xvnc") // sockets have short names
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	answer, number, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { answer.Close() })
	socket := filepath.Join(dir, "rfb")
	cmd := exec.Command(path, "-displayfd", "3", "-geometry", "320x240", "-depth", "24", "-nolisten", "tcp", "-ac",
		"-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", socket)
	cmd.ExtraFiles = []*os.File{number}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	require.NoError(t, cmd.Start())
	number.Close()
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	require.NoError(t, answer.SetReadDeadline(time.Now().Add(patience)))
	line, err := bufio.NewReader(answer).ReadString('\n')
	require.NoError(t, err, "Xvnc doesn't start")
	do := func(name string, args ...string) string {
		t.Helper()
		testenv.Program(t, name, "the Makefile's DESKTOP")
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "DISPLAY=:"+strings.TrimSpace(line))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
		return string(out)
	}
	pointer := do("xdotool", "getmouselocation")
	return &screen{
		dial:   func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", socket) },
		paint:  func(colour string) { do("xsetroot", "-solid", colour) },
		resize: func(width, height int) { do("xrandr", "--fb", fmt.Sprintf("%dx%d", width, height)) },
		input: func() (string, bool) {
			now := do("xdotool", "getmouselocation")
			return now, now != pointer
		},
	}
}

// front is websockify --view-only and the granted port at once: wsproxy with the relay. It serves a
// release of noVNC and a page with it, too.
func front(t *testing.T, novnc, page string, s *screen) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/pako/", http.StripPrefix("/pako/", http.FileServer(http.Dir(release(t, "pako@1.0.11", "lib/zlib/inflate.js")))))
	mux.Handle("/novnc/", http.StripPrefix("/novnc/", http.FileServer(http.Dir(novnc))))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	})
	proxy := &wsproxy.Handler{
		Dial:     func(ctx context.Context, _ *http.Request) (net.Conn, error) { return s.dial(ctx) },
		Relay:    new(rfb.Relay),
		OnReject: func(_ *http.Request, err error) { t.Logf("refused: %v", err) },
		OnEnd: func(r wsproxy.Record) {
			if r.Err != nil && !errors.Is(r.Err, context.Canceled) {
				t.Logf("the session ended with %d %s: %v", r.Code, r.Reason, r.Err)
			}
		},
	}
	mux.Handle("/ws", proxy)
	server := httptest.NewUnstartedServer(mux)
	server.Listener = &wsproxy.Listener{Listener: server.Listener}
	server.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = proxy.Shutdown(ctx)
		server.Close()
	})
	return server.URL
}

// page shows a session with noVNC as somebody uses it who believes that he controls it: viewOnly
// isn't set.
const page = `<!doctype html><div id="v" style="width:600px;height:500px"></div><script type="module">
import RFB from "/novnc/core/rfb.js";
window.ended = "";
window.onerror = m => { window.ended = m; };
window.rfb = new RFB(document.getElementById("v"), "ws://" + location.host + "/ws", {});
window.rfb.addEventListener("disconnect", () => { window.ended = "disconnected"; });
</script>`

// page05 and page06 are the same for releases that have no modules and draw on a canvas that is given.
const page05 = `<!doctype html><canvas id="v"></canvas><script src="/novnc/dist/novnc-node.js"></script><script>
window.ended = "";
window.onerror = m => { window.ended = m; };
window.rfb = new noVNC.RFB({target: document.getElementById("v"), encrypt: false, onUpdateState: (rfb, state, old, text) => {
	if (state === "failed") window.ended = state + ": " + text;
}});
window.rfb.connect("ws://" + location.host + "/ws", "");
</script>`

const page06 = `<!doctype html><canvas id="v"></canvas><script>
const modules = {};
function load(path) {
	if (modules[path]) return modules[path].exports;
	const m = modules[path] = {exports: {}}, get = new XMLHttpRequest();
	get.open("GET", path + ".js", false);
	get.send();
	new Function("require", "module", "exports", get.responseText)(
		p => load(new URL(p.replace(/[.]js$/, "").replace(/^pako/, "/pako"), location.origin + path).pathname), m, m.exports);
	return m.exports;
}
window.ended = "";
window.onerror = m => { window.ended = m; };
const module06 = load("/novnc/lib/rfb"), RFB = module06.default || module06;
window.rfb = new RFB({target: document.getElementById("v"), encrypt: false, onDisconnected: (rfb, why) => { window.ended = "disconnected: " + why; }});
window.rfb.connect(location.hostname, location.port, "", "ws");
</script>`

// colour is JavaScript for the size of the picture, and its colour if nine of ten pixels have one
// (the pointer is in it, too).
const colour = `(() => {
	const c = document.querySelector("canvas");
	if (window.ended || !c || !c.width) return window.ended;
	const p = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, n = {};
	for (let i = 0; i < p.length; i += 4) { const k = p[i] + "," + p[i + 1] + "," + p[i + 2]; n[k] = (n[k] || 0) + 1; }
	const [k, most] = Object.entries(n).sort((a, b) => b[1] - a[1])[0];
	return c.width + "x" + c.height + (most > p.length / 4 * 0.9 ? " " + k : " mixed");
})()`

// alike compares what colour says: QEMU's guest has six bits a colour.
func alike(got, want string) bool {
	var w, h, r, g, b, width, height, red, green, blue int
	_, err := fmt.Sscanf(got, "%dx%d %d,%d,%d", &w, &h, &r, &g, &b)
	_, bad := fmt.Sscanf(want, "%dx%d %d,%d,%d", &width, &height, &red, &green, &blue)
	off := max(r-red, red-r, g-green, green-g, b-blue, blue-b)
	return err == nil && bad == nil && w == width && h == height && off <= 4
}

func startBrowser(t *testing.T) context.Context {
	t.Helper()
	testenv.Program(t, "chromium", "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	browser, endBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() { _ = chromedp.Cancel(browser); endBrowser() })
	require.NoError(t, chromedp.Do(browser, chromedp.Navigate("about:blank")))
	return browser
}

// Each release shows each server's screen in its colours, follows a change and, where the server can,
// a new size; and nothing that its user does reaches the session.
func TestNoVNC(t *testing.T) {
	all := os.Getenv(everything) == "1"
	browser := startBrowser(t)
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			s := server.start(t)
			for _, r := range releases {
				if !all && !r.short {
					continue
				}
				t.Run("noVNC "+r.name, func(t *testing.T) { watch(t, browser, s, release(t, r.pack, r.file), r.page) })
			}
		})
	}
}

func watch(t *testing.T, browser context.Context, s *screen, novnc, page string) {
	size := cmp.Or(s.size, "320x240")
	shows := func(want string) {
		t.Helper()
		got := ""
		ok := assert.Eventually(t, func() bool {
			var err error
			got, err = chromedp.Run(browser, chromedp.Evaluate[string](colour))
			return err == nil && alike(got, want)
		}, patience, 50*time.Millisecond)
		require.True(t, ok, "the picture is %q, want %s", got, want)
	}
	s.paint("#c83214") // no two channels alike
	require.NoError(t, chromedp.Do(browser, chromedp.Navigate(front(t, novnc, page, s)+"/")))
	shows(size + " 200,50,20")
	s.paint("#0a78f0")
	shows(size + " 10,120,240")

	before, _ := s.input()
	for i := range 20 {
		x := float64(20 + 10*i)
		require.NoError(t, chromedp.Do(browser, chromedp.MouseClickXY(x, 100)))
	}
	require.NoError(t, chromedp.Do(browser, chromedp.KeyEvent("hello")))
	s.paint("#14c832")
	shows(size + " 20,200,50")
	what, any := s.input()
	assert.False(t, any, "what reached the session: %s, before %s", what, before)

	if s.resize != nil {
		s.resize(400, 300)
		s.paint("#c83214")
		shows("400x300 200,50,20")
		s.resize(320, 240)
	}
	require.NoError(t, chromedp.Do(browser, chromedp.Navigate("about:blank")))
}
