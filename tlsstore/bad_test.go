package tlsstore_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/tlsstore"
)

// der encodes v, which is known to be encodable.
func der(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	require.NoError(t, err)
	return b
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content []byte `asn1:"explicit,tag:0"`
}

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

func pkcs7(t testing.TB) []byte { return der(t, contentInfo{oidSignedData, []byte("certificates")}) }

// Each way of getting it wrong has its own sentence, with what to do.
func TestBad(t *testing.T) {
	good, other := issue(t, nil, nil, nil), issue(t, nil, nil, nil)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, good.key)
	require.NoError(t, err)
	sealed := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	t.Setenv("GODEBUG", "rsa1024min=0") // Go doesn't make such keys unless told to, but it reads them
	short, err := rsa.GenerateKey(rand.Reader, 1023)
	require.NoError(t, err)
	day := func(y int) time.Time { return time.Date(y, 2, 3, 4, 5, 0, 0, time.UTC) }
	cert := func(parts ...[]byte) func(dir) {
		return func(d dir) { d.write("shadowingcert.pem", 0o644, parts...) }
	}
	key := func(parts ...[]byte) func(dir) {
		return func(d dir) { d.write("shadowingkey.pem", 0o600, parts...) }
	}
	pair := func(change func(*x509.Certificate)) func(dir) {
		return func(d dir) { d.pair(issue(t, nil, nil, change)) }
	}

	for _, tc := range []struct {
		name  string
		spoil func(dir) // of a directory with a good pair
		code  tlsstore.Code
		want  string // without "tlsstore: "
	}{
		{"no directory", func(d dir) { require.NoError(t, os.RemoveAll(d.path)) }, tlsstore.NoDir,
			"the directory DIR doesn't exist; make it with: mkdir -p -m 755 DIR, and put shadowingcert.pem and shadowingkey.pem into it"},
		{"a file for the directory", func(d dir) {
			require.NoError(t, os.RemoveAll(d.path))
			require.NoError(t, os.WriteFile(d.path, nil, 0o600))
		}, tlsstore.NoDir, "the directory DIR can't be read: not a directory; let uid UID, as which this program runs, read it: chmod 755 DIR"},
		{"no certificate", func(d dir) { require.NoError(t, os.Remove(d.file("shadowingcert.pem"))) }, tlsstore.NoCert,
			"there is no shadowingcert.* in DIR; put the host's certificate there as DIR/shadowingcert.pem"},
		{"no key", func(d dir) { require.NoError(t, os.Remove(d.file("shadowingkey.pem"))) }, tlsstore.NoKey,
			"there is no shadowingkey.* in DIR, and no private key in DIR/shadowingcert.pem; put the certificate's private key there as DIR/shadowingkey.pem, with mode 600"},

		{"empty certificate", cert(), tlsstore.BadFormat, "DIR/shadowingcert.pem is empty; put the certificate there"},
		{"empty key", key([]byte(" \n")), tlsstore.BadFormat, "DIR/shadowingkey.pem is empty; put the key there"},
		{"noise", cert([]byte("\x00\x01\x02")), tlsstore.BadFormat,
			"DIR/shadowingcert.pem is neither PEM nor anything else that is known here; put the certificate there, in PEM"},
		{"key for certificate", cert(good.keyPEM(t)), tlsstore.BadFormat,
			"DIR/shadowingcert.pem holds no certificate, only PRIVATE KEY; put the host's certificate there"},
		{"certificate for key", key(good.pem()), tlsstore.BadFormat,
			"DIR/shadowingkey.pem holds no private key, only CERTIFICATE; put the certificate's private key there"},
		{"public key for key", key(block("PUBLIC KEY", []byte("x"))), tlsstore.BadFormat,
			"DIR/shadowingkey.pem holds no private key, only PUBLIC KEY; put the certificate's private key there"},
		{"two keys", key(good.keyPEM(t), other.keyPEM(t)), tlsstore.BadFormat,
			"DIR/shadowingkey.pem holds 2 private keys; leave the one that belongs to the certificate"},
		{"damaged PEM", cert(good.pem(), bytes.Replace(other.pem(), []byte("\n"), []byte("\n!"), 1)), tlsstore.BadFormat,
			"DIR/shadowingcert.pem is damaged: 1 of its 2 PEM blocks can't be read; copy it there again"},
		{"cut PEM", key(good.keyPEM(t)[:100]), tlsstore.BadFormat,
			"DIR/shadowingkey.pem is damaged: 1 of its 1 PEM blocks can't be read; copy it there again"},
		{"damaged certificate", cert(good.pem(), block("CERTIFICATE", other.cert.Raw[:99])), tlsstore.BadFormat,
			"certificate number 2 in DIR/shadowingcert.pem can't be used: x509: malformed certificate; copy it there again, or have one issued for an RSA or ECDSA key"},
		{"damaged key", key(block("PRIVATE KEY", []byte("x"))), tlsstore.BadFormat,
			"the private key in DIR/shadowingkey.pem can't be used: asn1: syntax error: truncated tag or length; put the certificate's key there, RSA or ECDSA"},
		{"request", cert(block("CERTIFICATE REQUEST", request)), tlsstore.BadFormat,
			"DIR/shadowingcert.pem holds a request for a certificate, not a certificate; put the certificate there that the authority issued for it"},

		{"PKCS #7", func(d dir) {
			require.NoError(t, os.Remove(d.file("shadowingcert.pem")))
			d.write("shadowingcert.p7b", 0o644, pkcs7(t))
		}, tlsstore.BadFormat,
			"DIR/shadowingcert.p7b is PKCS #7; convert it with: openssl pkcs7 -inform DER -print_certs -in DIR/shadowingcert.p7b -out DIR/shadowingcert.pem"},
		{"PKCS #7 in PEM", cert(block("PKCS7", pkcs7(t))), tlsstore.BadFormat,
			"DIR/shadowingcert.pem is PKCS #7; convert it with: openssl pkcs7 -print_certs -in DIR/shadowingcert.pem -out DIR/shadowingcert.pem.tmp && mv DIR/shadowingcert.pem.tmp DIR/shadowingcert.pem"},
		{"trusted certificate", cert(block("TRUSTED CERTIFICATE", good.cert.Raw)), tlsstore.BadFormat,
			"DIR/shadowingcert.pem holds a certificate in OpenSSL's own TRUSTED format; convert it with: openssl x509 -in DIR/shadowingcert.pem -out DIR/shadowingcert.pem.tmp && mv DIR/shadowingcert.pem.tmp DIR/shadowingcert.pem"},
		{"encrypted old PEM", key(sealed), tlsstore.BadFormat,
			"the private key in DIR/shadowingkey.pem is encrypted in PEM's own old and weak way; convert it with: openssl pkcs8 -topk8 -v2 aes256 -in DIR/shadowingkey.pem -out DIR/shadowingkey.pem.tmp && chmod 600 DIR/shadowingkey.pem.tmp && mv DIR/shadowingkey.pem.tmp DIR/shadowingkey.pem"},
		{"BER", cert([]byte("\x30\x80\x02\x01\x03")), tlsstore.BadFormat,
			"DIR/shadowingcert.pem is in BER with indefinite lengths, as some programs write PKCS #12; take it apart with: openssl pkcs12 -nokeys -in DIR/shadowingcert.pem -out DIR/shadowingcert.pem.tmp && mv DIR/shadowingcert.pem.tmp DIR/shadowingcert.pem"},
		{"OpenSSH key", key(block("OPENSSH PRIVATE KEY", []byte("x"))), tlsstore.BadFormat,
			"DIR/shadowingkey.pem holds a key in OpenSSH's own format; convert it with: ssh-keygen -p -m PKCS8 -N '' -f DIR/shadowingkey.pem"},

		{"wrong key", key(other.keyPEM(t)), tlsstore.Mismatch,
			"the key in DIR/shadowingkey.pem doesn't belong to the certificate in DIR/shadowingcert.pem; put the key there that the certificate was requested with"},
		{"short key", func(d dir) { d.pair(issue(t, nil, short, nil)) }, tlsstore.WeakKey,
			"the key of the certificate in DIR/shadowingcert.pem has 1023 bits, too few for TLS; have a certificate issued for RSA with 2048 bits or more, or for ECDSA with P-256"},
		{"expired", pair(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = day(2020), day(2021) }), tlsstore.Expired,
			"the certificate in DIR/shadowingcert.pem expired on 2021-02-03 04:05 UTC; put a renewed one there"},

		{"key for all", func(d dir) { require.NoError(t, os.Chmod(d.file("shadowingkey.pem"), 0o644)) }, tlsstore.BadMode,
			"others can use the private key in DIR/shadowingkey.pem (mode 0644); run: chmod 600 DIR/shadowingkey.pem"},
		{"key that others write", func(d dir) { require.NoError(t, os.Chmod(d.file("shadowingkey.pem"), 0o602)) }, tlsstore.BadMode,
			"others can write to the key DIR/shadowingkey.pem (mode 0602); run: chmod go-w DIR/shadowingkey.pem"},
		{"certificate that others write", func(d dir) { require.NoError(t, os.Chmod(d.file("shadowingcert.pem"), 0o664)) }, tlsstore.BadMode,
			"others can write to the certificate DIR/shadowingcert.pem (mode 0664); run: chmod go-w DIR/shadowingcert.pem"},
		{"directory that others write", func(d dir) { require.NoError(t, os.Chmod(d.path, 0o770)) }, tlsstore.BadMode,
			"others can write to the directory DIR (mode 0770); run: chmod go-w DIR"},
		{"directory like /tmp", func(d dir) { require.NoError(t, os.Chmod(d.path, 0o777|os.ModeSticky)) }, tlsstore.BadMode,
			"others can write to the directory DIR (mode 1777); run: chmod go-w DIR"},
		{"link into a directory that others write", func(d dir) {
			require.NoError(t, os.Mkdir(d.file("open"), 0o700))
			require.NoError(t, os.Chmod(d.file("open"), 0o777))
			require.NoError(t, os.Rename(d.file("shadowingkey.pem"), d.file("open/key")))
			require.NoError(t, os.Symlink("open/key", d.file("shadowingkey.pem")))
		}, tlsstore.BadMode, "others can write to the directory DIR/open (mode 0777); run: chmod go-w DIR/open"},
		{"link to nothing", func(d dir) {
			require.NoError(t, os.Remove(d.file("shadowingkey.pem")))
			require.NoError(t, os.Symlink("gone", d.file("shadowingkey.pem")))
		}, tlsstore.Unreadable, "the key DIR/shadowingkey.pem can't be read by uid UID: no such file or directory; put the key there"},
		{"link to itself", func(d dir) {
			require.NoError(t, os.Remove(d.file("shadowingkey.pem")))
			require.NoError(t, os.Symlink("shadowingkey.pem", d.file("shadowingkey.pem")))
		}, tlsstore.Unreadable, "the key DIR/shadowingkey.pem can't be read by uid UID: too many levels of symbolic links; put the key there"},
		{"link to a directory", func(d dir) {
			require.NoError(t, os.Remove(d.file("shadowingcert.pem")))
			require.NoError(t, os.Symlink(".", d.file("shadowingcert.pem")))
		}, tlsstore.Unreadable, "the certificate DIR/shadowingcert.pem isn't a regular file; put a file there"},
		{"pipe", func(d dir) {
			require.NoError(t, os.Remove(d.file("shadowingkey.pem")))
			require.NoError(t, unix.Mkfifo(d.file("shadowingkey.pem"), 0o600))
		}, tlsstore.Unreadable, "the key DIR/shadowingkey.pem isn't a regular file; put a file there"},
		{"large", cert(bytes.Repeat([]byte{'x'}, 1<<20+1)), tlsstore.Unreadable,
			"the certificate DIR/shadowingcert.pem is larger than 1 MiB; put the certificate there"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDir(t)
			d.pair(good)
			tc.spoil(d)
			_, err := (&tlsstore.Store{Dir: d.path}).TLSConfig("vda1.corp")
			requireRefusal(t, err, d, tc.code, tc.want)
		})
	}

	t.Run("not yet valid", func(t *testing.T) {
		d := newDir(t)
		pair(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = day(2120), day(2121) })(d)
		_, err := (&tlsstore.Store{Dir: d.path}).TLSConfig("vda1.corp")
		require.ErrorContains(t, err, "shadowingcert.pem is valid only from 2120-02-03 04:05 UTC on; check this machine's clock, or put another one there")
	})
	t.Run("a name that a shell would split", func(t *testing.T) {
		d := newDir(t)
		require.NoError(t, os.Mkdir(d.file("it's here"), 0o700))
		_, err := (&tlsstore.Store{Dir: d.file("it's here/no dir")}).TLSConfig("")
		require.ErrorContains(t, err, `mkdir -p -m 755 '`+d.path+`/it'\''s here/no dir'`)
	})
}

