package xsession

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A host is a tree of files that looks like a host's.
type host struct {
	t    *testing.T
	root string
}

func newHost(t *testing.T) host {
	h := host{t, t.TempDir()}
	require.NoError(t, os.Mkdir(filepath.Join(h.root, "proc"), 0o755))
	return h
}

// file makes a file that belongs to the one who runs the test.
func (h host) file(path, content string, mode os.FileMode) {
	h.t.Helper()
	path = filepath.Join(h.root, path)
	require.NoError(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(h.t, os.WriteFile(path, []byte(content), mode))
}

func (h host) process(pid, parent int, name string, args, env []string) {
	h.t.Helper()
	h.processOf(uint32(os.Getuid()), uint32(os.Getuid()), pid, parent, name, args, env)
}

// processOf is process for one that a user has started and that runs as another.
func (h host) processOf(real, effective uint32, pid, parent int, name string, args, env []string) {
	h.t.Helper()
	dir := "proc/" + strconv.Itoa(pid)
	h.file(dir+"/stat", fmt.Sprintf("%d (%s) S %d 1 1 0", pid, name, parent), 0o644)
	h.file(dir+"/status", fmt.Sprintf("Name:\t%s\nUid:\t%d\t%d\t%d\t%d\n", name, real, effective, effective, effective), 0o644)
	h.file(dir+"/cmdline", strings.Join(args, "\x00")+"\x00", 0o644)
	h.file(dir+"/environ", strings.Join(env, "\x00")+"\x00", 0o644)
}

func (h host) find(s Session) (display, xauthority string) {
	h.t.Helper()
	scanned, err := Scan(h.root)
	require.NoError(h.t, err)
	found, err := scanned.Look(h.t.Context(), s)
	if err != nil {
		require.ErrorIs(h.t, err, ErrTooSlow)
	}
	return found.Display, found.Xauthority
}

func TestFindInEnvironment(t *testing.T) {
	uid := uint32(os.Getuid())
	h := newHost(t)
	h.process(10, 1, "gdm-session-wor", nil, nil)
	h.process(11, 10, "gdm-x-(ses) sion", nil, []string{"A=1"})
	h.process(13, 11, "gnome-session", nil, []string{"DISPLAY=:1", "XAUTHORITY=/run/user/7/gdm/Xauthority"})
	h.process(14, 13, "xterm", nil, []string{"DISPLAY=:9", "XAUTHORITY=/nine"})
	h.process(20, 1, "other", nil, []string{"DISPLAY=:2", "XAUTHORITY=/two"})

	for _, test := range []struct {
		name                string
		s                   Session
		display, xauthority string
	}{
		{"the nearest descendant counts", Session{Leader: 10, UID: uid}, ":1", "/run/user/7/gdm/Xauthority"},
		{"a known display is kept", Session{Leader: 10, UID: uid, Display: ":9"}, ":9", "/nine"},
		{"screens don't matter", Session{Leader: 10, UID: uid, Display: ":9.0"}, ":9", "/nine"},
		{"somebody else's processes don't count", Session{Leader: 10, UID: uid + 1}, "", ""},
		{"another session's processes don't count", Session{Leader: 11, UID: uid, Display: ":2"}, ":2", ""},
		{"init is nobody's leader", Session{Leader: 1, UID: uid}, "", ""},
		{"no leader", Session{UID: uid, Display: ":1"}, ":1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			display, xauthority := h.find(test.s)
			assert.Equal(t, test.display, display)
			assert.Equal(t, test.xauthority, xauthority)
		})
	}
}

func TestFindIgnoresForwardedAndRelative(t *testing.T) {
	h := newHost(t)
	h.process(10, 1, "sshd", nil, []string{"DISPLAY=localhost:10.0", "XAUTHORITY=/x"})
	h.process(11, 10, "sh", nil, []string{"DISPLAY=:1", "XAUTHORITY=relative"})
	display, xauthority := h.find(Session{Leader: 10, UID: uint32(os.Getuid())})
	assert.Equal(t, ":1", display)
	assert.Empty(t, xauthority)
}

