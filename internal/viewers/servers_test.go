package viewers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
	"vda.internal/shadow/wsproxy"
)

// A screen is a desktop and the RFB server that shows it.
type screen struct {
	name   string
	size   string                                      // at first; empty: 320x240
	dial   func(ctx context.Context) (net.Conn, error) // the server; nil: a program of ours stands before it
	socket func() string                               // address of a new view-only session's WebSocket
	paint  func(colour string)                         // the whole of it
	draw   func(l levels, seed uint64)                 // a picture, whose colours have these levels at most
	shot   func() (*image.RGBA, image.Rectangle)       // what it shows, and where a pointer may be over that
	resize func(width, height int)                     // nil: it can't be
	other  [2]int                                      // a size that it can have
	input  func() (what string, any bool)              // that has reached it since it was started
	deaf   string                                      // why input says nothing; empty: it does
	still  string                                      // why there is no resize; empty: there is
}

// A server is something that people show. start's origin is the host and port of the pages that watch it.
type server struct {
	name  string
	start func(t *testing.T, origin string) *screen
	long  bool // for make viewers, whose packages it needs
}

var servers = []server{
	{"x11vnc", startX11vnc, false},
	{"Xvnc", startXvnc, false},
	{"capture", startCapture, false},
	{"shadowd", startShadowd, false},
	{"websockify", startWebsockify, false},
	{"QEMU", startQEMU, true},
	{"QEMU, TLSNone", startQEMUInTLS, true},
	{"TigerVNC's vncserver", startTigerVNC, true},
	{"TightVNC's vncserver", startTightVNC, true},
}

// open starts a server, and serves the pages that watch it.
func open(t *testing.T, what server) (s *screen, pages string) {
	t.Helper()
	if what.long && os.Getenv(everything) == "" {
		t.Skip(what.name + " is for make viewers")
	}
	pages = serve(t, func() string { return s.socket() })
	at, err := url.Parse(pages)
	require.NoError(t, err)
	s = what.start(t, at.Host)
	s.name = what.name
	if s.socket == nil {
		s.socket = front(t, at.Host, new(rfb.Relay), s.dial)
	}
	return s, pages
}

// desktop is what x11vnc and the capture show.
func desktop(t *testing.T, s shadow.Source) *screen {
	t.Helper()
	d, shown := desk(t)
	session := &shadow.Session{ID: "s1", User: "user", UID: d.Identity.UID, GID: d.Identity.GID, Groups: d.Identity.Groups,
		Display: d.Display, Xauthority: d.Xauthority}
	shown.dial = func(ctx context.Context) (net.Conn, error) { return s.Open(ctx, session) }
	return shown
}

// desk is a desktop of Xvfb's that nothing shows yet.
func desk(t *testing.T) (*testhost.Desktop, *screen) {
	t.Helper()
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240, Args: []string{"+extension", "RANDR"}})
	log, err := d.WatchInput(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	run := func(args ...string) {
		t.Helper()
		_, err := d.Run(t.Context(), "xrandr", args...)
		require.NoError(t, err)
	}
	run("--newmode", "300x200", "25.175", "300", "316", "412", "460", "200", "210", "212", "245")
	run("--addmode", "screen", "300x200")
	s := &screen{
		paint:  func(colour string) { require.NoError(t, d.SetRoot(t.Context(), colour)) },
		other:  [2]int{300, 200},
		resize: func(width, height int) { run("--output", "screen", "--mode", fmt.Sprintf("%dx%d", width, height)) },
		input: func() (string, bool) {
			events, err := log.Events(t.Context())
			require.NoError(t, err)
			return fmt.Sprint(events), len(events) > 0
		},
	}
	s.pictured(newBoard(t, d.Display, d.Xauthority))
	return d, s
}

// pictured lets s show pictures on a board of its display.
func (s *screen) pictured(b *board) {
	s.draw = func(l levels, seed uint64) { b.draw(l.picture(b.bounds(), seed)) }
	s.shot = func() (*image.RGBA, image.Rectangle) { return b.shot(), b.pointer() }
}

func startX11vnc(t *testing.T, _ string) *screen {
	testenv.Program(t, "x11vnc", "x11vnc")
	s := desktop(t, new(source.X11vnc))
	s.keep(x11vncEnds)
	return s
}

// x11vncEnds is why x11vnc has no new sizes to show.
const x11vncEnds = "x11vnc may end when its screen's size changes"

// keep makes s one that isn't resized, and says why.
func (s *screen) keep(why string) { s.resize, s.still = nil, why }

// startCapture shows a desktop by the product's own capture, which is a child of shadowd.
func startCapture(t *testing.T, _ string) *screen {
	return desktop(t, &source.X11{Command: []string{build(t, "shadowd"), "capture"}})
}

func startXvnc(t *testing.T, _ string) *screen {
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
	shown := display(t, ":"+strings.TrimSpace(line), "")
	shown.dial = func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", socket) }
	return shown
}

// display is the screen of an X server that shows itself.
func display(t *testing.T, display, xauthority string) *screen {
	t.Helper()
	do := func(name string, args ...string) string {
		t.Helper()
		testenv.Program(t, name, "the Makefile's DESKTOP")
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "DISPLAY="+display, "XAUTHORITY="+xauthority)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
		return string(out)
	}
	b := newBoard(t, display, xauthority)
	input, forget := b.watch()
	for name, try := range b.inputs() {
		try()
		_, any := input()
		require.True(t, any, "%s isn't seen", name)
		forget()
	}
	s := &screen{
		paint:  func(colour string) { do("xsetroot", "-solid", colour) },
		other:  [2]int{400, 300}, // an output isn't larger than the screen
		resize: func(width, height int) { do("xrandr", "--fb", fmt.Sprintf("%dx%d", width, height)) },
		input:  input,
	}
	s.pictured(b)
	return s
}

// front is wsproxy in this process, with package rfb's relay as a granted port has it, or with none that looks at the bytes.
func front(t *testing.T, origin string, relay wsproxy.Relay, dial func(context.Context) (net.Conn, error)) (socket func() string) {
	t.Helper()
	proxy := &wsproxy.Handler{
		Dial:           func(ctx context.Context, _ *http.Request) (net.Conn, error) { return dial(ctx) },
		Relay:          relay,
		OriginPatterns: []string{origin},
		OnReject:       func(_ *http.Request, err error) { t.Logf("refused: %v", err) },
		OnEnd: func(r wsproxy.Record) {
			if r.Err != nil && !errors.Is(r.Err, context.Canceled) {
				t.Logf("the session ended with %d %s: %v", r.Code, r.Reason, r.Err)
			}
		},
	}
	server := httptest.NewUnstartedServer(proxy)
	server.Listener = &wsproxy.Listener{Listener: server.Listener}
	server.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = proxy.Shutdown(ctx)
		server.Close()
	})
	return func() string { return "ws://" + server.Listener.Addr().String() + "/ws" }
}
