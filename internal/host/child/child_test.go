package child_test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/internal/host/child"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// other is an identity that this process may take: nobody as root, else its own.
func other() child.Identity {
	if os.Getuid() == 0 {
		return child.Identity{UID: 65534, GID: 65534}
	}
	return child.Identity{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
}

func wait(t *testing.T, p *child.Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		p.Stop(0, 0)
		require.FailNow(t, "the child did not end")
	}
}

func TestRunsAsTheUserWithAnEmptyEnvironment(t *testing.T) {
	var out bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", `id -u; id -G; pwd; tr '\0' '\n' </proc/self/environ`)
	cmd.Stdout = &out
	p, err := child.Start(cmd, other())
	require.NoError(t, err)
	wait(t, p)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	assert.Equal(t, strconv.Itoa(int(other().UID)), lines[0])
	if os.Getuid() == 0 {
		assert.Equal(t, "65534", lines[1], "supplementary groups of root were kept")
	}
	assert.Equal(t, "/", lines[2])
	for _, v := range lines[3:] {
		assert.True(t, strings.HasPrefix(v, "PWD=") || strings.HasPrefix(v, "OLDPWD=") || strings.HasPrefix(v, "_=") || strings.HasPrefix(v, "SHLVL="), v)
	}
}

func TestExitCode(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -9 $$": -1} {
		p, err := child.Start(exec.Command("/bin/sh", "-c", script), other())
		require.NoError(t, err)
		wait(t, p)
		assert.Equal(t, want, p.ExitCode(), script)
		assert.Equal(t, want == 0, p.Err() == nil)
	}
}

func TestStopEscalatesToKillAndReaps(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", `trap '' TERM; echo ready; while :; do sleep 1; done`)
	cmd.Stdout = w
	p, err := child.Start(cmd, other())
	require.NoError(t, err)
	w.Close()
	_, err = r.Read(make([]byte, 16)) // the trap is set
	require.NoError(t, err)
	p.Stop(0, 100*time.Millisecond)
	var exit *exec.ExitError
	require.ErrorAs(t, p.Err(), &exit)
	assert.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
	assert.ErrorIs(t, syscall.Kill(p.PID(), 0), syscall.ESRCH, "still there")
	p.Stop(time.Hour, time.Hour) // again: nothing
}

// What the child started goes with it.
func TestNothingOfTheGroupIsLeft(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", `sleep 600 & exit 0`)
	cmd.Stdout = w // held open by the grandchild as long as it lives
	p, err := child.Start(cmd, other())
	require.NoError(t, err)
	w.Close()
	wait(t, p)
	require.NoError(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = r.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "EOF")
}

func TestStartFails(t *testing.T) {
	_, err := child.Start(exec.Command("/nonexistent/program"), other())
	require.Error(t, err)
}
