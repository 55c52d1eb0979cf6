package source_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/sysv"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
)

// actSegment is the argument by which this program knows that it is to make a segment and end.
const actSegment = "__test-segment"

// An x11vnc that is killed leaves no shared memory behind, as it would: the host has room for
// that of about 150.
func TestKilledX11vncLeavesNoSharedMemory(t *testing.T) {
	testenv.Root(t)
	_, s := xSession(t)
	x := source.X11vnc{State: filepath.Join(t.TempDir(), "state")}
	conn, err := x.Open(t.Context(), s)
	require.NoError(t, err)
	_, err = rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	pid := conn.(interface{ PID() int }).PID()
	require.Eventually(t, func() bool { return testhost.Segments(t, pid) > 0 }, patience, 10*time.Millisecond, "it uses none")
	require.FileExists(t, filepath.Join(x.State, strconv.Itoa(pid)))
	strangers, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	require.NoError(t, err)
	defer unix.SysvShmCtl(strangers, unix.IPC_RMID, nil)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	_ = ended(t, conn)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return testhost.Segments(t, pid) == 0 }, patience, 10*time.Millisecond, "the X server lets go of it")
	assert.NoFileExists(t, filepath.Join(x.State, strconv.Itoa(pid)))
	assert.Positive(t, testhost.Segments(t, os.Getpid()), "another process's stays")
}

// What an earlier daemon's x11vnc has left is found again; nobody else's is touched.
func TestSweep(t *testing.T) {
	testenv.Root(t)
	state := filepath.Join(t.TempDir(), "state")
	x := source.X11vnc{State: state}
	n, err := x.Sweep()
	require.NoError(t, err)
	assert.Zero(t, n, "there is no folder yet")

	// A process that has made a segment and is dead.
	cmd := exec.Command("/proc/self/exe", actSegment)
	require.NoError(t, cmd.Run())
	pid := cmd.Process.Pid
	require.Equal(t, 1, testhost.Segments(t, pid))
	write := func(name string, uid int, since time.Time) {
		require.NoError(t, os.MkdirAll(state, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(state, name), []byte(strconv.Itoa(uid)+" "+strconv.FormatInt(since.Unix(), 10)+"\n"), 0o600))
	}
	sweep := func() int {
		t.Helper()
		n, err := x.Sweep()
		require.NoError(t, err)
		entries, err := os.ReadDir(state)
		require.NoError(t, err)
		assert.Empty(t, entries)
		return n
	}
	write(strconv.Itoa(pid), 4711, time.Now().Add(-time.Hour))
	assert.Zero(t, sweep(), "another user's")
	write(strconv.Itoa(pid), 0, time.Now().Add(time.Hour))
	assert.Zero(t, sweep(), "made before")
	write("nonsense", 0, time.Now())
	assert.Zero(t, sweep())
	write(strconv.Itoa(pid), 0, time.Now().Add(-time.Hour))
	assert.Equal(t, 1, sweep())
	assert.Zero(t, testhost.Segments(t, pid))
}

// What can't be removed, as another user's without CAP_SYS_ADMIN, is an error and stays remembered, until it can.
func TestSweepWithoutTheRight(t *testing.T) {
	testenv.Root(t)
	const variable = "SHADOW_TEST_LEDGER"
	if state := os.Getenv(variable); state != "" {
		file := func() sysv.Creator {
			entries, err := os.ReadDir(state)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			pid, err := strconv.Atoi(entries[0].Name())
			require.NoError(t, err)
			return sysv.Creator{PID: pid, UID: 4711}
		}
		_, err := (&source.X11vnc{State: state}).Sweep()
		require.ErrorIs(t, err, unix.EPERM)
		require.ErrorIs(t, sysv.Ledger(state).Clear(file()), unix.EPERM)
		file()
		return
	}
	setpriv := testenv.Program(t, "setpriv", "util-linux")
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	cmd := exec.Command("/proc/self/exe", actSegment)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
	require.NoError(t, cmd.Run())
	pid := cmd.Process.Pid
	require.Equal(t, 1, testhost.Segments(t, pid))
	state := filepath.Join(dir, "state")
	require.NoError(t, sysv.Ledger(state).Add(sysv.Creator{PID: pid, UID: 4711}))
	self, err := os.Executable()
	require.NoError(t, err)
	again := exec.Command(setpriv, "--bounding-set=-sys_admin", self, "-test.run=^"+t.Name()+"$", "-test.count=1")
	again.Env = append(os.Environ(), variable+"="+state)
	out, err := again.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.FileExists(t, filepath.Join(state, strconv.Itoa(pid)))
	n, err := (&source.X11vnc{State: state}).Sweep()
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.NoFileExists(t, filepath.Join(state, strconv.Itoa(pid)))
}