func requireRefusal(t *testing.T, err error, d dir, code tlsstore.Code, want string) {
	t.Helper()
	require.Error(t, err)
	got := strings.ReplaceAll(err.Error(), d.path, "DIR")
	require.Equal(t, "tlsstore: "+strings.ReplaceAll(want, "UID", uid()), got)
	var le *tlsstore.LoadError
	require.True(t, errors.As(err, &le))
	require.Equal(t, code, le.Findings[0].Code)
	require.Equal(t, tlsstore.Error, le.Findings[0].Severity)
}

// All that is wrong is said at once, and warnings are there for who asks.
func TestSeveralFaults(t *testing.T) {
	d := newDir(t)
	d.pair(issue(t, nil, nil, func(c *x509.Certificate) {
		c.NotAfter = time.Now().Add(-time.Minute)
		c.DNSNames = nil
	}))
	d.write("shadowingkey.pem", 0o600, issue(t, nil, nil, nil).keyPEM(t))
	d.write("shadowingkey.key", 0o600)
	_, err := (&tlsstore.Store{Dir: d.path}).Load("vda1.corp")
	var le *tlsstore.LoadError
	require.ErrorAs(t, err, &le)
	var codes []tlsstore.Code
	for _, f := range le.Findings {
		codes = append(codes, f.Code)
	}
	assert.ElementsMatch(t, []tlsstore.Code{tlsstore.Several, tlsstore.Mismatch, tlsstore.Expired, tlsstore.CNOnly}, codes)
	assert.Contains(t, err.Error(), "; also: the certificate in ")
	assert.NotContains(t, err.Error(), "left aside")
}
