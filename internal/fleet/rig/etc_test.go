package rig_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ownEtc has a test in namespaces see an /etc and a /var/lib of its own, as if everything were installed at its usual place.
func ownEtc(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "etc") // a file system of the test's, see InNamespaces
	require.NoError(t, err)
	for _, name := range []string{"upper", "work"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	require.NoError(t, unix.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+dir+"/upper,workdir="+dir+"/work"))
	require.NoError(t, unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=0755"))
	require.NoError(t, os.MkdirAll("/etc/xdl", 0o755))
	require.NoError(t, os.MkdirAll("/run/netns", 0o755))
}

// etc puts a file into the /etc that a machine of the network sees (ip-netns(8)).
func (e *end) etc(t *testing.T, name string, data string) {
	t.Helper()
	path := filepath.Join("/etc/netns", e.name, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(data), 0o600))
}

// A block is one of a page: commands, which begin with "# " as at root's prompt, each with what it prints.
type block []prompted

// A prompted command is one of a page.
type prompted struct{ line, prints string }

// blocks are a page's.
func blocks(t *testing.T, page string) (list []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs", page))
	require.NoError(t, err)
	for _, one := range regexp.MustCompile("(?ms)^```\n(# .*?)^```$").FindAllStringSubmatch(string(text), -1) {
		var b block
		for line := range strings.Lines(one[1]) {
			if said, is := strings.CutPrefix(line, "# "); is {
				said, _, _ = strings.Cut(said, "     # ") // a word on it
				b = append(b, prompted{line: strings.TrimSpace(said)})
			} else {
				b[len(b)-1].prints += line
			}
		}
		list = append(list, b)
	}
	return list
}

// toml is a page's configuration that has a line with that.
func toml(t *testing.T, page, with string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs", page))
	require.NoError(t, err)
	for _, one := range regexp.MustCompile("(?ms)^```toml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(one[1], with) {
			return one[1]
		}
	}
	require.Fail(t, "no such configuration", "%s: %s", page, with)
	return ""
}

// blockWith is the one of a page whose first command begins so.
func blockWith(t *testing.T, page, begins string) block {
	t.Helper()
	for _, b := range blocks(t, page) {
		if strings.HasPrefix(b[0].line, begins) {
			return b
		}
	}
	require.Fail(t, "no such commands", "%s: %s", page, begins)
	return nil
}
