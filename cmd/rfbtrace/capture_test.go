package main

//lint:file-ignore SA1019 The library that the project names; its successor is a change of import path.

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/viewer"
)

// updateTraces is set by: go test ./cmd/rfbtrace -run Capture -update
var updateTraces = flag.Bool("update", false, "capture real viewers with real servers into testdata/traces")

const (
	traces  = "../../testdata/traces"
	waitFor = testenv.Patience
)

// TestCapture captures what real viewers do with real servers, through this
// command. It is skipped unless the traces are to be written.
func TestCapture(t *testing.T) {
	if !*updateTraces {
		t.Skip("only with -update: it captures real peers anew")
	}
	screen := testhost.Require(t, testhost.Options{Width: 1000, Height: 700, WindowManager: true}) // of the viewers
	for _, server := range []struct {
		name  string
		start func(*testing.T) (addr, display string)
	}{
		{"x11vnc-" + versionOf(t, "x11vnc", "-version"), startX11vnc},
		{"Xvnc-" + versionOf(t, "Xvnc", "-version"), startXvnc},
	} {
		for _, v := range []struct {
			name  string
			start func(*testing.T, *testhost.Desktop, int)
		}{
			{"xtigervncviewer", tigervnc("-FullColor=1", "-PreferredEncoding=Tight")},
			{"xtigervncviewer-8", tigervnc("-FullColor=0", "-LowColorLevel=2", "-PreferredEncoding=ZRLE")},
			{"gvncviewer", gvnc},
			{"xtightvncviewer", tightvnc("-encodings", "tight copyrect")},
			{"xtightvncviewer-8", tightvnc("-bgr233", "-encodings", "hextile copyrect")},
			{"novnc", novnc},
		} {
			t.Run(server.name+"/"+v.name, func(t *testing.T) {
				addr, display := server.start(t)
				captureOne(t, screen, addr, display, server.name, v.name, v.start)
			})
		}
	}
}

// captureOne captures one viewer: it sees a terminal, text that comes into it and
// goes up, a background that changes, and another window.
func captureOne(t *testing.T, screen *testhost.Desktop, addr, display, server, name string, start func(*testing.T, *testhost.Desktop, int)) {
	file := filepath.Join(traces, server, "viewer-"+name+".trace.gz")
	_ = os.Remove(file) // one that was there isn't packed again
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	out, in, err := os.Pipe()
	require.NoError(t, err)
	defer out.Close()
	done := make(chan error, 1)
	port := 5900 + 77
	go func() {
		defer in.Close()
		done <- capture(ctx, []string{"-listen", fmt.Sprintf("127.0.0.1:%d", port), "-server", addr,
			"-server-name", server, "-viewer-name", name, "-note", "sees changes", file}, in)
	}()
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	env := []string{"DISPLAY=" + display, "PATH=" + os.Getenv("PATH"), "XAUTHORITY=" + os.Getenv("XAUTHORITY")}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = env
		return cmd
	}
	background := func(color string) { require.NoError(t, run("xsetroot", "-solid", color).Run(), color) }
	window := func(args ...string) {
		cmd := run("xterm", args...)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		require.NoError(t, run("xdotool", "search", "--sync", "--onlyvisible", "--class", "XTerm").Run())
	}
	background("#203040")
	window("-geometry", "18x6+0+0", "-e", "sh", "-c", "seq 4; for i in 1 2 3 4 5 6; do sleep .5; echo line $i; done; exec cat")
	start(t, screen, port)
	for _, color := range []string{"#ff8000", "#00c060"} {
		time.Sleep(700 * time.Millisecond) // a capture, not a test: the viewer is to have drawn
		background(color)
	}
	time.Sleep(700 * time.Millisecond)
	window("-geometry", "12x3+60+60", "-bg", "#ffe0a0", "-e", "sh", "-c", "echo two; exec cat")
	time.Sleep(time.Second)
	cancel()
	require.NoError(t, ignore(<-done))
	require.FileExists(t, file)
}

