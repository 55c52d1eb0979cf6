package websockify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An authority makes certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB, dir string) *authority {
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.file = writeFile(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

// issue returns a certificate and its key in PEM: for this machine, and other names.
func (a *authority) issue(name string, others ...string) (both string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: append(others, "localhost"), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	k, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
}

func (a *authority) pair(name string) tls.Certificate {
	both := []byte(a.issue(name))
	pair, err := tls.X509KeyPair(both, both)
	require.NoError(a.t, err)
	return pair
}

// trust is a client's configuration that trusts the authority.
func (a *authority) trust(certs ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: certs}
}

// Fixtures are what the programs serve and connect to.
type fixtures struct {
	dir     string // of everything
	web     string
	tokens  string
	cert    string // PEM, with key
	ca      *authority
	echo    string
	refused string
}

func newFixtures(t testing.TB) *fixtures {
	t.Helper()
	dir := t.TempDir()
	f := &fixtures{dir: dir, web: filepath.Join(dir, "web"), echo: echoTarget(t), refused: freeAddress(t)}
	f.ca = newAuthority(t, dir)
	f.cert = writeFile(t, filepath.Join(dir, "self.pem"), f.ca.issue("localhost"))

	greeter := serve(t, listenLoopback(t), func(c net.Conn) { _, _ = io.WriteString(c, "hello") })
	resetter := serve(t, listenLoopback(t), func(c net.Conn) {
		var b [1]byte
		_, _ = c.Read(b[:])
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	socket := filepath.Join(dir, "target.sock")
	ln, err := net.Listen("unix", socket)
	require.NoError(t, err)
	serve(t, ln, echo)
	six := "[::1]:1"
	if ln, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		six = serve(t, ln, echo)
	}
	sixPort := portOf(six)
	f.tokens = writeFile(t, filepath.Join(dir, "tokens"), fmt.Sprintf(`# targets
echo: %[1]s

a b+c: %[1]s
with:colon: %[1]s
Case: %[1]s
twice: %[2]s
twice: %[1]s
refused: %[2]s
greeter: %[3]s
resetter: %[4]s
socket: unix_socket:%[5]s
six: ::1:%[6]s
bracketed: [::1]:%[6]s
  indented: %[1]s
nospace:%[1]s
noport: localhost
named: localhost:http-nonexistent
`, f.echo, f.refused, greeter, resetter, socket, sixPort))

	require.NoError(t, os.MkdirAll(filepath.Join(f.web, "sub", "deep"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(f.web, "indexed"), 0o755))
	for name, content := range map[string]string{
		"a.html": "<p>a", "a.js": "//a", "a.mjs": "//m", "a.css": "p{}", "a.wasm": "\x00asm", "a.svg": "<svg/>", "a.json": "{}", "a.png": "\x89PNG", "noext": "<html>",
		"a.unknown": "x", ".hidden": "h", ".js": "//h", "sub/b.txt": "b", "indexed/index.html": "<p>index", "with space": "s", "a&b<c>.txt": "amp",
	} {
		writeFile(t, filepath.Join(f.web, name), content)
	}
	writeFile(t, filepath.Join(dir, "outside"), "outside")
	require.NoError(t, os.Symlink(filepath.Join(dir, "outside"), filepath.Join(f.web, "link")))
	return f
}
