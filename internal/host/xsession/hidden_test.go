package xsession

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A home that root can't read, as one of NFS with root_squash, is no home without a cookie:
// the user's own process finds out. A file that can be seen comes first.
func TestHomeThatRootCannotRead(t *testing.T) {
	h := newHost(t)
	h.file("/home/alice/.Xauthority", "", 0o600)
	home := filepath.Join(h.root, "home/alice")
	stat = func(name string) (fs.FileInfo, error) {
		if strings.HasPrefix(name, home) {
			return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrPermission}
		}
		return os.Stat(name)
	}
	t.Cleanup(func() { stat = os.Stat })
	s := Session{UID: 4711, User: "alice", Home: "/home/alice", Display: ":1"}
	_, xauthority := h.find(s)
	assert.Equal(t, "/home/alice/.Xauthority", xauthority)
	h.file("/run/lightdm/alice/xauthority", "", 0o644)
	_, xauthority = h.find(s)
	assert.Equal(t, "/run/lightdm/alice/xauthority", xauthority)
}

// Of a folder that a user may fill only so many names are read.
func TestFullFolder(t *testing.T) {
	h := newHost(t)
	run := filepath.Join(h.root, "run/user/4711")
	for i := range 2 * maxNames {
		h.file(fmt.Sprintf("run/user/4711/xauth_%d", i), "", 0)
	}
	var looks atomic.Int32
	stat = func(name string) (fs.FileInfo, error) {
		if strings.HasPrefix(name, run+"/xauth_") {
			looks.Add(1)
		}
		return nil, fs.ErrNotExist
	}
	t.Cleanup(func() { stat = os.Stat })
	_, xauthority := h.find(Session{UID: 4711, User: "alice", Home: "/home/alice", Display: ":1"})
	assert.Empty(t, xauthority)
	assert.Positive(t, looks.Load())
	assert.LessOrEqual(t, looks.Load(), int32(maxNames))
}
