package tlsport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
	"go.uber.org/goleak"
	"software.sslmate.com/src/go-pkcs12"

	"vda.internal/shadow/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A selfSigned is a certificate for localhost and its key.
type selfSigned struct {
	cert []byte // PEM
	key  *ecdsa.PrivateKey
}

func newSelfSigned(t *testing.T, name string) selfSigned {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return selfSigned{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key}
}

func (s selfSigned) keyPEM(t *testing.T) []byte {
	der, err := x509.MarshalECPrivateKey(s.key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// listen serves a port that says which connections are secure, and echoes.
func listen(t *testing.T, o Options) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln := Listen(inner, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			word := "plain"
			switch c.(type) {
			case *tls.Conn:
				word = "secure"
			case *net.TCPConn:
			default:
				word = "neither"
			}
			_ = c.SetDeadline(time.Now().Add(testenv.Patience))
			var first [1]byte
			if _, err := io.ReadFull(c, first[:]); err == nil {
				_, _ = c.Write(append([]byte(word), first[:]...))
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, ln.Close())
		assert.ErrorIs(t, ln.Close(), net.ErrClosed)
		<-done
	})
	return inner.Addr().String()
}

// say sends a word and returns the answer.
func say(t *testing.T, c net.Conn) string {
	t.Helper()
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(testenv.Patience)))
	_, _ = io.WriteString(c, "x")
	b, _ := io.ReadAll(c)
	return string(b)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	return c
}

// commonName is that of the certificate which the port shows; empty if the
// handshake fails.
func commonName(t *testing.T, addr string, config *tls.Config) string {
	t.Helper()
	config.InsecureSkipVerify = true
	c := tls.Client(dial(t, addr), config)
	defer c.Close()
	if c.Handshake() != nil {
		return ""
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestBothOnOnePort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "self.pem")
	s := newSelfSigned(t, "one")
	require.NoError(t, os.WriteFile(file, append(s.keyPEM(t), s.cert...), 0o600)) // the key first
	addr := listen(t, Options{Certificates: &Certificates{CertFile: file}})
	assert.Equal(t, "plainx", say(t, dial(t, addr)))
	assert.Equal(t, "securex", say(t, tls.Client(dial(t, addr), &tls.Config{InsecureSkipVerify: true})))
}

func TestCertificateIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "self.pem")
	certs := &Certificates{CertFile: file}
	refused := make(chan string, 1)
	addr := listen(t, Options{Certificates: certs, OnRefuse: func(_ net.Addr, reason string) { refused <- reason }})
	assert.Equal(t, "", commonName(t, addr, &tls.Config{}))
	assert.Contains(t, <-refused, "not found")
	assert.NoError(t, certs.Check(), "no certificate is no mistake")
	for _, name := range []string{"one", "two"} {
		s := newSelfSigned(t, name)
		require.NoError(t, os.WriteFile(file, append(s.cert, s.keyPEM(t)...), 0o600))
		assert.Equal(t, name, commonName(t, addr, &tls.Config{}))
		assert.Equal(t, name, commonName(t, addr, &tls.Config{}))
	}
	require.NoError(t, os.WriteFile(file, []byte("half a cert"), 0o600))
	assert.Equal(t, "", commonName(t, addr, &tls.Config{}))
	assert.Error(t, certs.Check())
	assert.Equal(t, "plainx", say(t, dial(t, addr)), "plain connections don't mind")
}

func TestMinimumVersion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "self.pem")
	s := newSelfSigned(t, "one")
	require.NoError(t, os.WriteFile(file, append(s.cert, s.keyPEM(t)...), 0o600))
	for least, versions := range map[uint16]map[uint16]bool{
		0:                {tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true},
		tls.VersionTLS11: {tls.VersionTLS10: false, tls.VersionTLS11: true, tls.VersionTLS12: true},
		tls.VersionTLS13: {tls.VersionTLS12: false, tls.VersionTLS13: true},
	} {
		addr := listen(t, Options{Certificates: &Certificates{CertFile: file, MinVersion: least}})
		for v, ok := range versions {
			assert.Equal(t, ok, commonName(t, addr, &tls.Config{MinVersion: v, MaxVersion: v}) != "", "%x with minimum %x", v, least)
		}
	}
}

func TestCipherList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "self.pem")
	s := newSelfSigned(t, "one")
	require.NoError(t, os.WriteFile(file, append(s.cert, s.keyPEM(t)...), 0o600))
	ids, err := ParseCiphers("ECDHE-ECDSA-AES256-GCM-SHA384")
	require.NoError(t, err)
	addr := listen(t, Options{Certificates: &Certificates{CertFile: file, CipherSuites: ids}})
	for id, ok := range map[uint16]bool{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: true, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: false} {
		assert.Equal(t, ok, commonName(t, addr, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{id}}) != "", tls.CipherSuiteName(id))
	}
}

