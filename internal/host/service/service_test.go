package service

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// systemctl stands in for systemd's on PATH.
func systemctl(t *testing.T, shows, cats string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"show": shows, "cat": cats} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\nexec /bin/cat \"${0%/*}/$1\"\n"), 0o755))
	t.Setenv("PATH", dir)
}

func TestLook(t *testing.T) {
	systemctl(t, "LoadState=loaded\nCapabilityBoundingSet=cap_chown cap_kill\nProtectSystem=full\nProtectHome=read-only\nReadWritePaths=/etc/xdl/audit -/home/audit\n",
		"[Service]\nLoadCredential=early:/etc/early\nLoadCredential=\nLoadCredentialEncrypted=shadowingpassphrase:/etc/xdl/shadowingpassphrase.cred\n# LoadCredential=no:/etc/no\n")
	u := Look(t.Context())
	assert.False(t, u.BindsLow())
	for path, want := range map[string]string{
		"/etc/xdl/audit.log": "ProtectSystem=full", "/etc": "ProtectSystem=full", "/usr/local/none/spool": "ProtectSystem=full",
		"/home/ann/audit": "ProtectHome=read-only", "/etc/xdl/audit/log": "", "/home/audit/log": "", "/var/log/audit": "", "/etcetera": "", "/": "",
	} {
		assert.Equal(t, want, u.ReadOnly(path), path)
	}
	assert.True(t, u.HandsOver("shadowingpassphrase"))
	assert.False(t, u.HandsOver("early"), "it was taken back")
	assert.False(t, u.HandsOver("no"))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/etc", link))
	assert.Equal(t, "ProtectSystem=full", u.ReadOnly(link+"/audit.log"), "by a link")
}

// What systemd doesn't say takes nothing.
func TestLookFindsNone(t *testing.T) {
	for _, shows := range []string{"", "LoadState=not-found\nCapabilityBoundingSet=\n"} {
		systemctl(t, shows, "[Service]\nLoadCredential=a:/b\n")
		u := Look(t.Context())
		assert.True(t, u.BindsLow())
		assert.Empty(t, u.ReadOnly("/etc/passwd"))
		assert.False(t, u.HandsOver("a"))
	}
	t.Setenv("PATH", t.TempDir())
	assert.Equal(t, Unit{}, Look(t.Context()))

	systemctl(t, "LoadState=loaded\nCapabilityBoundingSet=1024\n", "")
	assert.True(t, Look(t.Context()).BindsLow(), "an old systemd's number")
	systemctl(t, "LoadState=loaded\nCapabilityBoundingSet=2045\n", "")
	assert.True(t, Look(t.Context()).BindsLow())
	systemctl(t, "LoadState=loaded\nCapabilityBoundingSet=1023\n", "")
	assert.False(t, Look(t.Context()).BindsLow())
	systemctl(t, "LoadState=loaded\nCapabilityBoundingSet=\n", "")
	assert.False(t, Look(t.Context()).BindsLow(), "none at all")
}
