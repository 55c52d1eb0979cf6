package server

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/api"
)

// keep is a copy of a Listener's descriptor, as systemd keeps one.
func keep(t *testing.T, l *Listener) *os.File {
	t.Helper()
	var kept *os.File
	require.NoError(t, l.Keep(func(fd uintptr) error {
		other, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		kept = os.NewFile(uintptr(other), "kept")
		return err
	}))
	return kept
}

// Who calls while one daemon ends and before the next has begun waits, and is answered by that.
func TestCallsWaitInAKeptSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	group := testGroup(t)
	before, err := Listen(path, group.Name)
	require.NoError(t, err)
	kept := keep(t, before)
	stop := serveOn(t, before, NewHandler(&fakeEngine{}, Options{}))
	client := api.Client{Socket: path}
	_, err = client.List(t.Context())
	require.NoError(t, err)

	before.Rest()
	answered := make(chan error, 1)
	go func() { _, err := client.List(t.Context()); answered <- err }()
	stop()
	assert.FileExists(t, path)

	after, err := Adopt(kept, path, "")
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the new daemon's, which has no group")
	assert.EqualValues(t, os.Getegid(), info.Sys().(*syscall.Stat_t).Gid)
	serveOn(t, after, NewHandler(&fakeEngine{}, Options{}))
	require.NoError(t, receive(t, answered))
}

// Who connects to an adopted socket is told by the kernel of the daemon that has it now, and not of the one before.
func TestAdoptedPeer(t *testing.T) {
	const before = "SHADOW_TEST_DAEMON_BEFORE"
	if os.Getenv(before) != "" {
		require.NoError(t, unix.Listen(3, 16))
		return
	}
	path := filepath.Join(t.TempDir(), "control.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	kept := os.NewFile(uintptr(fd), "kept")
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	daemon := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestAdoptedPeer$")
	daemon.Env, daemon.ExtraFiles = append(os.Environ(), before+"=1"), []*os.File{kept}
	out, err := daemon.CombinedOutput()
	require.NoError(t, err, "%s", out)

	l, err := Adopt(kept, path, "")
	require.NoError(t, err)
	defer l.Close()
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	require.NoError(t, err)
	var peer *unix.Ucred
	require.NoError(t, raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }))
	require.NoError(t, err)
	assert.EqualValues(t, os.Getpid(), peer.Pid)
}

func TestAdoptRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := Listen(path, "")
	require.NoError(t, err)
	kept := keep(t, l)
	_, err = Adopt(keep(t, l), path, "")
	require.ErrorContains(t, err, "another daemon has "+path)
	require.NoError(t, l.Close())
	_, err = Adopt(kept, path+"x", "")
	require.ErrorContains(t, err, "and not "+path+"x")
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	_, err = Adopt(null, path, "")
	require.ErrorContains(t, err, "isn't a socket that listens")
}

// A socket that nobody keeps goes with its Listener.
func TestKeepFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := Listen(path, "")
	require.NoError(t, err)
	require.ErrorIs(t, l.Keep(func(uintptr) error { return os.ErrInvalid }), os.ErrInvalid)
	l.Rest()
	require.NoError(t, l.Close())
	assert.NoFileExists(t, path)
}
