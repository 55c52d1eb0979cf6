package rfb

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// passwordFile is a file as vncpasswd(1) makes it.
func passwordFile(t testing.TB, password string) string {
	t.Helper()
	var plain [challengeLen]byte
	copy(plain[:], password)
	stored := obfuscate(plain)
	name := filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(name, stored[:8], 0o600))
	return name
}

// certificate makes a certificate for a name, and what believes in it.
func certificate(t testing.TB, name string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return certFile, keyFile, pool
}

// Servers that want a password, or a certificate looked at: the relay shows their
// picture, and an error says which it was.
func TestServersWithPasswords(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t, "vnc.example")
	_, _, strangers := certificate(t, "vnc.example")
	password := passwordFile(t, "secret78")
	servers := make(map[string]*xvnc)
	server := func(types string) *xvnc {
		if servers[types] == nil {
			servers[types] = startXvnc(t, "320x240", "-SecurityTypes", types, "-PasswordFile", password, "-BlacklistThreshold", "99", "-X509Cert", cert, "-X509Key", key)
		}
		return servers[types]
	}
	good := &tls.Config{ServerName: "vnc.example", RootCAs: pool}
	for _, tt := range []struct {
		name, types string
		client      Client
		security    SecurityType
		subtype     VeNCryptType
		err         error
		text        string
	}{
		{"vncserver's own set-up", "VncAuth,TLSVnc", Client{Password: "secret78"}, SecurityVNCAuth, 0, nil, ""},
		{"TigerVNC's own set-up", "TLSVnc,VncAuth", Client{Password: "secret78"}, SecurityVNCAuth, 0, nil, ""},
		{"wrong password", "VncAuth,TLSVnc", Client{Password: "secret"}, 0, 0, ErrPassword, "wrong password"},
		{"no password", "VncAuth,TLSVnc", Client{}, 0, 0, ErrSecurity, "give its password"},
		{"X509Vnc", "X509Vnc,VncAuth", Client{Password: "secret78", TLS: good}, SecurityVeNCrypt, VeNCryptX509Vnc, nil, ""},
		{"X509Vnc, wrong password", "X509Vnc,VncAuth", Client{Password: "no", TLS: good}, 0, 0, ErrPassword, "wrong password"},
		{"X509None", "X509None", Client{TLS: good}, SecurityVeNCrypt, VeNCryptX509None, nil, ""},
		{"X509None, another authority", "X509None", Client{TLS: &tls.Config{ServerName: "vnc.example", RootCAs: strangers}}, 0, 0, ErrSecurity, "certificate isn't good"},
		{"X509None, another name", "X509None", Client{TLS: &tls.Config{ServerName: "other.example", RootCAs: pool}}, 0, 0, ErrSecurity, "other.example"},
		{"X509None, no authority", "X509None", Client{}, 0, 0, ErrSecurity, "which authority vouches"},
		{"TLSNone", "TLSNone", Client{Password: "secret78", Username: "user", TLS: good}, 0, 0, ErrSecurity, "TLSNone (encrypts the stream); TLS without certificates isn't spoken"},
		{"TLSVnc", "TLSVnc", Client{Password: "secret78"}, 0, 0, ErrSecurity, "let it offer X509Vnc"},
		{"TLSPlain", "TLSPlain", Client{}, 0, 0, ErrSecurity, "TLS without certificates isn't spoken"},
		{"VeNCrypt in clear text", "None", Client{TLS: good}, SecurityNone, 0, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probe := server(tt.types).dial(t)
			err := tt.client.Probe(t.Context(), probe)
			require.ErrorIs(t, err, tt.err)
			probe.Close()
			conn := server(tt.types).dial(t)
			s, err := tt.client.Connect(t.Context(), conn)
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
				assert.ErrorContains(t, err, tt.text)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.security, s.Security)
			assert.Equal(t, tt.subtype, s.Subtype)
			near, far := pipe(t)
			done := background(func() error { return new(Relay).Run(t.Context(), near, s) })
			v := far.watch(t)
			assert.EqualValues(t, 320, v.Init.Width)
			far.Close()
			require.NoError(t, result(t, done))
		})
	}
}

