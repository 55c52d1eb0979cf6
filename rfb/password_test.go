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
		{"VncAuth", "VncAuth", Client{Password: "secret78"}, SecurityVNCAuth, 0, nil, ""},
		{"vncserver's own set-up", "VncAuth,TLSVnc", Client{Password: "secret78"}, SecurityVeNCrypt, VeNCryptTLSVnc, nil, ""},
		{"TigerVNC's own set-up", "TLSVnc,VncAuth", Client{Password: "secret78"}, SecurityVeNCrypt, VeNCryptTLSVnc, nil, ""},
		{"wrong password", "VncAuth,TLSVnc", Client{Password: "secret"}, 0, 0, ErrPassword, "wrong password"},
		{"no password", "VncAuth,TLSVnc", Client{}, 0, 0, ErrSecurity, "give its password"},
		{"X509Vnc", "X509Vnc,VncAuth,TLSVnc", Client{Password: "secret78", TLS: good}, SecurityVeNCrypt, VeNCryptX509Vnc, nil, ""},
		{"X509Vnc, no authority", "X509Vnc,VncAuth,None", Client{Password: "secret78"}, SecurityVeNCrypt, VeNCryptType(SecurityNone), nil, ""},
		{"X509Vnc, wrong password", "X509Vnc,VncAuth", Client{Password: "no", TLS: good}, 0, 0, ErrPassword, "wrong password"},
		{"X509None", "X509None", Client{TLS: good}, SecurityVeNCrypt, VeNCryptX509None, nil, ""},
		{"X509None, another authority", "X509None", Client{TLS: &tls.Config{ServerName: "vnc.example", RootCAs: strangers}}, 0, 0, ErrSecurity, "certificate isn't good"},
		{"X509None, another name", "X509None", Client{TLS: &tls.Config{ServerName: "other.example", RootCAs: pool}}, 0, 0, ErrSecurity, "other.example"},
		{"X509None, no authority", "X509None", Client{}, 0, 0, ErrSecurity, "which authority vouches"},
		{"X509None, not verified", "X509None,TLSNone", Client{TLS: &tls.Config{InsecureSkipVerify: true}}, SecurityVeNCrypt, VeNCryptX509None, nil, ""},
		{"TLSNone, not verified", "TLSNone,None", Client{TLS: &tls.Config{InsecureSkipVerify: true}}, SecurityVeNCrypt, VeNCryptTLSNone, nil, ""},
		{"TLSNone", "TLSNone", Client{Password: "secret78", Username: "user"}, SecurityVeNCrypt, VeNCryptTLSNone, nil, ""},
		{"TLSNone before None", "None,TLSNone", Client{}, SecurityVeNCrypt, VeNCryptTLSNone, nil, ""},
		{"TLSNone gives less away", "VncAuth,TLSVnc,TLSNone", Client{Password: "secret78"}, SecurityVeNCrypt, VeNCryptTLSNone, nil, ""},
		{"TLSVnc", "TLSVnc", Client{Password: "secret78"}, SecurityVeNCrypt, VeNCryptTLSVnc, nil, ""},
		{"TLSVnc, wrong password", "TLSVnc", Client{Password: "secret"}, 0, 0, ErrPassword, "wrong password"},
		{"TLSVnc, no password", "TLSVnc", Client{}, 0, 0, ErrSecurity, "give its password"},
		{"TLSPlain, no user", "TLSPlain", Client{Password: "secret78"}, 0, 0, ErrSecurity, "give a user and a password"},
		// With an authority, whatever a man in the middle can offer is refused.
		{"TLSNone, with an authority", "TLSNone", Client{Password: "secret78", Username: "user", TLS: good}, 0, 0, ErrSecurity, "certificate is to be verified"},
		{"TLSVnc, with an authority", "TLSVnc,VncAuth", Client{Password: "secret78", TLS: good}, 0, 0, ErrSecurity, "certificate is to be verified"},
		{"None, with an authority", "None", Client{TLS: good}, 0, 0, ErrSecurity, "certificate is to be verified"},
		{"VncAuth, with an authority", "VncAuth", Client{Password: "secret78", TLS: good}, 0, 0, ErrSecurity, "certificate is to be verified"},
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
			shows(t, s)
		})
	}
}