func TestFindWellKnownFiles(t *testing.T) {
	uid := uint32(os.Getuid())
	run := fmt.Sprintf("/run/user/%d", uid)
	s := Session{UID: uid, User: "alice", Home: "/home/alice", Display: ":1"}
	for _, test := range []struct{ name, path, want string }{
		{"X server's argument", "/var/auth/1", "/var/auth/1"},
		{"home", "/home/alice/.Xauthority", "/home/alice/.Xauthority"},
		{"gdm", run + "/gdm/Xauthority", run + "/gdm/Xauthority"},
		{"lightdm", "/run/lightdm/alice/xauthority", "/run/lightdm/alice/xauthority"},
		{"sddm", "/run/sddm/xauth_abc", "/run/sddm/xauth_abc"},
		{"kde", run + "/xauth_xyz", run + "/xauth_xyz"},
		{"another display's server", "/var/auth/2", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			h.process(5, 1, "Xorg", []string{"/usr/bin/Xorg", ":1", "-auth", "/var/auth/1"}, nil)
			h.process(6, 1, "Xorg", []string{"/usr/bin/Xorg", ":2", "-auth", "/var/auth/2"}, nil)
			h.process(7, 1, "Xorg", []string{"/usr/bin/Xorg", ":1", "-auth"}, nil)
			h.file(test.path, "", 0o600)
			_, xauthority := h.find(s)
			assert.Equal(t, test.want, xauthority)
		})
	}

	for _, test := range []struct {
		name            string
		real, effective uint32
		want            string
	}{
		{"root's X server", 0, 0, "/var/auth/1"},
		{"the user's X server", 4711, 4711, "/var/auth/1"},
		{"the user's, which runs as root", 4711, 0, "/var/auth/1"},
		{"a stranger's program of that name", 4712, 4712, ""},
		{"a stranger's that runs as root, with his arguments", 4712, 0, ""},
		{"a stranger's that runs as the user", 4712, 4711, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			h.processOf(test.real, test.effective, 5, 1, "Xorg", []string{"/usr/bin/Xorg", ":1", "-auth", "/var/auth/1"}, nil)
			h.file("/var/auth/1", "", 0o644)
			other := s
			other.UID = 4711
			_, xauthority := h.find(other)
			assert.Equal(t, test.want, xauthority)
		})
	}

	t.Run("unreadable for the user", func(t *testing.T) {
		h := newHost(t)
		h.file("/home/alice/.Xauthority", "", 0o600)
		other := s
		other.UID++
		_, xauthority := h.find(other)
		assert.Empty(t, xauthority)
	})
	t.Run("not a file", func(t *testing.T) {
		h := newHost(t)
		require.NoError(t, os.MkdirAll(filepath.Join(h.root, "home/alice/.Xauthority"), 0o755))
		_, xauthority := h.find(s)
		assert.Empty(t, xauthority)
	})
}

// The same on this host's own /proc.
func TestFindRealProcess(t *testing.T) {
	cmd := exec.Command("/bin/cat")
	cmd.Env = []string{"DISPLAY=:77", "XAUTHORITY=/tmp/cookie-77"}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = in.Close(); _ = cmd.Wait() }()

	h, err := Scan("/")
	require.NoError(t, err)
	found, err := h.Look(t.Context(), Session{Leader: cmd.Process.Pid, UID: uint32(os.Getuid())})
	require.NoError(t, err)
	assert.Equal(t, ":77", found.Display)
	assert.Equal(t, "/tmp/cookie-77", found.Xauthority)
}

func TestScanWithoutProc(t *testing.T) {
	_, err := Scan(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestIsDisplay(t *testing.T) {
	for _, s := range []string{":0", ":1.0", ":99999"} {
		assert.True(t, IsDisplay(s), s)
	}
	for _, s := range []string{"", ":", "1", "host:1", "unix:1", ":1.", ":1 ", ":123456", ":-1", ":1\n"} {
		assert.False(t, IsDisplay(s), s)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (Xorg) S 1 12 12 0"))
	f.Add([]byte("12 (a ) (b)) S 1"))
	f.Add([]byte(")("))
	f.Fuzz(func(_ *testing.T, data []byte) {
		parseStat(data)
		parseEnviron(data)
	})
}
