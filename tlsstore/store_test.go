package tlsstore_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/tlsstore"
)

// handshake serves one TLS connection with config on loopback.
func handshake(t *testing.T, config, client *tls.Config) (*tls.ConnectionState, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(testenv.Patience))
		if s := tls.Server(c, config); s.Handshake() == nil {
			_, _ = s.Write([]byte("x"))
		}
	}()
	defer func() { <-served }()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: testenv.Patience}, Config: client}
	c, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	state := c.(*tls.Conn).ConnectionState()
	return &state, err
}

func TestHandshake(t *testing.T) {
	middle := authority(t, nil, "Middle")
	leaf := issue(t, middle, nil, nil)
	d := newDir(t)
	d.write("shadowingcert.pem", 0o644, []byte("Text before is allowed.\r\n"), leaf.pem(), middle.pem())
	d.write("shadowingkey.pem", 0o600, leaf.keyPEM(t))
	store := tlsstore.Store{Dir: d.path}
	config, err := store.TLSConfig("vda1.corp")
	require.NoError(t, err)

	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	client := func() *tls.Config {
		return &tls.Config{RootCAs: roots, ServerName: "vda1.corp", NextProtos: []string{"h2", "http/1.1"}}
	}
	state, err := handshake(t, config, client())
	require.NoError(t, err)
	assert.Equal(t, "http/1.1", state.NegotiatedProtocol)
	assert.Equal(t, uint16(tls.VersionTLS13), state.Version)
	assert.Len(t, state.PeerCertificates, 2)
	for _, id := range config.CipherSuites {
		assert.NotContains(t, tls.CipherSuiteName(id), "CBC")
		assert.Contains(t, tls.CipherSuiteName(id), "_ECDHE_")
	}

	old := client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err = handshake(t, config, old)
	require.Error(t, err, "TLS 1.1")
	old.MaxVersion = tls.VersionTLS12
	_, err = handshake(t, config, old)
	require.NoError(t, err, "TLS 1.2")
	old.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	_, err = handshake(t, config, old)
	require.Error(t, err, "CBC")
	h2 := client()
	h2.NextProtos = []string{"h2"}
	_, err = handshake(t, config, h2)
	require.Error(t, err, "HTTP/2 alone")
}

// A changed pair counts from the next call on.
func TestReadsAtEveryCall(t *testing.T) {
	d := newDir(t)
	store := tlsstore.Store{Dir: d.path}
	for _, serial := range []*issued{issue(t, nil, nil, nil), issue(t, nil, nil, nil)} {
		d.pair(serial)
		pair, err := store.Load("vda1.corp")
		require.NoError(t, err)
		assert.Equal(t, serial.cert, pair.Certificate.Leaf)
	}
	d.write("shadowingcert.pem", 0o644)
	_, err := store.TLSConfig("vda1.corp")
	assert.ErrorContains(t, err, "is empty")
}

// What isn't about browsers is no error to a strict store.
func TestStrictWarnings(t *testing.T) {
	good := issue(t, nil, nil, nil)
	d := newDir(t)
	d.write("shadowingcert.pem", 0o644, good.pem(), issue(t, nil, nil, nil).pem())
	d.write("shadowingcert.crt", 0o644)
	d.write("shadowingkey.pem", 0o600, good.keyPEM(t))
	pair, err := (&tlsstore.Store{Dir: d.path, Strict: true}).Load("vda1.corp")
	require.NoError(t, err)
	var codes []tlsstore.Code
	for _, f := range pair.Findings {
		assert.Equal(t, tlsstore.Warning, f.Severity)
		codes = append(codes, f.Code)
	}
	assert.ElementsMatch(t, []tlsstore.Code{tlsstore.Several, tlsstore.Unrelated}, codes)
}

// The credential that systemd hands to the service is the passphrase, whatever
// lies beside the key.
func TestCredential(t *testing.T) {
	good := issue(t, nil, nil, nil)
	sealed, err := pkcs8.MarshalPrivateKey(good.key, []byte("from systemd "), nil)
	require.NoError(t, err)
	d, credentials := newDir(t), newDir(t)
	d.write("shadowingcert.pem", 0o644, good.pem())
	d.write("shadowingkey.pem", 0o600, block("ENCRYPTED PRIVATE KEY", sealed))
	d.write("shadowingpassphrase", 0o600, []byte("another"))
	t.Setenv("CREDENTIALS_DIRECTORY", credentials.path)
	store := tlsstore.Store{Dir: d.path}
	_, err = store.Load("")
	requireRefusal(t, err, d, tlsstore.BadPassphrase,
		"the passphrase in DIR/shadowingpassphrase doesn't open the private key in DIR/shadowingkey.pem; write the right one there, in a single line")

	path := credentials.write("shadowingpassphrase", 0o400, []byte("from systemd \n"))
	_, err = store.Load("")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o444))
	_, err = store.Load("")
	requireRefusal(t, err, credentials, tlsstore.BadMode,
		"others can use the passphrase in DIR/shadowingpassphrase (mode 0444); run: chmod 600 DIR/shadowingpassphrase")
}

