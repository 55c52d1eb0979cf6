package source_test

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

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
)

// written is a file of a test's.
func written(t *testing.T, dir, name, content string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// selfSigned is a certificate for a name, which vouches for itself, and its key, in files.
func selfSigned(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	return written(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		written(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

// Xvnc with each kind of login: it is logged in to before anybody is asked, and opened after. What would make that
// fail, an authority, a name or a user that is wrong, fails before.
func TestDialIntoTLS(t *testing.T) {
	modules, _ := filepath.Glob("/usr/lib/*/pam_wrapper/pam_matrix.so")
	if len(modules) == 0 {
		testenv.Lack(t, "pam_matrix.so is needed: apt-get install libpam-wrapper")
	}
	dir, own := t.TempDir(), child.Own()
	rule := " required " + modules[0] + " passdb=" + written(t, dir, "passwords", "alice:secret78:vnc\n") + "\n"
	written(t, dir, "vnc", "auth"+rule+"account"+rule)
	cert, key := selfSigned(t, "vnc.example")
	stranger, _ := selfSigned(t, "vnc.example")
	secret, guess := written(t, dir, "secret", "secret78\n"), written(t, dir, "guess", "guess\n")
	hidden := written(t, dir, "hidden", "\x81\x72\xf9\x2c\xfd\x47\x59\xaa") // as vncpasswd(1) stores "secret78"
	sockets := map[string]string{}
	socket := func(types string) string {
		if sockets[types] == "" {
			sockets[types] = testhost.Require(t, testhost.Options{Width: 320, Height: 240, Server: "Xtigervnc", Identity: &own,
				Env: []string{"LD_PRELOAD=libpam_wrapper.so", "PAM_WRAPPER=1", "PAM_WRAPPER_SERVICE_DIR=" + dir},
				Args: []string{"-SecurityTypes", types, "-PasswordFile", hidden, "-X509Cert", cert, "-X509Key", key, "-PlainUsers", "alice",
					"-BlacklistThreshold", "99"}}).RFB
		}
		return sockets[types]
	}
	for _, tt := range []struct {
		name, types string
		dial        source.Dial
		want        rfb.VeNCryptType // 0: none
		err         error
		text        string
	}{
		{"TLSNone", "TLSNone", source.Dial{}, rfb.VeNCryptTLSNone, nil, ""},
		{"TLSVnc", "TLSVnc,VncAuth", source.Dial{PasswordFile: secret}, rfb.VeNCryptTLSVnc, nil, ""},
		{"TLSVnc, a wrong password", "TLSVnc,VncAuth", source.Dial{PasswordFile: guess}, 0, rfb.ErrPassword, "wrong password"},
		{"TLSPlain", "TLSPlain", source.Dial{User: "alice", PasswordFile: secret}, rfb.VeNCryptTLSPlain, nil, ""},
		{"TLSPlain, another user", "TLSPlain", source.Dial{User: "bob", PasswordFile: secret}, 0, rfb.ErrPassword, "wrong password"},
		{"TLSPlain, no user", "TLSPlain", source.Dial{PasswordFile: secret}, 0, rfb.ErrSecurity, "give a user"},
		{"Plain", "Plain", source.Dial{User: "alice", PasswordFile: secret}, rfb.VeNCryptPlain, nil, ""},
		{"X509Plain", "X509Plain", source.Dial{User: "alice", PasswordFile: secret, CAFile: cert, ServerName: "vnc.example"}, rfb.VeNCryptX509Plain, nil, ""},
		{"X509None", "X509None", source.Dial{CAFile: cert, ServerName: "vnc.example"}, rfb.VeNCryptX509None, nil, ""},
		{"X509None, another authority", "X509None", source.Dial{CAFile: stranger, ServerName: "vnc.example"}, 0, rfb.ErrSecurity, "certificate isn't good"},
		{"X509None, the system's", "X509None", source.Dial{ServerName: "vnc.example"}, 0, rfb.ErrSecurity, "certificate isn't good"},
		{"X509None, another name", "X509None", source.Dial{CAFile: cert, ServerName: "other.example"}, 0, rfb.ErrSecurity, "not other.example"},
		{"an authority, and no certificate", "TLSNone,None", source.Dial{CAFile: cert, ServerName: "vnc.example"}, 0, rfb.ErrSecurity, "certificate is to be verified"},
		{"no authority, and a way without", "X509Vnc,VncAuth", source.Dial{PasswordFile: secret}, rfb.VeNCryptType(rfb.SecurityVNCAuth), nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.dial.Network, tt.dial.Address = "unix", socket(tt.types)
			err := tt.dial.Check(t.Context(), nil)
			require.ErrorIs(t, err, tt.err)
			conn, opened := tt.dial.Open(t.Context(), nil)
			require.ErrorIs(t, opened, tt.err)
			if tt.err != nil {
				assert.ErrorContains(t, err, tt.text)
				return
			}
			defer conn.Close()
			assert.Equal(t, tt.want, conn.(*rfb.ServerConn).Subtype)
			assert.EqualValues(t, 320, conn.(*rfb.ServerConn).Init.Width)
		})
	}
}
