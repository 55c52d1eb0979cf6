package shadow_test

import (
	"context"
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

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/tlsstore"
)

// pair writes a certificate for names, and its key, to dir.
func pair(t *testing.T, dir string, notAfter time.Time, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: names,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	for name, block := range map[string]*pem.Block{
		"shadowingcert.pem": {Type: "CERTIFICATE", Bytes: cert}, "shadowingkey.pem": {Type: "PRIVATE KEY", Bytes: der},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

// With ShadowingUseSSL = 1 a certificate that can't be used refuses, in the
// finding's own words and before anybody is asked; nothing falls back to ws.
func TestCertificateThatCannotBeUsed(t *testing.T) {
	good := time.Now().Add(24 * time.Hour)
	for _, c := range []struct {
		name  string
		spoil func(dir string)
		code  tlsstore.Code
		words string
	}{
		{"missing", func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "shadowingcert.pem"))) }, tlsstore.NoCert, "there is no shadowingcert.*"},
		{"expired", func(dir string) { pair(t, dir, time.Now().Add(-time.Hour), "127.0.0.1") }, tlsstore.Expired, "expired on"},
		{"another's key", func(dir string) {
			other := t.TempDir()
			pair(t, other, good)
			require.NoError(t, os.Rename(filepath.Join(other, "shadowingkey.pem"), filepath.Join(dir, "shadowingkey.pem")))
		}, tlsstore.Mismatch, "doesn't belong to the certificate"},
		{"key open to all", func(dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, "shadowingkey.pem"), 0o644)) }, tlsstore.BadMode, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			pair(t, dir, good, "127.0.0.1")
			c.spoil(dir)
			asked := false
			h := start(t, shadow.Config{
				Certificates: &tlsstore.Store{Dir: dir},
				Settings: func(context.Context) (shadow.Settings, error) {
					return shadow.Settings{EnableSessionShadowing: true, ShadowingUseSSL: true}, nil
				},
				Prompter: consent.Func(func(context.Context, consent.Request) (consent.Decision, error) {
					asked = true
					return consent.Granted, nil
				}),
			})
			r := h.refused(t, shadow.TLSConfig)
			assert.False(t, asked, "the user was asked in vain")
			var le *tlsstore.LoadError
			require.ErrorAs(t, r, &le)
			assert.Equal(t, c.code, le.Findings[0].Code)
			assert.Contains(t, r.Detail, le.Findings[0].Sentence)
			assert.Contains(t, r.Detail, c.words)
			assert.NotContains(t, r.Detail, "tlsstore:")
			assert.Equal(t, r.Detail, h.until(t, shadow.EventRefused).Detail, "the audit says it, too")
		})
	}
}
