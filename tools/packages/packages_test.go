package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// Two bills of materials of one program are the same, whenever and wherever they were made.
func TestSettle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bill.json")
	settled := func(text string) string {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.NoError(t, settle(file, nil))
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(data)
	}
	const rest = `"component": {"version": "1.2.3", "hashes": [{"content": "5"}]}}, "version": 1, "components": [{"name": "a", "hashes": [{"content": "7"}]}]}`
	first := settled(`{"metadata": {"timestamp": "2026-01-01T00:00:00Z", "tools": [{"name": "gomod", "hashes": [{"content": "1"}]}], ` + rest)
	assert.Equal(t, first, settled(`{"metadata": {"timestamp": "2027-01-01T00:00:00Z", "tools": [{"name": "gomod", "hashes": [{"content": "2"}]}], `+rest))
	assert.Contains(t, first, `"1.2.3"`)
	assert.Contains(t, first, `"5"`, "the program's own")
	assert.Contains(t, first, `"7"`)
	second := settled(`{"metadata": {"tools": {"components": [{"name": "gomod", "hashes": [{"content": "2"}]}]}, ` + rest)
	assert.NotContains(t, second, `"2"`, "as later versions of the format have it")
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	assert.Error(t, settle(file, nil))
}

// What a program embeds with its pages is in its bill of materials, beside Go's modules.
func TestBillsHaveThePages(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll(novnc, 0o755))
	_, err := pages()
	require.ErrorContains(t, err, "run make pages")
	require.NoError(t, os.WriteFile(novnc+"package.json", []byte(`{"name": "@novnc/novnc", "version": "1.7.0", "license": "MPL-2.0"}`), 0o600))
	_, err = pages()
	require.ErrorContains(t, err, "pako")
	require.NoError(t, os.MkdirAll(novnc+"vendor/pako", 0o755))
	require.NoError(t, os.WriteFile(novnc+"vendor/pako/README.md", []byte("of a project, based on pako version 1.0.3.\n"), 0o600))
	list, err := pages()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("bill.json", []byte(`{"components": [{"name": "a"}]}`), 0o600))
	require.NoError(t, settle("bill.json", list))
	data, err := os.ReadFile("bill.json")
	require.NoError(t, err)
	for _, want := range []string{`"a"`, `"pkg:npm/%40novnc/novnc@1.7.0"`, `"MPL-2.0"`, `"pkg:npm/pako@1.0.3"`} {
		assert.Contains(t, string(data), want)
	}
	require.NoError(t, os.WriteFile(novnc+"package.json", []byte(`{"name": "another"}`), 0o600))
	_, err = pages()
	assert.Error(t, err)
}

// The package's unit says nothing to who installs it by hand.
func TestPackagedUnits(t *testing.T) {
	t.Chdir("../..")
	for _, name := range []string{"shadowd", "shadowgate"} {
		unit, err := os.ReadFile("dist/" + name + ".service")
		require.NoError(t, err)
		text := string(packaged(unit))
		assert.True(t, strings.HasPrefix(text, "[Unit]\n"), text)
		assert.Contains(t, text, "\nExecStart=/usr/sbin/"+name+"\n")
		for _, not := range []string{"install as", "useradd", "/usr/local"} {
			assert.NotContains(t, text, not)
		}
	}
}

// Each package has the licences of what is in it.
func TestCopyright(t *testing.T) {
	t.Chdir("../..")
	if bundled() != nil {
		testenv.Lack(t, "the pages aren't there (make pages)")
	}
	b := builder{work: t.TempDir()}
	require.NoError(t, os.Mkdir(filepath.Join(b.work, "copyright"), 0o755))
	always := []string{"The Go Authors", "is part of shadow"}
	page := []string{"Mozilla Public License Version 2.0", "Vitaly Puzrin", "noVNC is Copyright"}
	for command, want := range map[string][]string{"rfbtrace": always, "shadowd": append(page, always...)} {
		require.NoError(t, b.copyright(t.Context(), command))
		text, err := os.ReadFile(filepath.Join(b.work, "copyright", command))
		require.NoError(t, err)
		for _, words := range want {
			assert.Contains(t, string(text), words, command)
		}
	}
}

// Without the pages, or with a part of them, nothing is built: the compiler wouldn't notice.
func TestPagesAreNeeded(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"internal/viewer/dist", "internal/gate/web/dist", novnc} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	b := builder{version: "1.2.3", out: "out"}
	assert.ErrorContains(t, b.build(t.Context()), "run make pages")
	require.NoError(t, os.WriteFile(novnc+"LICENSE.txt", nil, 0o600))
	require.NoError(t, os.WriteFile("internal/viewer/dist/index.html", nil, 0o600))
	assert.ErrorContains(t, b.build(t.Context()), "run make pages")
	require.NoError(t, os.WriteFile("internal/gate/web/dist/index.html", nil, 0o600))
	assert.NoError(t, bundled())
}
