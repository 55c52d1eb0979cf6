package house

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// A module of its own that imports packages of ours as README says downloads what they need and nothing else:
// for most of them nothing.
func TestImporter(t *testing.T) {
	for name, c := range map[string]struct {
		imports   []string
		downloads []string
	}{
		"nothing":      {[]string{"rfb", "rfb/trace", "rfb/vendors", "consent", "consent/policy"}, nil},
		"a compressor": {[]string{"rfb/encode", "rfb/curtain"}, []string{"github.com/klauspost/compress"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.ElementsMatch(t, c.downloads, downloads(t, c.imports))
		})
	}
}

// downloads builds and runs a program that imports packages of ours, and returns the modules whose source that took.
func downloads(t *testing.T, imports []string) (modules []string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	require.NoError(t, err)
	proxy := filepath.Join(strings.TrimSpace(string(cache)), "cache", "download") // has what this module was built with
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("go.mod", fmt.Sprintf("module agent.example\n\ngo 1.26.0\n\nrequire vda.internal/shadow v0.0.0\n\nreplace vda.internal/shadow => %s\n", root))
	program := "package main\n\nimport (\n"
	for _, path := range imports {
		program += fmt.Sprintf("\t_ %q\n", module+"/"+path)
	}
	write("main.go", program+")\n\nfunc main() { print(`built`) }\n")
	mine := filepath.Join(dir, "cache")
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=file://"+proxy, "GOSUMDB=off", "GOFLAGS=-mod=mod -modcacherw", "GOMODCACHE="+mine)
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "reading file://") {
		testenv.Lack(t, "the module cache has no archives: %s", out)
	}
	require.NoError(t, err, "%s", out)
	assert.True(t, strings.HasSuffix(string(out), "built"), "%s", out)
	archives := filepath.Join(mine, "cache", "download")
	if _, err := os.Stat(archives); err != nil {
		return nil
	}
	require.NoError(t, fs.WalkDir(os.DirFS(archives), ".", func(path string, _ fs.DirEntry, err error) error {
		if before, _, found := strings.Cut(path, "/@v/"); found && strings.HasSuffix(path, ".zip") {
			modules = append(modules, before)
		}
		return err
	}))
	return modules
}