func TestKeyTypes(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	require.NoError(t, err)
	rsaPair, ecPair, edPair := issue(t, nil, rsaKey, nil), issue(t, nil, ecKey, nil), issue(t, nil, edKey, nil)
	for name, tc := range map[string]struct {
		pair *issued
		key  []byte
	}{
		"RSA PKCS #8":     {rsaPair, rsaPair.keyPEM(t)},
		"RSA PKCS #1":     {rsaPair, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
		"ECDSA PKCS #8":   {ecPair, ecPair.keyPEM(t)},
		"ECDSA SEC 1":     {ecPair, append(block("EC PARAMETERS", []byte{6, 0}), block("EC PRIVATE KEY", sec1)...)},
		"Ed25519 PKCS #8": {edPair, edPair.keyPEM(t)},
		"byte order mark": {ecPair, append([]byte("\ufeff"), ecPair.keyPEM(t)...)},
		"CRLF":            {ecPair, []byte(strings.ReplaceAll(string(ecPair.keyPEM(t)), "\n", "\r\n"))},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDir(t)
			d.write("shadowingcert.pem", 0o644, tc.pair.pem())
			d.write("shadowingkey.pem", 0o400, tc.key)
			pair, err := (&tlsstore.Store{Dir: d.path}).Load("vda1.corp")
			require.NoError(t, err)
			for _, f := range pair.Findings {
				assert.Equal(t, tlsstore.WeakKey, f.Code, "browsers can't use Ed25519")
				assert.Equal(t, edPair, tc.pair)
			}
			config := &tls.Config{Certificates: []tls.Certificate{pair.Certificate}}
			roots := x509.NewCertPool()
			roots.AddCert(root.cert)
			_, err = handshake(t, config, &tls.Config{RootCAs: roots, ServerName: "vda1.corp"})
			require.NoError(t, err)
		})
	}
}

func TestWhichFile(t *testing.T) {
	good, other := issue(t, nil, nil, nil), issue(t, nil, nil, nil)
	for _, tc := range []struct {
		name     string
		good     []string // holding the pair's certificate or key
		bad      []string // holding another one's
		warnings []string
	}{
		{"any suffix", []string{"shadowingcert.txt", "shadowingkey.secret"}, nil, nil},
		{"a number alone", []string{"shadowingcert.2026", "shadowingkey.1"}, nil, nil},
		{"upper case", []string{"shadowingcert.PEM", "shadowingkey.KEY"}, []string{"shadowingcert.crt"}, []string{
			"several files could be the certificate: DIR/shadowingcert.PEM is used and shadowingcert.crt left aside; remove or rename what isn't meant",
		}},
		{"order", []string{"shadowingcert.crt", "shadowingkey.pem"},
			[]string{"shadowingcert.p12", "shadowingcert.cer", "shadowingcert.a", "shadowingcert.pfx", "shadowingcert.der", "shadowingcert.chain.pem", "shadowingkey.key"}, []string{
				"several files could be the certificate: DIR/shadowingcert.crt is used and shadowingcert.cer, shadowingcert.der, shadowingcert.pfx, shadowingcert.p12, shadowingcert.a, shadowingcert.chain.pem left aside; remove or rename what isn't meant",
				"several files could be the key: DIR/shadowingkey.pem is used and shadowingkey.key left aside; remove or rename what isn't meant",
			}},
		{"leftovers", []string{"shadowingcert.txt", "shadowingkey.txt"}, []string{
			"shadowingcert.pem~", "shadowingcert.pem.bak", "shadowingcert.BAK", "shadowingcert.pem.rpmsave", "shadowingcert.pem.rpmnew",
			"shadowingcert.pem.dpkg-old", "shadowingcert.pem.dpkg-dist", "shadowingcert.swp", "shadowingkey.pem.tmp", "shadowingkey.orig",
			"shadowingcert.pem.swo", "shadowingcert.pem.1", "shadowingcert.crt.bak2", "shadowingkey.pem.2026", "shadowingkey.pem.~1~",
			"ashadowingcert.pem", "shadowingcert",
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDir(t)
			put := func(i *issued, names []string) {
				for _, name := range names {
					if strings.Contains(name, "key") {
						d.write(name, 0o600, i.keyPEM(t))
					} else {
						d.write(name, 0o644, i.pem())
					}
				}
			}
			put(good, tc.good)
			put(other, tc.bad)
			require.NoError(t, os.Mkdir(d.file("shadowingcert.d"), 0o755))
			pair, err := (&tlsstore.Store{Dir: d.path}).Load("vda1.corp")
			require.NoError(t, err)
			assert.Equal(t, d.file(tc.good[0]), pair.CertFile)
			assert.Equal(t, d.file(tc.good[1]), pair.KeyFile)
			var got []string
			for _, f := range pair.Findings {
				assert.Equal(t, tlsstore.Warning, f.Severity)
				assert.Equal(t, tlsstore.Several, f.Code)
				got = append(got, strings.ReplaceAll(f.String(), d.path, "DIR"))
			}
			assert.Equal(t, tc.warnings, got)
		})
	}
}

