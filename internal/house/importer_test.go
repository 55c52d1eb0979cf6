package house

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A module of its own imports rfb as README says, and downloads nothing for it.
func TestImporter(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("go.mod", fmt.Sprintf("module agent.example\n\ngo 1.26.0\n\nrequire vda.internal/shadow v0.0.0\n\nreplace vda.internal/shadow => %s\n", root))
	write("main.go", `package main

import (
	"fmt"

	"vda.internal/shadow/rfb"
)

func main() { fmt.Print(rfb.EncodingZRLE) }
`)
	cache := filepath.Join(dir, "cache")
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOMODCACHE="+cache)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "ZRLE", string(out))
	_, err = os.Stat(filepath.Join(cache, "cache", "download"))
	assert.ErrorIs(t, err, os.ErrNotExist, "something was downloaded")
}
