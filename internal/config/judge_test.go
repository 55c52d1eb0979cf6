package config

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// What root is to obey nobody else may be able to change.
func TestStrangersFilesAreRefused(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	file, program := filepath.Join(dir, "shadowing.toml"), filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755))
	write := func(format string, args ...any) {
		t.Helper()
		require.NoError(t, os.RemoveAll(file))
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, format, args...), 0o644))
	}
	refused := func(says string) {
		t.Helper()
		_, err := Load(file)
		require.ErrorContains(t, err, says)
		_, err = SettingsFrom(file)(t.Context())
		require.ErrorContains(t, err, says, "at every request, too")
	}
	write("")
	_, err := Load(file)
	require.NoError(t, err)
	again := SettingsFrom(file)
	_, err = again(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.Chmod(file, 0o664))
	refused("shadowing.toml is writable by others")
	_, err = again(t.Context())
	require.ErrorContains(t, err, "shadowing.toml is writable by others", "though it says the same")
	require.NoError(t, os.Chmod(file, 0o644))
	require.NoError(t, os.Chown(file, 4711, 0))
	refused("shadowing.toml belongs to uid 4711")

	for lines, key := range map[string]string{
		"[consent]\nprompter = \"exec\"\nexec = [%q]\n":               "consent.exec",
		"[sessions]\nresolver = \"exec\"\nexec = [%q]\n":              "sessions.exec",
		"[sessions]\nresolver = \"exec\"\nexec = [\"/bin/sh\", %q]\n": "sessions.exec", // a script's interpreter
		"[source]\nx11vnc = %q\n":                                     "source.x11vnc",
		"settings = \"ctxreg\"\nctxreg = %q\n":                        "ctxreg",
	} {
		write(lines, program)
		require.NoError(t, os.Chmod(program, 0o755))
		_, err = Load(file)
		require.NoError(t, err, key)
		require.NoError(t, os.Chmod(program, 0o777))
		refused(key + ": " + program + " is writable by others")
		write(lines, "/nonexistent/program")
		_, err = Load(file)
		assert.NoError(t, err, "that it isn't there is told elsewhere")
	}
	write("")
	require.NoError(t, os.Chmod(dir, 0o757))
	refused(dir + " is writable by others")
}
