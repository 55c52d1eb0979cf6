package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
)

var signInAs = regexp.MustCompile(`^Open (http://\S+) and sign in as (\S+) with the password (\S+)$`)

// shadowgate try is the console of this machine: it starts shadowd, says how to sign in, shows a user's session after a Yes, and leaves
// nothing behind.
func TestTry(t *testing.T) {
	testenv.Root(t)
	if suite.lack != "" {
		testenv.Lack(t, "%s", suite.lack)
	}
	path, err := buildConsole() // beside shadowd
	require.NoError(t, err)
	session := desktop(t)
	leader, err := session.Spawn("sleep", "1000") // which has the session's DISPLAY and XAUTHORITY
	require.NoError(t, err)
	logind := testlogind.Start(t)
	logind.Add("c2", session.Identity.UID, map[string]any{"Name": userName(t, session.Identity.UID), "Leader": uint32(leader.PID()), "Display": ""})
	temporary := t.TempDir()
	cmd := exec.Command(path, "try")
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary, "DBUS_SYSTEM_BUS_ADDRESS="+logind.Address)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	log := new(strings.Builder)
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { // if the test fails; shadowd ends with it
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	m := signInAs.FindStringSubmatch(lines.Text())
	require.NotNil(t, m, lines.Text())
	page, closePage := chromedp.NewContext(suite.browser, chromedp.WithNewBrowserContext())
	defer closePage()
	require.NoError(t, chromedp.Do(page, chromedp.EmulateViewport(1280, 900))) // the tab lives as long as its first context
	require.NoError(t, chromedp.Do(page, chromedp.Navigate(m[1])))
	does := func(what, format string, args ...any) {
		t.Helper()
		eventually(t, what, func() bool { return inPage[bool](t, page, "Boolean("+format+")", args...) })
	}
	does("sign in", `((f) => f && !void ([f.elements.username.value, f.elements.password.value] = [%q, %q]) && !void f.requestSubmit())(document.querySelector("form"))`, m[2], m[3])
	press := `((b) => b && !void b.click())([...document.querySelectorAll("button")].find((b) => b.innerText === %q))`
	does("the session is listed", press, "Ask to view")
	does("the question", press, "Ask the user")
	yes(t, session)
	does("the view", `document.querySelector("section.view")?.dataset.state === "live"`)
	(&tab{t, page, closePage}).resembles(session)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_, _ = io.Copy(io.Discard, out)
	require.NoError(t, cmd.Wait(), log)
	left, err := filepath.Glob(filepath.Join(temporary, "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.NotContains(t, log.String(), m[3], "the password is in the log")
}
