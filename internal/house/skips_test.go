package house

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// skips are the files whose tests may skip though SHADOW_LIVE is 1, and why.
var skips = map[string]string{
	"internal/testenv/testenv.go":                        "Lack, which fails instead with SHADOW_LIVE=1",
	"internal/testenv/oldkernel.go":                      "a test that runs itself again",
	"internal/host/testhost/require.go":                  "only without SHADOW_LIVE=1",
	"internal/host/kernel/kernel_test.go":                "is run by TestOldKernel",
	"internal/host/child/alone_test.go":                  "what only a user without root's rights is refused",
	"internal/quiet/quiet_test.go":                       "another system than Linux",
	"wsproxy/internal_test.go":                           "fuzzing: an input that says nothing",
	"source/capture/picture_test.go":                     "a bound of memory, which the race detector spends",
	"cmd/websockify/internal/websockify/logging_test.go": "under nohup, whose ignored SIGHUP every child inherits",

	"internal/viewers/servers_test.go":   "make viewers",
	"internal/viewers/capture_test.go":   "-update",
	"rfb/peers_test.go":                  "-update",
	"cmd/rfbtrace/capture_test.go":       "-update",
	"internal/gate/web/pictures_test.go": "-pictures",
	"internal/hosts/hosts_test.go":       "make hosts",
	"internal/hosts/packages_test.go":    "make hosts",
	"internal/fleet/rig/faults_test.go":  "make fleet",
	"consent/desktop/desktops_test.go":   "make desktops",
	"internal/testgnome/testgnome.go":    "make desktops",
}

// With SHADOW_LIVE=1 what a machine lacks fails a test: only testenv.Lack may skip it, and no test passes by
// doing nothing.
func TestSkips(t *testing.T) {
	skip := regexp.MustCompile(`\.(Skip|Skipf|SkipNow)\(`)
	nothing := regexp.MustCompile(`if !\*\w+ \{\n\t\treturn\n`)
	found := map[string]bool{}
	for path, text := range sources(t) {
		if skip.MatchString(text) {
			found[path] = true
			assert.Contains(t, skips, path, "use testenv.Lack, or say here why not")
		}
		if strings.HasSuffix(path, "_test.go") {
			assert.Empty(t, nothing.FindString(text), "%s: a test that does nothing without a flag skips", path)
		}
	}
	for path := range skips {
		assert.True(t, found[path], "%s skips nothing any more: take it off the list", path)
	}
}

// sources are all files of Go in the repository, by their paths in it.
func sources(t *testing.T) map[string]string {
	t.Helper()
	root, err := os.OpenRoot("../..")
	require.NoError(t, err)
	defer root.Close()
	all := map[string]string{}
	require.NoError(t, fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || e.IsDir() {
			if e != nil && e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git") {
				return fs.SkipDir
			}
			return err
		}
		data, err := root.ReadFile(path)
		all[path] = string(data)
		return err
	}))
	require.Greater(t, len(all), 500)
	return all
}
