package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	listed   = regexp.MustCompile("`([a-z0-9/]+)`: ((?:Test\\w+(?:, )?)+)")
	required = regexp.MustCompile(`^\| ((?:\d+\.\d+\.\d+(?:–\d+\.\d+\.\d+)?(?:, )?)+) \|`)
)

// The tests that a page names are there, and each of its lines names one; in the list of requirements, or says why there is none.
func TestListedTestsExist(t *testing.T) {
	declared := map[string]string{} // the source of a folder's tests
	for page, least := range map[string]int{"console-tests.md": 30, "hostile-tests.md": 30, "asvs.md": 100} {
		data, err := os.ReadFile("../../docs/" + page)
		require.NoError(t, err)
		lines := 0
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "| ") || strings.HasSuffix(line, "| tests |\n") {
				continue
			}
			lines++
			found := listed.FindAllStringSubmatch(line, -1)
			assert.True(t, len(found) > 0 || page == "asvs.md" && strings.HasSuffix(line, "| |\n"), "no test in: %s", line)
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
		require.Greater(t, lines, least, page)
	}
}

// level2 are the requirements of OWASP ASVS 4.0.3 up to level 2, of the chapters that the page has.
const level2 = `2.1.1–2.1.12 2.2.1–2.2.3 2.3.1–2.3.3 2.4.1–2.4.5 2.5.1–2.5.7 2.6.1–2.6.3 2.7.1–2.7.6 2.8.1–2.8.7 2.9.1–2.9.3 2.10.1–2.10.4
	3.1.1 3.2.1–3.2.4 3.3.1–3.3.4 3.4.1–3.4.5 3.5.1–3.5.3 3.7.1 4.1.1–4.1.3 4.1.5 4.2.1–4.2.2 4.3.1–4.3.3
	5.1.1–5.1.5 5.2.1–5.2.8 5.3.1–5.3.10 5.4.1–5.4.3 5.5.1–5.5.4 7.1.1–7.1.4 7.2.1–7.2.2 7.3.1 7.3.3–7.3.4 7.4.1–7.4.3
	8.1.1–8.1.4 8.2.1–8.2.3 8.3.1–8.3.8 9.1.1–9.1.3 9.2.1–9.2.4 12.1.1–12.1.3 12.2.1 12.3.1–12.3.6 12.4.1–12.4.2 12.5.1–12.5.2 12.6.1
	13.1.1 13.1.3–13.1.5 13.2.1–13.2.3 13.2.5–13.2.6 13.3.1–13.3.2 13.4.1–13.4.2
	14.1.1–14.1.4 14.2.1–14.2.6 14.3.2–14.3.3 14.4.1–14.4.7 14.5.1–14.5.4`

// Each requirement has its line, once.
func TestEveryRequirementIsListed(t *testing.T) {
	data, err := os.ReadFile("../../docs/asvs.md")
	require.NoError(t, err)
	var have []string
	for line := range strings.Lines(string(data)) {
		if m := required.FindStringSubmatch(line); m != nil {
			have = append(have, spelledOut(t, strings.ReplaceAll(m[1], ",", ""))...)
		}
	}
	assert.ElementsMatch(t, spelledOut(t, level2), have)
}

// spelledOut are the requirements of a list with ranges.
func spelledOut(t *testing.T, list string) (all []string) {
	t.Helper()
	for word := range strings.FieldsSeq(list) {
		first, last, isRange := strings.Cut(word, "–")
		if !isRange {
			all = append(all, word)
			continue
		}
		dot := strings.LastIndex(first, ".") + 1
		require.Equal(t, first[:dot], last[:strings.LastIndex(last, ".")+1], word)
		from, err := strconv.Atoi(first[dot:])
		require.NoError(t, err)
		to, err := strconv.Atoi(last[dot:])
		require.NoError(t, err)
		for n := from; n <= to; n++ {
			all = append(all, first[:dot]+strconv.Itoa(n))
		}
	}
	return all
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
