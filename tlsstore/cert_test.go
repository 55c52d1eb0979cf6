package tlsstore_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate for vda1.corp, valid now, unless change says
// otherwise. A nil issuer makes it sign itself.
func issue(t *testing.T, issuer *issued, key crypto.Signer, change func(*x509.Certificate)) *issued {
	t.Helper()
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		key = k
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "vda1.corp"},
		DNSNames:     []string{"vda1.corp"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &issued{cert, key}
}

// authority makes a certificate that may issue others.
func authority(t *testing.T, issuer *issued, name string) *issued {
	t.Helper()
	return issue(t, issuer, nil, func(c *x509.Certificate) {
		c.Subject.CommonName = name
		c.DNSNames = nil
		c.IsCA = true
		c.BasicConstraintsValid = true
		c.KeyUsage = x509.KeyUsageCertSign
		c.ExtKeyUsage = nil
	})
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (i *issued) pem() []byte { return block("CERTIFICATE", i.cert.Raw) }

func (i *issued) pkcs8(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	require.NoError(t, err)
	return der
}

func (i *issued) keyPEM(t testing.TB) []byte { return block("PRIVATE KEY", i.pkcs8(t)) }

// A dir is a directory for a Store whose mode doesn't depend on the umask.
type dir struct {
	t    *testing.T
	path string
}

func newDir(t *testing.T) dir {
	t.Helper()
	path, err := os.MkdirTemp("", "tlsstore")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(path)) })
	return dir{t, path}
}

func (d dir) file(name string) string { return filepath.Join(d.path, name) }

func (d dir) write(name string, mode os.FileMode, parts ...[]byte) string {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(d.file(name), bytes.Join(parts, nil), 0o600))
	require.NoError(d.t, os.Chmod(d.file(name), mode))
	return d.file(name)
}

// pair writes i as the directory's certificate and key.
func (d dir) pair(i *issued) {
	d.t.Helper()
	d.write("shadowingcert.pem", 0o644, i.pem())
	d.write("shadowingkey.pem", 0o600, i.keyPEM(d.t))
}

func uid() string { return strconv.Itoa(os.Geteuid()) }