func TestKeyBesideTheCertificate(t *testing.T) {
	good := issue(t, nil, nil, nil)
	d := newDir(t)
	d.write("shadowingcert.pem", 0o600, good.keyPEM(t), good.pem())
	store := tlsstore.Store{Dir: d.path}
	pair, err := store.Load("")
	require.NoError(t, err)
	assert.Equal(t, pair.CertFile, pair.KeyFile)

	require.NoError(t, os.Chmod(d.file("shadowingcert.pem"), 0o644))
	_, err = store.Load("")
	want := "tlsstore: others can use the private key in DIR/shadowingcert.pem (mode 0644); run: chmod 600 DIR/shadowingcert.pem"
	require.EqualError(t, err, strings.ReplaceAll(want, "DIR", d.path))
	d.write("shadowingkey.pem", 0o600, good.keyPEM(t))
	_, err = store.Load("")
	require.EqualError(t, err, strings.ReplaceAll(want, "DIR", d.path), "a key that isn't used is a secret too")
}

func TestNames(t *testing.T) {
	named := func(cn string, dns ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = cn, dns }
	}
	for _, tc := range []struct {
		name   string
		change func(*x509.Certificate)
		host   string
		code   tlsstore.Code
		want   string
	}{
		{"exact", named("", "a.corp", "vda1.corp"), "vda1.corp", "", ""},
		{"case", named("", "VDA1.corp"), "vda1.CORP", "", ""},
		{"wildcard", named("", "*.site.corp"), "vda1.site.corp", "", ""},
		{"wildcard beside the name", named("", "*.corp", "vda1.corp"), "vda1.corp", "", ""},
		{"wildcard of the top", named("", "*.corp"), "vda1.corp", tlsstore.NameMismatch,
			"the certificate in DIR/shadowingcert.pem is for *.corp, a wildcard that takes in a whole top-level domain; browsers will refuse it: have one issued with the subject alternative name vda1.corp"},
		{"no host", named("", "a.corp"), "", "", ""},
		{"wildcard too high", named("", "*.corp"), "vda1.site.corp", tlsstore.NameMismatch,
			"the certificate in DIR/shadowingcert.pem is for *.corp, not for vda1.site.corp; browsers will refuse it: have one issued with the subject alternative name vda1.site.corp"},
		{"other", func(c *x509.Certificate) {
			named("vda1.corp", "a.corp")(c)
			c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
		}, "vda1.corp", tlsstore.NameMismatch,
			"the certificate in DIR/shadowingcert.pem is for a.corp, 192.0.2.1, not for vda1.corp; browsers will refuse it: have one issued with the subject alternative name vda1.corp"},
		{"common name alone", named("vda1.corp"), "vda1.corp", tlsstore.CNOnly,
			`the certificate in DIR/shadowingcert.pem has no subject alternative name, only the common name "vda1.corp"; browsers will refuse it: have one issued with the subject alternative name vda1.corp`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDir(t)
			d.pair(issue(t, nil, nil, tc.change))
			store := tlsstore.Store{Dir: d.path}
			pair, err := store.Load(tc.host)
			require.NoError(t, err)
			_, err = store.TLSConfig(tc.host)
			require.NoError(t, err)
			strict := tlsstore.Store{Dir: d.path, Strict: true}
			_, err = strict.TLSConfig(tc.host)
			if tc.code == "" {
				require.Empty(t, pair.Findings)
				require.NoError(t, err)
				return
			}
			requireRefusal(t, err, d, tc.code, tc.want)
			require.Len(t, pair.Findings, 1)
			f := pair.Findings[0]
			assert.Equal(t, tlsstore.Warning, f.Severity)
			assert.Equal(t, tc.code, f.Code)
			assert.Equal(t, tc.want, strings.ReplaceAll(f.String(), d.path, "DIR"))
		})
	}
}

// The default directory is the documented one. It is missing on the machines
// that tests run on, or it is an administrator's own affair.
func TestZeroStore(t *testing.T) {
	var store tlsstore.Store
	_, err := store.TLSConfig("vda1.corp")
	if err == nil {
		return
	}
	assert.Contains(t, err.Error(), "/etc/xdl/shadowingssl")
	if _, missing := os.Stat("/etc/xdl/shadowingssl"); missing != nil {
		assert.ErrorIs(t, err, fs.ErrNotExist)
	}
}
