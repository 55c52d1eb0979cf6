package child_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/testhold"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("it takes root to run two users' processes")
	}
}

// A child that is traced by its user's other processes is dead when it was killed, and Done says
// so, whoever holds its end back.
func TestTracedChild(t *testing.T) {
	needRoot(t)
	p, err := child.Start(exec.Command("/bin/sleep", "600"), nobody)
	require.NoError(t, err)
	letGo, err := testhold.Hold(t, p.PID(), nobody)
	require.NoError(t, err)
	before := child.Held()

	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(0, 0) }()
	select {
	case err := <-stopped:
		require.ErrorIs(t, err, child.ErrHeld)
	case <-time.After(time.Minute):
		require.Fail(t, "Stop waits for the tracer")
	}
	assert.ErrorIs(t, p.Err(), child.ErrHeld)
	assert.Equal(t, -1, p.ExitCode())
	assert.Equal(t, before+1, child.Held())

	letGo()
	require.Eventually(t, func() bool { return child.Held() == before }, time.Minute, 10*time.Millisecond, "it is reaped in the end")
	assert.ErrorIs(t, unix.Kill(p.PID(), 0), unix.ESRCH)
}

// A traced child that ends of its own accord isn't waited for, either.
func TestTracedChildThatEnds(t *testing.T) {
	needRoot(t)
	in, lifeline, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command("/bin/cat")
	cmd.Stdin = in
	p, err := child.Start(cmd, nobody)
	require.NoError(t, err)
	in.Close()
	letGo, err := testhold.Hold(t, p.PID(), nobody)
	require.NoError(t, err)
	lifeline.Close()
	wait(t, p)
	assert.ErrorIs(t, p.Err(), child.ErrHeld)
	letGo()
	require.Eventually(t, func() bool { return child.Held() == 0 }, time.Minute, 10*time.Millisecond)
}

// Nobody but root can trace a child that is this program, from its first moment on.
func TestSelfCantBeTraced(t *testing.T) {
	needRoot(t)
	in, lifeline, err := os.Pipe()
	require.NoError(t, err)
	cmd := self("act-wait")
	cmd.Stdin = in
	p, err := child.Start(cmd, nobody)
	require.NoError(t, err)
	in.Close()
	_, err = testhold.Hold(t, p.PID(), nobody)
	assert.ErrorContains(t, err, "operation not permitted")
	lifeline.Close()
	wait(t, p)
	assert.NoError(t, p.Err())
}

// A child that its user stops before it has executed its program is given up in time.
func TestStopped(t *testing.T) {
	needRoot(t)
	p, err := child.Start(exec.Command("/bin/sleep", "600"), nobody)
	require.NoError(t, err)
	require.NoError(t, unix.Kill(p.PID(), unix.SIGSTOP))
	require.NoError(t, p.Stop(0, 0))
	assert.ErrorIs(t, unix.Kill(p.PID(), 0), unix.ESRCH)
}
