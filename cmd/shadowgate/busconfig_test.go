package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/testenv"
)

// What root makes for the gate is the gate's account's, and what was there already stays whose it is.
func TestBusConfigMakesKeysForTheGate(t *testing.T) {
	testenv.Root(t)
	uid := func(path string) int {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return int(info.Sys().(*syscall.Stat_t).Uid)
	}
	top := t.TempDir()
	dir := filepath.Join(top, "state", "bus")
	_, err := makeKeys(dir, true, &owner{12345, 12345})
	require.NoError(t, err)
	for _, path := range []string{"state", "state/bus", "state/bus/fleet.nk", "state/bus/operator.nk", "state/bus/system.nk"} {
		require.Equal(t, 12345, uid(filepath.Join(top, path)), path)
	}
	require.Equal(t, os.Getuid(), uid(top))
	_, err = makeKeys(dir, true, &owner{23456, 23456})
	require.NoError(t, err)
	require.Equal(t, 12345, uid(filepath.Join(dir, "fleet.nk")))

	// What somebody else puts there meanwhile isn't given away: the folder may be his.
	shared, stranger := filepath.Join(top, "shared"), filepath.Join(top, "root's")
	require.NoError(t, os.WriteFile(stranger, nil, 0o600))
	_, err = bus.MakeKeys(shared, func(made *os.File) error {
		_ = os.Link(stranger, filepath.Join(shared, "x.nk"))
		return made.Chown(12345, 12345)
	})
	require.NoError(t, err)
	require.Equal(t, 12345, uid(filepath.Join(shared, "fleet.nk")))
	require.Equal(t, os.Getuid(), uid(filepath.Join(shared, "x.nk")))

	// Nor does anything come to lie elsewhere when its name leads there meanwhile.
	for _, name := range []string{"at folder", "operator.nk"} {
		at, roots := filepath.Join(top, "exchanged", name, "at folder"), filepath.Join(top, "root's folder of "+name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o700))
		require.NoError(t, os.Mkdir(roots, 0o700))
		_, err = bus.MakeKeys(at, func(made *os.File) error {
			if filepath.Base(made.Name()) == name {
				require.NoError(t, os.Rename(at, at+" as it was"))
				require.NoError(t, os.Symlink(roots, at))
			}
			return made.Chown(12345, 12345)
		})
		require.Error(t, err, "there are no keys")
		left, err := os.ReadDir(roots)
		require.NoError(t, err)
		require.Empty(t, left, name)
	}

	own := filepath.Join(top, "own")
	keys, err := makeKeys(own, true, nil)
	require.NoError(t, err)
	require.NoError(t, syscall.Mkfifo(filepath.Join(own, "account.jwt"), 0o600))
	require.ErrorContains(t, keys.KeepRevoked(own, nil), "no plain file", "it isn't waited for")
	require.Equal(t, os.Getuid(), uid(filepath.Join(own, "fleet.nk")))
}

// What NATS servers have to know of the fleet is for their own account to read, whoever has written it, and with whatever mask.
func TestWriteAccounts(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shadowgate"), []byte("#!/bin/sh\necho \"operator: $1\"\n"), 0o755))
	file := filepath.Join(dir, "shadow.conf")
	for range 2 { // the second time it replaces what is there
		cmd := exec.Command("sh", "-c", "umask 077; exec sh ../../dist/nats/write-accounts \"$1\"", "sh", file)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode().Perm())
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, "operator: bus-config\n", string(text))
		require.NoError(t, os.Chmod(file, 0o600))
	}
}
