package tlsstore

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The rules of ownership as a table, since only root can make such files.
func TestOwnerRules(t *testing.T) {
	root := identity{uid: 0, groups: []uint32{0}}
	service := identity{uid: 990, groups: []uint32{991, 50}}
	for _, tc := range []struct {
		name     string
		me       identity
		uid, gid uint32
		mode     uint32
		want     string // "" if the key is accepted
	}{
		{"root's 0600", root, 0, 0, 0o600, ""},
		{"root's 0400", root, 0, 7, 0o400, ""},
		{"root's 0640 for root's group", root, 0, 0, 0o640, ""},
		{"root's 0640 for another group", root, 0, 7, 0o640, "tlsstore: the group with gid 7 can use the private key in K (mode 0640); run: chmod 600 K"},
		{"root's 0604", root, 0, 0, 0o604, "tlsstore: others can use the private key in K (mode 0604); run: chmod 600 K"},
		{"root's 0650", root, 0, 0, 0o650, "tlsstore: the group with gid 0 can use the private key in K (mode 0650); run: chmod 600 K"},
		{"root's 0660", root, 0, 0, 0o660, "tlsstore: others can write to the key K (mode 0660); run: chmod go-w K"},
		{"somebody's, seen by root", root, 1000, 0, 0o600, "tlsstore: the key K belongs to uid 1000, not to root; run: chown root:root K && chmod 600 K"},

		{"own 0600", service, 990, 991, 0o600, ""},
		{"own 0640", service, 990, 991, 0o640, "tlsstore: the group with gid 991 can use the private key in K (mode 0640); run: chmod 600 K"},
		{"root's for the own group", service, 0, 991, 0o640, ""},
		{"root's for a second group", service, 0, 50, 0o640, ""},
		{"root's for a strange group", service, 0, 7, 0o640, "tlsstore: the group with gid 7 can use the private key in K (mode 0640); run: chown root:991 K && chmod 640 K"},
		{"root's for all", service, 0, 991, 0o644, "tlsstore: others can use the private key in K (mode 0644); run: chown root:991 K && chmod 640 K"},
		{"somebody's, seen by the service", service, 1000, 991, 0o600, "tlsstore: the key K belongs to uid 1000, not to root or uid 990, as which this program runs; run: chown root:991 K && chmod 640 K"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &file{path: "K", what: "key", stat: unix.Stat_t{Uid: tc.uid, Gid: tc.gid, Mode: unix.S_IFREG | tc.mode}}
			err := tc.me.checkOwner(f)
			if err == nil {
				err = tc.me.checkSecret(f)
			}
			if tc.want == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, tc.want)
			}
		})
	}
	assert.NoError(t, service.checkDir("D", &unix.Stat_t{Uid: 990, Mode: 0o755}, false))
	assert.NoError(t, service.checkDir("D", &unix.Stat_t{Uid: 0, Mode: 0o1777}, true))
	assert.EqualError(t, service.checkDir("D", &unix.Stat_t{Uid: 1000, Mode: 0o755}, false),
		"tlsstore: the directory D belongs to uid 1000, not to root or uid 990, as which this program runs; run: chown root:root D")
	assert.EqualError(t, service.checkOwner(&file{path: "C", what: "certificate", stat: unix.Stat_t{Uid: 1000, Mode: 0o644}}),
		"tlsstore: the certificate C belongs to uid 1000, not to root or uid 990, as which this program runs; run: chown root:root C && chmod go-w C")
}

// What can't be read may hold a key, whatever its name is.
func TestNoRemedyOpensAFile(t *testing.T) {
	for _, what := range []string{"certificate", "key", "passphrase"} {
		assert.EqualError(t, identity{uid: 990, groups: []uint32{991}}.unreadable("C", what, fs.ErrPermission),
			"tlsstore: the "+what+" C can't be read by uid 990: permission denied; run: chown root:991 C && chmod 640 C")
		assert.EqualError(t, identity{}.unreadable("C", what, fs.ErrPermission),
			"tlsstore: the "+what+" C can't be read by uid 0: permission denied; run: chown root:root C && chmod 600 C")
	}
}

// The rules hold for real files. Root gives them away; anybody else looks at
// its own with another's eyes.
func TestStrangersFiles(t *testing.T) {
	const stranger = 12345
	for _, tc := range []struct {
		name, whose string
	}{
		{"directory", "."},
		{"link", "link"},
		{"file", "file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "tlsstore")
			require.NoError(t, err)
			defer os.RemoveAll(dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600))
			require.NoError(t, os.Symlink("file", filepath.Join(dir, "link")))
			me := self()
			f, err := me.open(filepath.Join(dir, "link"), "key")
			require.NoError(t, err)
			require.Equal(t, "x", string(f.data))
			if me.uid == 0 {
				require.NoError(t, os.Lchown(filepath.Join(dir, tc.whose), stranger, stranger))
			} else {
				me.uid = stranger
			}
			_, err = me.open(filepath.Join(dir, "link"), "key")
			var le *LoadError
			require.ErrorAs(t, err, &le)
			require.Equal(t, BadOwner, le.Findings[0].Code)
		})
	}
}
