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
	"flag"
	"fmt"
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

// root is an authority that this process trusts as if it were the machine's.
var root *issued

// rootFiles are its certificate and key in PEM, for the script that uses openssl.
var rootFiles struct{ cert, key string }

func TestMain(m *testing.M) {
	if dir := os.Getenv(loadVariable); dir != "" {
		loadAndPrint(dir)
		os.Exit(0)
	}
	flag.Parse()
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tlsstore:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "tlsstore")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 1, err
	}
	template := hostTemplate()
	toAuthority("Test Root")(template)
	if root, err = sign(template, nil, key); err != nil {
		return 1, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return 1, err
	}
	rootFiles.cert, rootFiles.key = filepath.Join(dir, "root.pem"), filepath.Join(dir, "root.key")
	if err := os.WriteFile(rootFiles.cert, root.pem(), 0o600); err != nil {
		return 1, err
	}
	if err := os.WriteFile(rootFiles.key, block("PRIVATE KEY", der), 0o600); err != nil {
		return 1, err
	}
	// crypto/x509 reads these once, when roots are asked for first.
	for name, value := range map[string]string{"SSL_CERT_FILE": rootFiles.cert, "SSL_CERT_DIR": dir} {
		if err := os.Setenv(name, value); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// hostTemplate is of a certificate for vda1.corp that is valid now.
func hostTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "vda1.corp"},
		DNSNames:     []string{"vda1.corp"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// sign makes a certificate. A nil issuer makes it sign itself.
func sign(template *x509.Certificate, issuer *issued, key crypto.Signer) (*issued, error) {
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &issued{cert, key}, err
}

// issue makes a certificate for vda1.corp, valid now, unless change says
// otherwise. A nil issuer is root, a nil key a new one.
func issue(t testing.TB, issuer *issued, key crypto.Signer, change func(*x509.Certificate)) *issued {
	t.Helper()
	if issuer == nil {
		issuer = root
	}
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		key = k
	}
	template := hostTemplate()
	if change != nil {
		change(template)
	}
	i, err := sign(template, issuer, key)
	require.NoError(t, err)
	return i
}

// toAuthority changes a template to one that may issue others.
func toAuthority(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.CommonName = name
		c.DNSNames = nil
		c.IsCA = true
		c.BasicConstraintsValid = true
		c.KeyUsage = x509.KeyUsageCertSign
		c.ExtKeyUsage = nil
	}
}

// authority makes a certificate that may issue others. A nil issuer is root.
func authority(t testing.TB, issuer *issued, name string) *issued {
	t.Helper()
	return issue(t, issuer, nil, toAuthority(name))
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
