package strict

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

func TestCheck(t *testing.T) {
	own := uint32(os.Geteuid())
	dir := t.TempDir()
	file := filepath.Join(dir, "a", "b", "file")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.NoError(t, check(file, own))
	require.NoError(t, Check("/bin/sh"), "on the way are links")
	assert.ErrorIs(t, check(filepath.Join(dir, "none"), own), fs.ErrNotExist)
	assert.ErrorContains(t, check("a/b", own), "absolute")

	for path, says := range map[string]string{file: file, filepath.Join(dir, "a"): filepath.Join(dir, "a")} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		for _, more := range []fs.FileMode{0o020, 0o002} {
			require.NoError(t, os.Chmod(path, info.Mode().Perm()|more))
			assert.ErrorContains(t, check(file, own), says+" is writable by others")
		}
		require.NoError(t, os.Chmod(path, info.Mode().Perm()))
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, "a"), 0o777|fs.ModeSticky))
	assert.NoError(t, check(file, own), "nobody else may rename what is in it")

	// Every step of a link is judged, and so is where it leads.
	open := filepath.Join(dir, "open")
	require.NoError(t, os.Mkdir(open, 0o755))
	require.NoError(t, os.Symlink("../a/./b/file", filepath.Join(open, "link")))
	link := filepath.Join(open, "link")
	assert.NoError(t, check(link, own))
	require.NoError(t, os.Chmod(open, 0o777))
	assert.ErrorContains(t, check(link, own), "open is writable")
	require.NoError(t, os.Chmod(open, 0o755))
	require.NoError(t, os.Chmod(file, 0o666))
	assert.ErrorContains(t, check(link, own), "b/file is writable")
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	assert.ErrorContains(t, check(filepath.Join(dir, "loop"), own), "too many")
}

func TestCheckOwner(t *testing.T) {
	testenv.Root(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.NoError(t, os.Lchown(file, 1234, 0))
	assert.ErrorContains(t, Check(file), "file belongs to uid 1234")
	assert.NoError(t, check(file, 1234))
}
