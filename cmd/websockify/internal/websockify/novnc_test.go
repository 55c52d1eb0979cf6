package websockify

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// startXvnc starts a VNC server with a white screen and returns when it listens.
func startXvnc(t *testing.T, args ...string) {
	t.Helper()
	path := testenv.Program(t, "Xvnc", "tigervnc-standalone-server")
	display, theirs, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { display.Close() }) // not before: it has more to write
	cmd := exec.Command(path, append([]string{"-displayfd", "3", "-wr", "-geometry", "320x240", "-SecurityTypes", "None"}, args...)...)
	cmd.ExtraFiles = []*os.File{theirs}
	var said text
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	theirs.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	require.NoError(t, display.SetReadDeadline(time.Now().Add(patience)))
	n, err := display.Read(make([]byte, 8))
	require.NoError(t, err, "%s", &said)
	require.NotZero(t, n)
}

// startBrowser starts Chromium. It ends with the test, or with stop.
func startBrowser(t *testing.T) (browser context.Context, stop func()) {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	testenv.Program(t, "chromium", "chromium")
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	allocator, endAllocator := chromedp.NewExecAllocator(ctx, options...)
	browser, endBrowser := chromedp.NewContext(allocator)
	stop = sync.OnceFunc(func() {
		_ = chromedp.Cancel(browser) // waits until Chromium has ended
		endBrowser()
		endAllocator()
		cancel()
	})
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(browser, chromedp.EmulateViewport(800, 600)), "chromium")
	return browser, stop
}

// noVNC's own script starts this program, and its page shows the desktop.
func TestNoVNCProxyAndABrowser(t *testing.T) {
	t.Parallel()
	const script = "/usr/share/novnc/utils/novnc_proxy"
	require.FileExists(t, script, "apt-get install novnc")
	target := freeAddress(t)
	startXvnc(t, "-rfbport", portOf(target), "-interface", "127.0.0.1")

	bin := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "websockify")))
	port := portOf(freeAddress(t))
	cmd := exec.Command("bash", script, "--listen", port, "--vnc", target, "--heartbeat", "30", "--idle-timeout", "600", "--record", filepath.Join(bin, "rec"))
	cmd.Dir = bin
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), runVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{t: t, cmd: cmd, out: &text{}, err: &text{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = p.out, p.err, time.Second
	require.NoError(t, cmd.Start())
	go func() {
		defer close(p.done)
		_ = cmd.Wait()
	}()
	t.Cleanup(p.end)
	p.until("noVNC's script", func() bool { return strings.Contains(p.out.String(), "Navigate to this URL") })
	assert.Contains(t, p.out.String(), "Using installed websockify at "+bin)

	browser, stop := startBrowser(t)
	require.NoError(t, chromedp.Do(browser, chromedp.Navigate("http://127.0.0.1:"+port+"/vnc_lite.html")))
	const white = `(() => {
		const c = document.querySelector('canvas');
		if (!c || c.width != 320 || c.height != 240) return false;
		const p = c.getContext('2d').getImageData(160, 120, 1, 1).data;
		return p[0] == 255 && p[1] == 255 && p[2] == 255;
	})()`
	p.until("a white desktop", func() bool {
		ok, err := chromedp.Run(browser, chromedp.Evaluate[bool](white))
		return err == nil && ok
	})
	p.says("connecting to: " + target)
	stop()
	p.says("session ended by the client")
	var recording []byte
	p.until("the recording", func() bool {
		files, _ := filepath.Glob(filepath.Join(bin, "rec.*"))
		for _, f := range files {
			recording, _ = os.ReadFile(f)
		}
		return strings.HasSuffix(string(recording), "'EOF'];\n")
	})
	assert.Contains(t, string(recording), `{RFB 003.008\n',`)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	<-p.done
	assert.Contains(t, p.err.String(), "In exit", "the script has ended it")
}

// As Jupyter's desktop proxy starts it: the port in the middle, the server on
// a socket, behind a shell.
func TestJupyterStyleWrap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "vnc.sock")
	p := theGo.launch(t, "-v", "--web", dir, "--heartbeat", "30", "--unix-target", socket, "LISTEN", "--", "/bin/sh", "-c",
		fmt.Sprintf("cd %s && exec Xvnc -displayfd 1 -rfbport -1 -rfbunixpath %s -SecurityTypes None", dir, socket))
	p.says("proxying from")
	p.until("Xvnc", func() bool {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		defer c.Close()
		b := make([]byte, 12)
		_, err = io.ReadFull(c, b)
		return err == nil
	})
	c := dialRaw(t, p.addr).upgrade("/websockify", "Sec-WebSocket-Protocol: binary")
	assert.Equal(t, "RFB 003.008\n", c.stream(12))
	c.send(bye)
	c.rest()
}