func TestParseCiphers(t *testing.T) {
	for list, want := range map[string]int{
		"ALL": 14, "HIGH:!aNULL:!MD5": 14, "ECDHE": 10, "ECDHE+AESGCM": 4, "EECDH+AESGCM:EDH+AESGCM": 4, "AES256:!kRSA": 4,
		"HIGH:-SHA1": 8, "HIGH:!SHA1:AES128-SHA": 8, "HIGH:-SHA1:AES128-SHA": 9, "AES128-SHA AES256-SHA,nope": 2, "ECDHE+CHACHA20:@STRENGTH": 2, "ALL:+RSA": 14,
	} {
		ids, err := ParseCiphers(list)
		require.NoError(t, err, list)
		assert.Len(t, ids, want, list)
	}
	for _, bad := range []string{"", "nope", "ALL:!ALL", ":", "!", "RC4-SHA"} {
		_, err := ParseCiphers(bad)
		assert.Error(t, err, bad)
	}
}

func FuzzParseCiphers(f *testing.F) {
	for _, seed := range []string{"ECDHE+AESGCM:!kRSA:@STRENGTH -x,+y", "ALL:-RSA:kRSA", "!aRSA HIGH", "AES128-SHA;AES128-SHA", "EECDH+SHA:ALL+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		ids, err := ParseCiphers(list)
		require.Equal(t, err == nil, len(ids) > 0)
		for i, s := range suites {
			assert.Equal(t, wanted(&suites[i], list), slices.Contains(ids, s.id), s.name)
		}
		for i, id := range ids {
			assert.NotContains(t, ids[:i], id, "it is there twice")
			at := slices.IndexFunc(suites, func(s suite) bool { return s.id == id })
			require.GreaterOrEqual(t, at, 0, "%#x isn't offered", id)
			rest, _ := ParseCiphers(list + ":!" + suites[at].name + ":ALL")
			assert.NotContains(t, rest, id, "it is back though it was banned")
		}
	})
}

// wanted is whether a list wants one suite, going by that suite alone.
func wanted(s *suite, list string) (in bool) {
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":, ;", r) }) {
		word := strings.TrimLeft(item, "!-+")
		fits := true
		for w := range strings.SplitSeq(word, "+") {
			fits = fits && s.has(w)
		}
		switch fits = fits || word == s.name; {
		case fits && item[0] == '!':
			return false
		case fits && item[0] == '-':
			in = false
		case fits && item[0] != '+' && item[0] != '@':
			in = true
		}
	}
	return in
}

func TestEncryptedKeys(t *testing.T) {
	dir := t.TempDir()
	s := newSelfSigned(t, "one")
	cert := filepath.Join(dir, "cert.pem")
	require.NoError(t, os.WriteFile(cert, s.cert, 0o600))
	der, err := pkcs8.MarshalPrivateKey(s.key, []byte("secret"), nil)
	require.NoError(t, err)
	plain, err := x509.MarshalECPrivateKey(s.key)
	require.NoError(t, err)
	//lint:ignore SA1019 It is what is tested.
	old, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", plain, []byte("secret"), x509.PEMCipherAES256)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{"pkcs8": {Type: "ENCRYPTED PRIVATE KEY", Bytes: der}, "old": old} {
		key := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(key, append([]byte("Bag Attributes\n"), pem.EncodeToMemory(block)...), 0o600))
		assert.NoError(t, (&Certificates{CertFile: cert, KeyFile: key, KeyPassword: "secret"}).Check(), name)
		assert.ErrorContains(t, (&Certificates{CertFile: cert, KeyFile: key, KeyPassword: "wrong"}).Check(), "--key-password", name)
	}
	other := newSelfSigned(t, "two")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), other.keyPEM(t), 0o600))
	assert.Error(t, (&Certificates{CertFile: cert, KeyFile: filepath.Join(dir, "other")}).Check(), "another certificate's key")
	assert.Error(t, (&Certificates{CertFile: cert, KeyFile: filepath.Join(dir, "gone")}).Check())
}

// The password is the first line of a file, which is read again as the key is.
func TestKeyPasswordFile(t *testing.T) {
	dir := t.TempDir()
	s := newSelfSigned(t, "one")
	cert, key, password := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(cert, s.cert, 0o600))
	encrypt := func(with string) {
		der, err := pkcs8.MarshalPrivateKey(s.key, []byte(with), nil)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), 0o600))
	}
	encrypt("sec ret")
	c := &Certificates{CertFile: cert, KeyFile: key}
	assert.ErrorContains(t, c.Check(), "--key-password-file")
	c.KeyPasswordFile = password
	assert.ErrorContains(t, c.Check(), password)
	for _, content := range []string{"sec ret", "sec ret\n", "sec ret\r\nand more\n"} {
		require.NoError(t, os.WriteFile(password, []byte(content), 0o600))
		assert.NoError(t, c.Check(), "%q", content)
	}
	require.NoError(t, os.WriteFile(password, []byte("other"), 0o600))
	assert.ErrorContains(t, c.Check(), "doesn't open the private key", "nothing of before is used")
	encrypt("other")
	assert.NoError(t, c.Check())
}

