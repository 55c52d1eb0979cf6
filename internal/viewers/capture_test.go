package viewers

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// updateTraces is set by: go test ./internal/viewers -run Capture -update
var updateTraces = flag.Bool("update", false, "capture viewers with x11vnc and Xvnc into testdata/traces")

// captured are the releases of noVNC and the native viewers that are captured here, with their files' names. Package
// main of rfbtrace captures others.
var (
	capturedReleases = []string{"0.5", "0.6", "1.0.0", "1.2.0", "1.3.0", "1.7.0"}
	capturedNatives  = map[string]string{"TigerVNC, of itself": "xtigervncviewer-auto", "ssvnc": "ssvncviewer", "remmina": "remmina"}
)

// TestCapture captures what viewers say to servers without a relay in between, by rfbtrace. It does nothing
// unless the traces are to be written.
func TestCapture(t *testing.T) {
	if !*updateTraces {
		t.Skip("only with -update: it captures real peers anew")
	}
	chrome := startChromium(t)
	for _, server := range []struct {
		program, option, debian string
		start                   func(*testing.T, string) *screen
	}{{"x11vnc", "-version", "x11vnc", startX11vnc}, {"Xvnc", "-version", "tigervnc-standalone-server", startXvnc}} {
		out, _ := exec.Command(testenv.Program(t, server.program, server.debian), server.option).CombinedOutput()
		name := server.program + "-" + string(regexp.MustCompile(`\d+\.\d+\.\d+`).Find(out))
		for _, r := range releases {
			if slices.Contains(capturedReleases, r.name) {
				t.Run(name+"/"+r.name, func(t *testing.T) {
					release(t, r.pack, r.file)
					s := server.start(t, "")
					var socket func() string
					pages := serve(t, func() string { return socket() })
					captureOne(t, s, name, "novnc-"+r.name, func(address string) func() {
						socket = front(t, pages[len("http://"):], nil, func(ctx context.Context) (net.Conn, error) {
							return new(net.Dialer).DialContext(ctx, "tcp", address)
						})
						chrome.open(t, pages+"/"+r.name+"/")
						return func() { chrome.open(t, "about:blank") }
					})
				})
			}
		}
		for _, v := range natives {
			if file := capturedNatives[v.name]; file != "" {
				t.Run(name+"/"+v.name, func(t *testing.T) {
					desk := testhost.Require(t, testhost.Options{Width: 700, Height: 600})
					captureOne(t, server.start(t, ""), name, file, func(address string) func() {
						p := v.start(t, desk, address)
						return func() { p.Stop(0, 5*time.Second) }
					})
				})
			}
		}
	}
}

// captureOne captures one session, in which the screen changes.
func captureOne(t *testing.T, s *screen, server, viewer string, start func(address string) (stop func())) {
	file, err := filepath.Abs(filepath.Join("../../testdata/traces", server, "viewer-"+viewer+".trace.gz"))
	require.NoError(t, err)
	_ = os.Remove(file) // one that was there isn't packed again
	address := fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
	cmd := exec.Command(build(t, "rfbtrace"), "capture", "-listen", address, "-server", "unix:"+bridge(t, s.dial),
		"-server-name", server, "-viewer-name", viewer, "-note", "sees changes", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	s.paint("#203040")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "it listens")
	stop := start(address)
	for _, colour := range []string{"#ff8000", "#00c060", "#c83214"} {
		time.Sleep(2 * time.Second) // a capture, not a test: the viewer is to have drawn
		s.paint(colour)
	}
	time.Sleep(2 * time.Second)
	stop()
	_ = cmd.Process.Signal(syscall.SIGINT)
	for lines.Scan() {
		t.Log(lines.Text())
	}
	_ = cmd.Wait()
	assert.FileExists(t, file)
}

// bridge is a unix socket behind which dial is.
func bridge(t *testing.T, dial func(context.Context) (net.Conn, error)) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bridge") // sockets have short names
	require.NoError(t, err)
	path = filepath.Join(dir, "rfb")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer near.Close()
				far, err := dial(ctx)
				if err != nil {
					return
				}
				defer far.Close()
				stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
				defer stop()
				wg.Go(func() { _, _ = io.Copy(near, far); near.Close() })
				_, _ = io.Copy(far, near)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); wg.Wait(); os.RemoveAll(dir) })
	return path
}