// shows sees a server's picture through a relay.
func shows(t *testing.T, s *ServerConn) {
	t.Helper()
	near, far := pipe(t)
	done := background(func() error { return new(Relay).Run(t.Context(), near, s) })
	v := far.watch(t)
	assert.EqualValues(t, 320, v.Init.Width)
	far.Close()
	require.NoError(t, result(t, done))
}

// Servers that want a user and a password, in clear text and inside TLS of either kind. Xvnc asks PAM; libpam-wrapper
// gives it a service of the test's.
func TestServersWithUsers(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t, "vnc.example")
	env := pam(t, "alice", "secret of alice")
	good := &tls.Config{ServerName: "vnc.example", RootCAs: pool}
	alice := Client{Username: "alice", Password: "secret of alice"}
	for types, want := range map[string]VeNCryptType{"Plain": VeNCryptPlain, "TLSPlain": VeNCryptTLSPlain, "X509Plain": VeNCryptX509Plain} {
		t.Run(types, func(t *testing.T) {
			x := startXvncIn(t, env, "320x240", "-SecurityTypes", types, "-PlainUsers", "alice", "-X509Cert", cert, "-X509Key", key)
			c := alice
			if want == VeNCryptX509Plain {
				c.TLS = good
			}
			require.NoError(t, c.Probe(t.Context(), x.dial(t)))
			s, err := c.Connect(t.Context(), x.dial(t))
			require.NoError(t, err)
			assert.Equal(t, want, s.Subtype)
			shows(t, s)
			for _, wrong := range []Client{{Username: "alice", Password: "guess"}, {Username: "bob", Password: "secret of alice"}} {
				wrong.TLS = c.TLS
				_, err = wrong.Connect(t.Context(), x.dial(t))
				require.ErrorIs(t, err, ErrPassword)
			}
			if want == VeNCryptX509Plain { // nobody but who has the certificate learns the password
				return
			}
			c.TLS = good
			_, err = c.Connect(t.Context(), x.dial(t))
			require.ErrorIs(t, err, ErrSecurity)
		})
	}
}

// pam is the environment in which one user has a password.
func pam(t testing.TB, user, password string) []string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/pam_wrapper/pam_matrix.so")
	if len(found) == 0 {
		testenv.Lack(t, "pam_matrix.so is needed: apt-get install libpam-wrapper")
	}
	dir := t.TempDir()
	passwords, service := filepath.Join(dir, "passwords"), filepath.Join(dir, "vnc")
	require.NoError(t, os.WriteFile(passwords, []byte(user+":"+password+":vnc\n"), 0o600))
	rule := " required " + found[0] + " passdb=" + passwords + "\n"
	require.NoError(t, os.WriteFile(service, []byte("auth"+rule+"account"+rule), 0o600))
	return []string{"LD_PRELOAD=libpam_wrapper.so", "PAM_WRAPPER=1", "PAM_WRAPPER_SERVICE_DIR=" + dir}
}

// A dead end is a server whose VeNCrypt is of no use, and which has VNC authentication as well: the first connection
// meets the one, the next the other.
func deadEndOf(t *testing.T, ctx context.Context, veNCrypt []byte) (first net.Conn, redial func(context.Context) (net.Conn, error), dialed *[]net.Conn) {
	t.Helper()
	first, far := sockets(t)
	go func() { // 3.8, VeNCrypt and VNC authentication
		_, _ = far.Write(join([]byte("RFB 003.008\n"), []byte{2, 19, 2}, veNCrypt))
		_, _ = io.Copy(io.Discard, far)
	}()
	dialed = new([]net.Conn)
	return first, func(context.Context) (net.Conn, error) {
		near, far := sockets(t)
		*dialed = append(*dialed, near)
		go func() {
			v, err := (&Server{Init: desktop, Password: "secret"}).Accept(ctx, far)
			if err == nil {
				_, _ = io.Copy(io.Discard, v)
			}
		}()
		return near, nil
	}, dialed
}

