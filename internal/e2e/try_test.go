package e2e

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
)

var signInAs = regexp.MustCompile(`^Open (http://\S+) and sign in as (\S+) with the password (\S+)$`)

// shadowgate try is the console of this machine: it starts shadowd, says how to sign in, and leaves nothing behind.
func TestTry(t *testing.T) {
	testenv.Root(t)
	if suite.lack != "" {
		testenv.Lack(t, "%s", suite.lack)
	}
	path, err := buildConsole() // beside shadowd
	require.NoError(t, err)
	if conn, err := http.Get("http://127.0.0.1:8880/healthz"); err == nil {
		_ = conn.Body.Close()
		testenv.Lack(t, "somebody has port 8880")
	}
	temporary := t.TempDir()
	cmd := exec.Command(path, "try")
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary, "DBUS_SYSTEM_BUS_ADDRESS="+testlogind.Start(t).Address)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	log := new(strings.Builder)
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	m := signInAs.FindStringSubmatch(lines.Text())
	require.NotNil(t, m, lines.Text())
	eventually(t, "the console answers", func() bool {
		resp, err := http.Get(m[1] + "/readyz")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	resp, err := http.Post(m[1]+"/api/v1/signin", "application/json", strings.NewReader(`{"name":"`+m[2]+`","password":"`+m[3]+`"}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_, _ = io.Copy(io.Discard, out)
	require.NoError(t, cmd.Wait(), log)
	left, err := filepath.Glob(filepath.Join(temporary, "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.NotContains(t, log.String(), m[3], "the password is in the log")
}
