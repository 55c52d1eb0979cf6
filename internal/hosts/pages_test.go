package hosts

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pages are those of docs whose commands are run as they stand there.
var pages = []string{"install", "configure", "upgrade", "harden", "uninstall", "fleet", "setup"}

// elsewhere are the labels of commands for other distributions; a shell reads them here.
var elsewhere = []string{"rhel", "suse", "rhel-websockify", "suse-websockify"}

var block = regexp.MustCompile("(?ms)^```sh ?(\\S*)\n(.*?)^```$")

// commands are a page's commands, by the page and their label: "install debian".
func commands(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join("../../docs", page+".md"))
		require.NoError(t, err)
		found := block.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, found, page)
		for _, m := range found {
			name := page + " " + m[1]
			require.NotEmpty(t, m[1], "docs/%s.md: commands without a label, such as sh debian: %s", page, m[2])
			require.NotContains(t, list, name)
			list[name] = m[2]
		}
	}
	return list
}

// TestMakeBringsThePages has each target that builds packages make what they embed before: on a fresh clone the
// folders are empty, which the compiler doesn't mind.
func TestMakeBringsThePages(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	for _, target := range []string{"build", "packages", "hosts", "test"} {
		assert.Regexp(t, "(?m)^"+target+":[^#\n]* pages\\b", string(text))
	}
}

// TestPagesHaveCommands has a shell read all commands of the pages, those for other distributions too.
func TestPagesHaveCommands(t *testing.T) {
	for name, text := range commands(t) {
		out, err := exec.CommandContext(t.Context(), "sh", "-n", "-c", text).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
}

// page runs commands of a page in the folder that has the packages. They must not fail.
func (h *host) page(name string) string {
	h.t.Helper()
	return h.sh("set -e; " + h.text(name))
}

// text is a page's commands for the version that is there, to be used in a line of shell.
func (h *host) text(name string) string {
	h.t.Helper()
	text, ok := commands(h.t)[name]
	require.True(h.t, ok, "no page has %s", name)
	h.ran[name] = true
	return "cd /root\n" + strings.NewReplacer("1.2.3", h.version, "1.2.2", h.last.version).Replace(text)
}

// ranAll fails for what the pages say and nobody ran.
func (h *host) ranAll() {
	h.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(commands(h.t))) {
		_, label, _ := strings.Cut(name, " ")
		assert.True(h.t, h.ran[name] || slices.Contains(elsewhere, label), "%s hasn't been run", name)
	}
}