// A Probe isn't a client of the desktop, however often it comes: a server that counts logins without a good
// end lets the next one in, and so does one that ends with its first client.
func TestProbeDisturbsNobody(t *testing.T) {
	t.Parallel()
	c := Client{Password: "secret78"}
	probed := func(dial func() net.Conn) {
		for range 12 {
			conn := dial()
			require.NoError(t, c.Probe(t.Context(), conn))
			require.NoError(t, conn.(*net.UnixConn).CloseWrite())
			_, _ = io.Copy(io.Discard, conn) // until it is noticed: x11vnc takes one at a time
			conn.Close()
		}
		conn := dial()
		defer conn.Close()
		s, err := c.Connect(t.Context(), conn)
		require.NoError(t, err)
		assert.NotZero(t, s.Init.Width)
	}
	x := startXvnc(t, "320x240", "-SecurityTypes", "VncAuth", "-PasswordFile", passwordFile(t, "secret78"), "-BlacklistThreshold", "3")
	probed(func() net.Conn { return x.dial(t) })

	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240})
	socket := filepath.Join(socketDir(t), "once")
	once := exec.Command(testenv.Program(t, "x11vnc", "x11vnc"), "-rfbport", "0", "-unixsock", socket, "-once",
		"-norc", "-nopw", "-nosel", "-nolookup", "-o", "/dev/null")
	p, err := d.SpawnCmd(once)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // it listens, and nobody comes
		sockets, err := os.ReadFile("/proc/net/unix")
		return err == nil && strings.Contains(string(sockets), socket)
	}, waitFor, 10*time.Millisecond)
	probed(func() net.Conn { return dials(t, "unix", socket) })
	exits(t, p) // with its first client
}

// watch is a viewer that reads a handshake and one picture.
func (p *peer) watch(t *testing.T) *ServerConn {
	t.Helper()
	v, err := Connect(t.Context(), p.Conn)
	require.NoError(t, err)
	_, err = p.Write(wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, v.Init.Width, v.Init.Height}}))
	require.NoError(t, err)
	head := make([]byte, 4)
	_, err = io.ReadFull(p, head)
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 0}, head[:2])
	return v
}

// A server's challenge is put to the viewer, whose user knows the password.
func TestViewerIsAskedForTheServersPassword(t *testing.T) {
	t.Parallel()
	x := startXvnc(t, "320x240", "-SecurityTypes", "VncAuth", "-PasswordFile", passwordFile(t, "secret78"))
	ask := func(c Client) (*ServerConn, <-chan error, error) {
		near, far := pipe(t)
		done := background(func() error { return (&Relay{AskViewer: true}).Run(t.Context(), near, x.dial(t)) })
		v, err := c.Connect(t.Context(), far.Conn)
		if err == nil {
			_, err = far.Write(wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 1, 1}}))
			require.NoError(t, err)
			_, err = io.ReadFull(far, make([]byte, 4))
		}
		far.Close()
		return v, done, err
	}
	v, done, err := ask(Client{Password: "secret78"})
	require.NoError(t, err)
	assert.Equal(t, SecurityVNCAuth, v.Security)
	assert.EqualValues(t, 320, v.Init.Width)
	require.NoError(t, result(t, done))

	_, done, err = ask(Client{Password: "guess"})
	require.ErrorIs(t, err, ErrPassword)
	assert.ErrorContains(t, err, "its RFB server doesn't accept the password")
	require.ErrorIs(t, result(t, done), ErrPassword)

	// A server without a password asks nobody.
	x = startXvnc(t, "320x240")
	v, done, err = ask(Client{})
	require.NoError(t, err)
	assert.Equal(t, SecurityNone, v.Security)
	require.NoError(t, result(t, done))
}

// Handshakes need no connection that keeps what is written.
func TestHandshakesOverAPipeThatKeepsNothing(t *testing.T) {
	for _, password := range []string{"", "secret"} {
		near, far := net.Pipe()
		server := background(func() error {
			_, err := (&Server{Init: desktop, Password: password}).Accept(t.Context(), near)
			return err
		})
		start := time.Now()
		v, err := (&Client{Password: password}).Connect(t.Context(), far)
		require.NoError(t, err)
		require.NoError(t, result(t, server))
		assert.Equal(t, desktop, v.Init)
		assert.Less(t, time.Since(start), stepTimeout)
		near.Close()
		far.Close()
	}
	// All the way: viewer, relay, server.
	upstream, server := net.Pipe()
	viewer, near := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	serving := background(func() error { _, err := (&Server{Init: desktop}).Accept(ctx, server); return err })
	relaying := background(func() error { return new(Relay).Run(ctx, near, upstream) })
	v, err := Connect(t.Context(), viewer)
	require.NoError(t, err)
	assert.Equal(t, desktop.Width, v.Init.Width)
	require.NoError(t, result(t, serving))
	viewer.Close()
	require.NoError(t, result(t, relaying))
	cancel()
	server.Close()
}

// A server that says nothing is too slow, and nothing else.
func TestSilentServerIsATimeout(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, io.ErrNoProgress)
	defer cancel()
	_, err := Connect(ctx, near)
	require.ErrorIs(t, err, ErrTimeout)
	assert.NotErrorIs(t, err, ErrRefused)
}