// A server whose VeNCrypt comes to nothing is greeted again without it, if it has something else and its client knows
// how to reach it.
func TestVeNCryptThatComesToNothing(t *testing.T) {
	t.Parallel()
	for name, veNCrypt := range map[string][]byte{
		"a certificate is needed":  join([]byte{0, 2, 0, 1}, u32(261)),
		"a user is needed":         join([]byte{0, 2, 0, 2}, u32(256), u32(259)),
		"an old version":           {0, 1},
		"another version":          {0, 2, 1},
		"TLS isn't possible":       join([]byte{0, 2, 0, 1}, u32(258), []byte{0}),
		"TLS without what we have": join([]byte{0, 2, 0, 1}, u32(258), []byte{1, 21, 3, 3, 0, 2, 2, 40}),
		"no TLS":                   join([]byte{0, 2, 0, 1}, u32(258), []byte{1}, []byte("HTTP/1.1")),
	} {
		t.Run(name, func(t *testing.T) {
			c := Client{Password: "secret"}
			first, _, _ := deadEndOf(t, t.Context(), veNCrypt)
			_, err := c.Connect(t.Context(), first)
			require.Error(t, err)
			assert.NotErrorIs(t, err, ErrTimeout)
			require.NoError(t, first.SetDeadline(time.Time{}), "it isn't closed")

			first, redial, dialed := deadEndOf(t, t.Context(), veNCrypt)
			c.Redial = redial
			require.NoError(t, c.Probe(t.Context(), first))
			require.Len(t, *dialed, 1)
			for _, conn := range []net.Conn{first, (*dialed)[0]} {
				require.ErrorIs(t, conn.SetDeadline(time.Time{}), net.ErrClosed)
			}
			first, c.Redial, dialed = deadEndOf(t, t.Context(), veNCrypt)
			s, err := c.Connect(t.Context(), first)
			require.NoError(t, err)
			assert.Equal(t, SecurityVNCAuth, s.Security)
			assert.Zero(t, s.Subtype)
			assert.Equal(t, desktop, s.Init)
			assert.Equal(t, (*dialed)[0], s.Conn)

			// The relay does so, too.
			first, c.Redial, _ = deadEndOf(t, t.Context(), veNCrypt)
			near, far := pipe(t)
			done := background(func() error { return (&Relay{Client: &c}).Run(t.Context(), near, first) })
			v, err := Connect(t.Context(), far.Conn)
			require.NoError(t, err)
			assert.Equal(t, desktop.Width, v.Init.Width)
			far.Close()
			require.NoError(t, result(t, done))

			// The second one's failure is what counts, and closes it.
			c.Password = "guess"
			first, c.Redial, dialed = deadEndOf(t, t.Context(), veNCrypt)
			_, err = c.Connect(t.Context(), first)
			require.ErrorIs(t, err, ErrPassword)
			require.ErrorIs(t, (*dialed)[0].SetDeadline(time.Time{}), net.ErrClosed)
		})
	}
	veNCrypt := join([]byte{0, 2, 0, 1}, u32(261))
	for name, tt := range map[string]struct {
		redial func(cancel func(error)) func(context.Context) (net.Conn, error)
		want   error
	}{
		"nobody listens any more": {func(func(error)) func(context.Context) (net.Conn, error) {
			return func(context.Context) (net.Conn, error) { return nil, os.ErrNotExist }
		}, os.ErrNotExist},
		"it takes too long": {func(cancel func(error)) func(context.Context) (net.Conn, error) {
			return func(ctx context.Context) (net.Conn, error) { cancel(io.ErrNoProgress); return nil, ctx.Err() }
		}, io.ErrNoProgress},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			first, _, _ := deadEndOf(t, t.Context(), veNCrypt)
			_, err := (&Client{Password: "secret", Redial: tt.redial(cancel)}).Connect(ctx, first)
			require.ErrorIs(t, err, tt.want)
		})
	}
	// Whoever wants a certificate isn't led away, nor is anybody who has no other way.
	for _, c := range []Client{{Password: "secret", TLS: &tls.Config{ServerName: "vnc.example"}}, {}} {
		first, redial, dialed := deadEndOf(t, t.Context(), join([]byte{0, 2, 0, 1}, u32(258)))
		c.Redial = redial
		_, err := c.Connect(t.Context(), first)
		require.ErrorIs(t, err, ErrSecurity)
		assert.Empty(t, *dialed)
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
