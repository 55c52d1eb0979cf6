package child_test

import (
	"bytes"
	"io/fs"
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

func TestMain(m *testing.M) {
	if act, ok := acts[os.Args[len(os.Args)-1]]; ok {
		act()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// acts are what children of these tests do that are this program.
var acts = map[string]func(){"act-networks": actNetworks, "act-spray": actSpray, "act-state": actState, "act-wait": actWait}

// self is this program, doing one of the acts.
func self(act string) *exec.Cmd {
	return &exec.Cmd{Path: child.Self, Args: []string{"test", act}}
}

// nobody is the user of children that root starts here.
var nobody = child.Identity{UID: 65534, GID: 65534}

// other is an identity that this process may take: nobody as root, else its own.
func other() child.Identity {
	if os.Getuid() == 0 {
		return nobody
	}
	return child.Own()
}

func wait(t *testing.T, p *child.Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		_ = p.Stop(0, 0)
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
	require.NoError(t, p.Stop(0, 100*time.Millisecond))
	var exit *exec.ExitError
	require.ErrorAs(t, p.Err(), &exit)
	assert.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
	assert.ErrorIs(t, syscall.Kill(p.PID(), 0), syscall.ESRCH, "still there")
	require.NoError(t, p.Stop(time.Hour, time.Hour)) // again: nothing
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
	require.NoError(t, r.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = r.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "EOF")
}

func TestStartFails(t *testing.T) {
	_, err := child.Start(exec.Command("/nonexistent/program"), other())
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.EqualError(t, err, "exec /nonexistent/program: no such file or directory")
	_, err = child.Start(exec.Command("no-such-program"), other())
	require.ErrorIs(t, err, exec.ErrNotFound)
	_, err = child.Start(&exec.Cmd{Path: "bin/true"}, other())
	require.ErrorContains(t, err, "absolute path")
	_, err = child.Start(exec.Command("/bin/true"), child.Identity{GID: 5})
	require.ErrorContains(t, err, "uid 0 is refused")
}
