package child_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("it takes root to run two users' processes")
	}
}

// actTrace traces the process that the environment names until its input ends.
func actTrace() {
	runtime.LockOSThread()
	pid, _ := strconv.Atoi(os.Getenv("VICTIM"))
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0)
	if errno != 0 {
		fmt.Println(errno)
		return
	}
	fmt.Println("tracing")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// traces starts a process of nobody's that traces victim, and returns what it says and how
// to end it.
func traces(t *testing.T, victim int) (says string, end func()) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	in, lifeline, err := os.Pipe()
	require.NoError(t, err)
	cmd := self("act-trace")
	cmd.Env = []string{"VICTIM=" + strconv.Itoa(victim)}
	cmd.Stdin, cmd.Stdout = in, w
	tracer, err := child.Start(cmd, nobody)
	require.NoError(t, err)
	in.Close()
	w.Close()
	defer r.Close()
	line := make([]byte, 64)
	n, err := r.Read(line)
	require.NoError(t, err)
	end = func() {
		lifeline.Close()
		wait(t, tracer)
	}
	t.Cleanup(end)
	return string(line[:n]), end
}

// A child that is traced by its user's other processes is dead when it was killed, and Done says
// so, whoever holds its end back.
func TestTracedChild(t *testing.T) {
	needRoot(t)
	p, err := child.Start(exec.Command("/bin/sleep", "600"), nobody)
	require.NoError(t, err)
	says, letGo := traces(t, p.PID())
	require.Equal(t, "tracing\n", says)
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
	says, letGo := traces(t, p.PID())
	require.Equal(t, "tracing\n", says)
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
	says, _ := traces(t, p.PID())
	assert.Equal(t, "operation not permitted\n", says)
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
