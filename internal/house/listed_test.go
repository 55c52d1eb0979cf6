package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests that a page names are there, and each of its lines names one.
func TestListedTestsExist(t *testing.T) {
	declared := map[string]string{} // the source of a folder's tests
	where := regexp.MustCompile("`([a-z0-9/]+)`: ((?:Test\\w+(?:, )?)+)")
	for _, name := range []string{"console-tests.md", "hostile-tests.md"} {
		page, err := os.ReadFile("../../docs/" + name)
		require.NoError(t, err)
		lines := 0
		for line := range strings.Lines(string(page)) {
			if !strings.HasPrefix(line, "| ") || strings.HasSuffix(line, "| tests |\n") {
				continue
			}
			lines++
			found := where.FindAllStringSubmatch(line, -1)
			assert.NotEmpty(t, found, "no test in: %s", line)
			for _, m := range found {
				folder := m[1]
				if _, read := declared[folder]; !read {
					declared[folder] = testsOf(t, folder)
				}
				for name := range strings.SplitSeq(m[2], ", ") {
					assert.True(t, strings.Contains(declared[folder], "func "+name+"("), "%s has no %s", folder, name)
				}
			}
		}
		require.Greater(t, lines, 30, name)
	}
}

// testsOf is the source of a folder's tests; shadow is the engine, at the top.
func testsOf(t *testing.T, folder string) string {
	t.Helper()
	if folder == "shadow" {
		folder = "."
	}
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	require.NoError(t, err)
	var all strings.Builder
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		all.Write(data)
	}
	return all.String()
}