func ignore(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func versionOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	v := regexp.MustCompile(`\d+\.\d+\.\d+`).Find(out)
	require.NotEmpty(t, v, "%s: %v", name, err)
	return string(v)
}

// startX11vnc shows a desktop of its own.
func startX11vnc(t *testing.T) (addr, display string) {
	desk := testhost.Require(t, testhost.Options{Width: 160, Height: 120})
	dir, err := os.MkdirTemp("", "rfbtrace")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	socket := filepath.Join(dir, "rfb")
	path := testenv.Program(t, "x11vnc", "x11vnc")
	_, err = desk.SpawnCmd(exec.Command(path, "-unixsock", socket, "-rfbport", "0", "-rfbportv6", "0", "-norc", "-nopw", "-nonap",
		"-wait", "5", "-defer", "5", "-speeds", "lan", "-noxrecord", "-forever", "-o", "/dev/null"))
	require.NoError(t, err)
	listens(t, socket)
	t.Setenv("XAUTHORITY", desk.Xauthority)
	return "unix:" + socket, desk.Display
}

func startXvnc(t *testing.T) (addr, display string) {
	path := testenv.Program(t, "Xvnc", "tigervnc-standalone-server")
	dir, err := os.MkdirTemp("", "rfbtrace")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "rfb")
	answer, number, err := os.Pipe()
	require.NoError(t, err)
	defer answer.Close()
	cmd := exec.Command(path, "-displayfd", "3", "-geometry", "160x120", "-depth", "24", "-nolisten", "tcp", "-ac",
		"-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", socket)
	cmd.ExtraFiles = []*os.File{number}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	p, err := child.Start(cmd, child.Own())
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(0, 5*time.Second) })
	number.Close()
	line, err := bufio.NewReader(answer).ReadString('\n')
	require.NoError(t, err)
	listens(t, socket)
	return "unix:" + socket, ":" + strings.TrimSpace(line)
}

func listens(t *testing.T, socket string) {
	require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, waitFor, 20*time.Millisecond)
}

func spawn(t *testing.T, screen *testhost.Desktop, name string, args ...string) {
	p, err := screen.Spawn(name, args...)
	require.NoError(t, err, "do: apt-get install tigervnc-viewer gvncviewer xtightvncviewer")
	t.Cleanup(func() { p.Stop(0, time.Second) })
}

func tigervnc(args ...string) func(*testing.T, *testhost.Desktop, int) {
	return func(t *testing.T, screen *testhost.Desktop, port int) {
		spawn(t, screen, "xtigervncviewer", append([]string{"-SecurityTypes=None", "-AutoSelect=0"},
			append(args, fmt.Sprintf("127.0.0.1::%d", port))...)...)
	}
}

func gvnc(t *testing.T, screen *testhost.Desktop, port int) {
	spawn(t, screen, "gvncviewer", fmt.Sprintf("127.0.0.1:%d", port-5900))
}

func tightvnc(args ...string) func(*testing.T, *testhost.Desktop, int) {
	return func(t *testing.T, screen *testhost.Desktop, port int) {
		spawn(t, screen, "xtightvncviewer", append(args, fmt.Sprintf("127.0.0.1::%d", port))...)
	}
}

// page shows one session with stock noVNC.
const page = `<!doctype html><div id="v" style="width:400px;height:300px"></div><script type="module">
import RFB from "/novnc/core/rfb.js";
window.rfb = new RFB(document.getElementById("v"), "ws://" + location.host + "/ws");
</script>`

// novnc joins noVNC in Chromium to the port.
func novnc(t *testing.T, _ *testhost.Desktop, port int) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page)
	})
	mux.Handle("/novnc/", http.StripPrefix("/novnc/", viewer.Handler()))
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return
		}
		defer conn.Close()
		far := websocket.NetConn(r.Context(), ws, websocket.MessageBinary)
		go io.Copy(conn, far)
		io.Copy(far, conn)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(srv.URL), chromedp.WaitVisible("canvas")))
}
