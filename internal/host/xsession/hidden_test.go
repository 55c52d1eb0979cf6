package xsession

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A home that root can't read, as one of NFS with root_squash, is no home without a cookie:
// the user's own process finds out. A file that can be seen comes first.
func TestHomeThatRootCannotRead(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give up its rights to files")
	}
	h := newHost(t)
	for dir := h.root; dir != os.TempDir(); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	h.file("/home/alice/.Xauthority", "", 0o600)
	require.NoError(t, os.Chmod(filepath.Join(h.root, "home/alice"), 0o700))
	s := Session{UID: 4711, User: "alice", Home: "/home/alice", Display: ":1"}
	find := func() (xauthority string) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		require.NoError(t, unix.Setfsuid(65534)) // without root's rights to files, as on NFS
		defer func() { require.NoError(t, unix.Setfsuid(0)) }()
		_, xauthority = h.find(s)
		return xauthority
	}
	assert.Equal(t, "/home/alice/.Xauthority", find())
	h.file("/run/lightdm/alice/xauthority", "", 0o644)
	assert.Equal(t, "/run/lightdm/alice/xauthority", find())
}
