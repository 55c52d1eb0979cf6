package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
)

// underUnit has systemctl know shadowd's unit, with the properties and the lines given.
func underUnit(t *testing.T, properties, lines string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"show": "LoadState=loaded\n" + properties, "cat": "[Service]\n" + lines} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\nexec /bin/cat \"${0%/*}/$1\"\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// What the service may not do is found, though who checks may.
func TestCheckKnowsTheUnit(t *testing.T) {
	cases := map[string]struct{ file, want string }{
		"audit":        {"[log]\naudit = \"/etc/shadowd-audit.log\"\n", "log.audit: /etc/shadowd-audit.log is read-only for shadowd.service (ProtectSystem=full); choose one below /var/log"},
		"socket":       {"[control]\nsocket = \"/home/shadowd/control.sock\"\n", "control.socket: /home/shadowd/control.sock is read-only for shadowd.service (ProtectHome=read-only)"},
		"spool":        {"[fleet]\nservers = [\"tls://gate.example:4222\"]\ncredentials = \"/run/credentials/none.service/key\"\nspool = \"/usr/local/spool\"\n", "fleet.spool: /usr/local/spool is read-only for"},
		"ports":        {"[ports]\nfirst = 80\nlast = 6099\n", "ports.first: shadowd.service may not listen on ports below "},
		"nothing else": {"", ""},
	}
	if unprivileged() <= 80 {
		delete(cases, "ports")
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			underUnit(t, "CapabilityBoundingSet=cap_chown\nProtectSystem=full\nProtectHome=read-only\n", "")
			code, stdout, stderr := call(t, c.file, "--check")
			if c.want == "" {
				assert.Zero(t, code, stderr)
				assert.Contains(t, stdout, ": fine\n")
			} else {
				assert.Equal(t, 1, code)
				assert.Contains(t, stderr, c.want)
			}
			underUnit(t, "CapabilityBoundingSet=cap_chown cap_net_bind_service\nProtectSystem=no\nProtectHome=no\n", "")
			_, _, stderr = call(t, c.file, "--check")
			assert.NotContains(t, stderr, "shadowd.service", "a drop-in lets it")
		})
	}
}

// A passphrase that systemd hands to the service isn't missing.
func TestCheckKnowsThePassphrase(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	locked, err := pkcs8.MarshalPrivateKey(key, []byte("correct horse"), nil)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{"shadowingcert.pem": {Type: "CERTIFICATE", Bytes: cert}, "shadowingkey.pem": {Type: "ENCRYPTED PRIVATE KEY", Bytes: locked}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	file := "ShadowingUseSSL = 1\n[tls]\ndir = \"" + dir + "\"\n[viewer]\nhost = \"localhost\"\n"
	underUnit(t, "", "")
	code, _, stderr := call(t, file, "--check")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "is encrypted")
	underUnit(t, "", "LoadCredential=shadowingpassphrase:/etc/xdl/shadowingpassphrase\n")
	code, stdout, stderr := call(t, file, "--check")
	assert.Zero(t, code, stderr)
	assert.Contains(t, stdout, ": fine; the key is encrypted, and systemd hands its passphrase to the service alone")
}
