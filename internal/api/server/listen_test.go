package server

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/testenv"
)

func TestListenMakesDirectoryAndSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "control.sock")
	ln, err := Listen(path, "")
	require.NoError(t, err)
	defer ln.Close()

	dir, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), dir.Mode().Perm())
	socket, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), socket.Mode().Perm())
	assert.Equal(t, path, ln.Addr().String())

	require.NoError(t, ln.Close())
	require.NoError(t, ln.Close(), "again is fine")
	assert.NoFileExists(t, path)
	_, err = ln.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestListenGroup(t *testing.T) {
	group := testGroup(t)
	path := filepath.Join(t.TempDir(), "control.sock")
	ln, err := Listen(path, group.Name)
	require.NoError(t, err)
	defer ln.Close()
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), info.Mode().Perm())
	assert.Equal(t, group.Gid, strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Gid)))

	_, err = Listen(filepath.Join(t.TempDir(), "control.sock"), "no-such-group")
	require.ErrorContains(t, err, `group "no-such-group"; create the group or change control.group`)
}

// testGroup is a group that the one who runs the test may give files to.
func testGroup(t *testing.T) *user.Group {
	t.Helper()
	gid := strconv.Itoa(os.Getgid())
	if os.Getuid() == 0 {
		g, err := user.LookupGroup("users")
		require.NoError(t, err)
		gid = g.Gid
	}
	g, err := user.LookupGroupId(gid)
	require.NoError(t, err)
	return g
}

func TestListenRefuses(t *testing.T) {
	t.Run("another daemon answers", func(t *testing.T) {
		client, _ := serve(t, &fakeEngine{}, Options{})
		_, err := Listen(client.Socket, "")
		require.ErrorContains(t, err, "another daemon has "+client.Socket)
		_, err = client.List(t.Context())
		require.NoError(t, err, "it isn't disturbed")
	})
	t.Run("a file is in the way", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "control.sock")
		require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
		_, err := Listen(path, "")
		require.ErrorContains(t, err, "it isn't a socket")
		assert.FileExists(t, path)
	})
	t.Run("relative", func(t *testing.T) {
		_, err := Listen("control.sock", "")
		require.ErrorContains(t, err, "must be absolute")
	})
	t.Run("too long", func(t *testing.T) {
		_, err := Listen("/"+strings.Repeat("x", 107), "")
		require.ErrorContains(t, err, "at most 107 bytes")
	})
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	require.FileExists(t, path)

	ln, err := Listen(path, "")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}

// A socket that has replaced ours isn't removed with ours.
func TestCloseLeavesAnothersSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	ours, err := Listen(path, "")
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	other, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, ours.Close())
	assert.FileExists(t, path)
}

// Who connects is decided by who the process is, not by what the file allows.
func TestPeers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("without root only the daemon's own user can be tried")
		client, _ := serve(t, &fakeEngine{}, Options{})
		_, err := client.List(t.Context())
		require.NoError(t, err)
		return
	}
	const uid, gid = 65534, 65534
	for _, test := range []struct {
		name     string
		cred     syscall.Credential
		group    bool
		admitted bool
	}{
		{"root", syscall.Credential{}, false, true},
		{"a user", syscall.Credential{Uid: uid, Gid: gid}, false, false},
		{"a user, with a group", syscall.Credential{Uid: uid, Gid: gid}, true, false},
		{"the primary group", syscall.Credential{Uid: uid, Gid: 100}, true, true},
		{"a supplementary group", syscall.Credential{Uid: uid, Gid: gid, Groups: []uint32{1, 100, 2}}, true, true},
		{"the group, but none is configured", syscall.Credential{Uid: uid, Gid: 100}, false, false},
		{"in many groups", syscall.Credential{Uid: uid, Gid: gid, Groups: append(numbers(1000, 2000), 100)}, true, true},
		{"root's group is not root", syscall.Credential{Uid: uid, Gid: 0}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "control") // t.TempDir's parent is closed to others
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			require.NoError(t, os.Chmod(dir, 0o755))
			path := filepath.Join(dir, "control.sock")
			group := ""
			if test.group {
				group = "users"
			}
			ln, err := Listen(path, group)
			require.NoError(t, err)
			require.Equal(t, test.group, ln.group && ln.gid == 100, "the group users is 100 on Debian")
			require.NoError(t, os.Chmod(path, 0o666)) // so that the file's mode stops nobody
			serveOn(t, ln, NewHandler(&fakeEngine{}, Options{}))

			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{peerVariable + "=" + path, "GORACE=atexit_sleep_ms=0"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &test.cred}
			cmd.Dir = "/"
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			want := "<nil>\n"
			if !test.admitted {
				want = fmt.Sprintf("uid %d may not use this socket: be root or in the group that control.group names\n", test.cred.Uid)
			}
			assert.Equal(t, want, string(out))
		})
	}
}

func numbers(from, to uint32) []uint32 {
	var all []uint32
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

// A listener that doesn't say who is there serves nobody.
func TestOtherListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plain.sock")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	serveOn(t, ln, NewHandler(&fakeEngine{}, Options{}))
	_, err = api.Client{Socket: path}.List(t.Context())
	var problem *api.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, 403, problem.Status)
}

// A kernel that doesn't tell a process's groups admits the same members of the group.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(Peers|Listen|WithoutDescriptors)", 5*time.Minute)
}