// What tlsstore reads this port reads: a byte order mark, any order, a key
// marked for RSA-PSS, PKCS #12.
func TestFilesOfEveryKind(t *testing.T) {
	dir := t.TempDir()
	s := newSelfSigned(t, "one")
	other := newSelfSigned(t, "two")
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	bom := []byte("\ufeff")
	cert := file("bom.pem", append(bom, s.cert...))
	key := file("bom.key", append(bom, s.keyPEM(t)...))
	leaf, err := x509.ParseCertificate(mustDecode(t, s.cert))
	require.NoError(t, err)
	p12, err := pkcs12.Modern.Encode(s.key, leaf, nil, "secret")
	require.NoError(t, err)
	for name, c := range map[string]*Certificates{
		"byte order mark": {CertFile: cert, KeyFile: key},
		"other first":     {CertFile: file("order.pem", append(append(bytes.Clone(other.cert), s.cert...), s.keyPEM(t)...))},
		"PKCS #12":        {CertFile: file("one.p12", p12), KeyPassword: "secret"},
	} {
		assert.NoError(t, c.Check(), name)
		assert.Equal(t, "one", commonName(t, listen(t, Options{Certificates: c}), &tls.Config{}), name)
	}
	ca := file("ca.pem", append(bom, s.cert...))
	assert.NoError(t, (&Certificates{CertFile: cert, KeyFile: key, VerifyClient: true, CAFile: ca}).Check())
	for _, name := range []string{"key", "both"} {
		args := []string{"req", "-x509", "-newkey", "rsa:2048", "-keyout", filepath.Join(dir, "rsa.key"), "-nodes", "-subj", "/CN=pss", "-out", filepath.Join(dir, "rsa.pem")}
		if name == "both" {
			args[3] = "rsa-pss"
		}
		out, err := exec.Command(testenv.Program(t, "openssl", "openssl"), args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		c := &Certificates{CertFile: filepath.Join(dir, "rsa.pem"), KeyFile: filepath.Join(dir, "rsa.key")}
		if name == "key" { // the same key, marked for RSA-PSS: the certificate is an ordinary one
			markForPSS(t, c.KeyFile)
			require.NoError(t, c.Check())
			assert.Equal(t, "pss", commonName(t, listen(t, Options{Certificates: c}), &tls.Config{}))
			continue
		}
		assert.ErrorContains(t, c.Check(), "RSA-PSS, which this program's TLS can't use")
	}
}

func mustDecode(t *testing.T, b []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(b)
	require.NotNil(t, block)
	return block.Bytes
}

// markForPSS writes a key of PKCS #8 again with the other algorithm.
func markForPSS(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	var info struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	_, err = asn1.Unmarshal(mustDecode(t, b), &info)
	require.NoError(t, err)
	info.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}}
	der, err := asn1.Marshal(info)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

func TestSilentClientsAreClosed(t *testing.T) {
	refused := make(chan string, 2)
	addr := listen(t, Options{FirstByte: 10 * time.Millisecond, OnRefuse: func(_ net.Addr, reason string) { refused <- reason }})
	c := dial(t, addr)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(testenv.Patience)))
	_, err := c.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	assert.Empty(t, <-refused)
	dial(t, addr).Close()
	assert.Empty(t, <-refused)
}

func TestSilenceIsThePythonProgramsByDefault(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln := Listen(inner, Options{})
	defer ln.Close()
	assert.Equal(t, 3*time.Second, ln.(*listener).o.FirstByte)
}

func TestCloseEndsWhatIsPending(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accepted := make(chan struct{}, 8)
	ln := Listen(&counting{inner, accepted}, Options{FirstByte: time.Hour})
	silent, ready := dial(t, inner.Addr().String()), dial(t, inner.Addr().String())
	defer silent.Close()
	defer ready.Close()
	_, _ = ready.Write([]byte("x")) // nobody accepts it
	<-accepted
	<-accepted
	require.NoError(t, ln.Close())
	for _, c := range []net.Conn{silent, ready} {
		require.NoError(t, c.SetDeadline(time.Now().Add(testenv.Patience)))
		_, err := io.Copy(new(bytes.Buffer), c)
		var timeout net.Error
		assert.False(t, err != nil && assert.ErrorAs(t, err, &timeout) && timeout.Timeout())
	}
}

// A counting listener tells when it has accepted.
type counting struct {
	net.Listener
	accepted chan struct{}
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return c, err
}
