package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// consolePassword is alice's at every console of these tests.
const consolePassword = "correct horse battery"

// buildConsole builds shadowgate once, for the tests that need it.
var buildConsole = sync.OnceValues(func() (string, error) {
	path := filepath.Join(suite.dir, "shadowgate")
	args := append([]string{"build", "-o", path}, buildFlags...)
	if out, err := exec.Command("go", append(args, "vda.internal/shadow/cmd/shadowgate")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building shadowgate: %w\n%s", err, out)
	}
	return path, nil
})

// A console is a shadowgate in front of a daemon, on one address however often it is started.
type console struct {
	t      testing.TB
	path   string
	config string
	url    string
	cmd    *exec.Cmd
	log    *bytes.Buffer
}

func startConsole(t testing.TB, d *daemon) *console {
	t.Helper()
	path, err := buildConsole()
	require.NoError(t, err)
	dir := t.TempDir()
	c := &console{t: t, path: path, config: filepath.Join(dir, "shadowgate.toml")}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.Ports(t, 1)))
	c.url = "http://" + address
	require.NoError(t, os.WriteFile(c.config, fmt.Appendf(nil, `[web]
listen = %q
[accounts]
file = %q
[tokens]
file = ""
[local]
socket = %q
name = "vda1"
[state]
dir = %q
[[access]]
names = ["alice"]
may = ["list", "shadow", "stop", "audit"]
`, address, filepath.Join(dir, "accounts"), d.client.Socket, filepath.Join(dir, "state")), 0o600))
	passwd := exec.Command(path, "--config", c.config, "passwd", "alice")
	passwd.Stdin = strings.NewReader(consolePassword + "\n")
	out, err := passwd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	c.start()
	t.Cleanup(func() { c.end(syscall.SIGTERM) })
	return c
}

// start starts it, and waits until it has reached the daemon.
func (c *console) start() {
	c.t.Helper()
	c.log = new(bytes.Buffer)
	c.cmd = exec.Command(c.path, "--config", c.config)
	c.cmd.Stderr = c.log
	require.NoError(c.t, c.cmd.Start())
	eventually(c.t, "shadowgate is ready", func() bool {
		resp, err := http.Get(c.url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// end ends it by a signal. It may be called twice.
func (c *console) end(by syscall.Signal) {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Signal(by)
	err := c.cmd.Wait()
	c.cmd = nil
	if by == syscall.SIGTERM {
		assert.NoError(c.t, err, "exit status of shadowgate")
	}
	assert.NotContains(c.t, c.log.String(), "DATA RACE")
	if c.t.Failed() {
		c.t.Logf("shadowgate's log:\n%s", c.log)
	}
}

// open is a page of the console in a browser of its own, in which alice has signed in.
func (c *console) open() (context.Context, context.CancelFunc) {
	c.t.Helper()
	page, cancel := chromedp.NewContext(suite.browser, chromedp.WithNewBrowserContext())
	require.NoError(c.t, chromedp.Do(page, chromedp.EmulateViewport(1280, 900))) // the tab lives as long as its first context
	require.NoError(c.t, chromedp.Do(page, chromedp.Navigate(c.url+"/signin")))
	status := inPage[int](c.t, page, `fetch("/api/v1/signin", {method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({name: "alice", password: %q})}).then(r => r.status)`, consolePassword)
	require.Equal(c.t, http.StatusNoContent, status)
	return page, cancel
}

// ask asks for a session's view in a page, and returns the view's id. The session's user has to agree.
func (c *console) ask(page context.Context, session string) (id func() string) {
	c.t.Helper()
	inPage[bool](c.t, page, `(window.asked = fetch("/api/v1/shadows", {method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({session: %q})}).then(async r => r.ok ? (await r.json()).id : "refused: " + await r.text()), true)`, session)
	return func() string {
		c.t.Helper()
		id := inPage[string](c.t, page, "asked")
		require.NotContains(c.t, id, "refused")
		return id
	}
}

// inPage is the value of an expression of JavaScript.
func inPage[T any](t testing.TB, page context.Context, format string, args ...any) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(page, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf(format, args...), chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return v
}
