package child_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testhold"
)

func needRoot(t *testing.T) {
	t.Helper()
	testenv.Root(t)
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
	require.Eventually(t, func() bool { return child.Held() == before }, 5*time.Minute, 10*time.Millisecond, "it is reaped in the end")
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
	require.Eventually(t, func() bool { return child.Held() == 0 }, 5*time.Minute, 10*time.Millisecond)
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

// actSpray stops every process of its user that is about to be.
func actSpray() {
	fmt.Println("spraying")
	for {
		// The fifth field is the number of the newest process (proc_loadavg(5)).
		load, err := os.ReadFile("/proc/loadavg")
		if err != nil {
			return
		}
		newest, _ := strconv.Atoi(strings.Fields(string(load))[4])
		for pid := newest; pid < newest+32; pid++ {
			if pid != os.Getpid() {
				_ = unix.Kill(pid, unix.SIGSTOP)
			}
		}
	}
}

// A user who stops his processes while they are being started stops nobody else: the start is
// given up in time, and this process goes on all the while.
func TestStartsUnderASprayOfStops(t *testing.T) {
	if !testenv.InNamespaces(t, 2*time.Minute) {
		return
	}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	spray := self("act-spray")
	spray.Stdout = w
	sprayer, err := child.Start(spray, nobody)
	require.NoError(t, err)
	w.Close()
	_, err = r.Read(make([]byte, 16))
	require.NoError(t, err)

	var starts, givenUp atomic.Int64
	var workers sync.WaitGroup
	over := time.Now().Add(3 * time.Second)
	for range 4 {
		workers.Go(func() {
			for time.Now().Before(over) {
				p, err := child.Start(exec.Command("/bin/true"), nobody)
				starts.Add(1)
				if err != nil {
					givenUp.Add(1)
					continue
				}
				assert.NoError(t, p.Stop(0, 0))
			}
		})
	}
	collections := 0
	for time.Now().Before(over) {
		runtime.GC() // stops the world, and so waits for every thread
		collections++
	}
	t.Logf("%d starts, of which %d were given up; %d collections", starts.Load(), givenUp.Load(), collections)
	require.NoError(t, sprayer.Stop(0, 0))
	workers.Wait()
	assert.Positive(t, collections)
}

// The signal for what a child has left behind doesn't hit a process that has got its number since.
func TestRecycledNumber(t *testing.T) {
	if !testenv.InNamespaces(t, 2*time.Minute) {
		return
	}
	// It ends when what it leaves behind has left the group, too.
	cmd := exec.Command("/bin/sh", "-c", `trap 'exit 0' USR1; setsid sh -c 'kill -USR1 $1; exec sleep 600' sh $$ & wait`)
	var out bytes.Buffer
	cmd.Stdout, cmd.WaitDelay = &out, 3*time.Second // the pipe is held open by what has left the group
	p, err := child.Start(cmd, nobody)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return errors.Is(unix.Kill(p.PID(), 0), unix.ESRCH) }, 5*time.Minute, time.Millisecond)
	select {
	case <-p.Done():
		require.Fail(t, "it was too fast for this test")
	default:
	}
	var victim *exec.Cmd
	for try := 0; victim == nil || victim.Process.Pid != p.PID(); try++ { // a thread may be faster
		require.Less(t, try, 100, "the number can't be had")
		if victim != nil {
			_ = victim.Process.Kill()
			_ = victim.Wait()
		}
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(p.PID()-1)), 0); err != nil {
			testenv.Lack(t, "this kernel has no say in the numbers of processes: %v", err)
		}
		victim = exec.Command("/bin/sleep", "600")
		victim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		require.NoError(t, victim.Start())
	}
	select {
	case <-p.Done():
		require.Fail(t, "it was too fast for this test")
	default:
	}
	wait(t, p)
	time.Sleep(100 * time.Millisecond) // for a signal that isn't to come
	var status unix.WaitStatus
	n, err := unix.Wait4(victim.Process.Pid, &status, unix.WNOHANG, nil)
	require.NoError(t, err)
	assert.Zero(t, n, "the stranger was killed")
	_ = victim.Process.Kill()
}

// All this holds on a kernel without pidfds, too, but that a traced child's death shows only when
// it is given up or let go.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(Runs|ExitCode|Stop|Nothing|StartFails|Self|NoNew|Standard|HeldStreams|TracedChild$|Stopped|Recycled)", 5*time.Minute)
}
