package bus_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/dial"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/host"
	"vda.internal/shadow/internal/testenv"
)

// An authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	a := &authority{t: t, key: key, pool: x509.NewCertPool()}
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate for a name, good for a time from an hour ago on.
func (a *authority) issue(name string, good time.Duration) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	from := time.Now().Add(-time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: from, NotAfter: from.Add(good),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A text is a log that somebody waits for.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *text) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *text) wait(t *testing.T, what string) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.Contains(l.b.String(), what)
	}, patience, 20*time.Millisecond, "%s", what)
}

// Certificates that are wrong, and what is said of them.
type wrong struct {
	what string
	cert tls.Certificate
	says string
}

func wrongs(right, other *authority) []wrong {
	return []wrong{
		{"another authority", other.issue("localhost", 2*time.Hour), "signed by unknown authority; the gate's bus.ca has to be"},
		{"out of date", right.issue("localhost", time.Minute), "certificate has expired"},
		{"another name", right.issue("gate.invalid", 2*time.Hour), "certificate is valid for gate.invalid, not localhost"},
	}
}

// The bus over TLS: a gate and a host enter where the authorities that they know vouch for its certificate. Otherwise
// each says why, a command at once; when that is mended they enter by themselves. What becomes wrong later is
// said, too.
func TestTLS(t *testing.T) {
	right, other := newAuthority(t, "right"), newAuthority(t, "other")
	good := right.issue("localhost", 2*time.Hour)
	for _, w := range wrongs(right, other) {
		t.Run(w.what, func(t *testing.T) {
			var cert atomic.Pointer[tls.Certificate]
			cert.Store(&w.cert)
			dir := t.TempDir()
			keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
			require.NoError(t, err)
			port := testenv.Ports(t, 1)
			start := func() *bus.Server {
				s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir, Listen: local(port), TLS: &tls.Config{
					MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.Load(), nil },
				}})
				require.NoError(t, err)
				t.Cleanup(s.Close)
				return s
			}
			s := start()
			url := strings.Replace("tls://"+local(port), "127.0.0.1", "localhost", 1)
			config := &tls.Config{RootCAs: right.pool, MinVersion: tls.VersionTLS12}
			_, err = keys.Connect(t.Context(), "command", bus.Target{Servers: []string{url}, TLS: config, Once: true})
			require.ErrorContains(t, err, strings.SplitN(w.says, ";", 2)[0])

			log := &text{}
			gate, err := keys.Connect(t.Context(), "gate2", bus.Target{Servers: []string{url}, TLS: config, Notice: &dial.Notice{Logger: zerolog.New(log)}})
			require.NoError(t, err)
			defer gate.Close()
			log.wait(t, w.says)
			cert.Store(&good)
			log.wait(t, "the fleet's bus is there")
			prepared(t, gate, bus.Size{})

			cert.Store(&w.cert)
			log.forget()
			s.Close()
			start()
			log.wait(t, w.says)
			cert.Store(&good)
			log.wait(t, "the fleet's bus is there")
		})
	}
}

// An empty engine has no sessions.
type empty struct{ host.Engine }

func (empty) List() []shadow.Status                               { return nil }
func (empty) Sessions(context.Context) ([]*shadow.Session, error) { return nil, nil }
func (empty) Rules() policy.Rules                                 { return nil }
func (empty) Subscribe(context.Context) <-chan shadow.Event       { return make(chan shadow.Event) }

// A host goes by the authorities of its enrolment, whichever others the machine knows.
func TestHostPinsItsAuthorities(t *testing.T) {
	right, other := newAuthority(t, "right"), newAuthority(t, "other")
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	port := testenv.Ports(t, 1)
	s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir, Listen: local(port), TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{right.issue("localhost", 2*time.Hour)},
	}})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	for _, c := range []struct {
		pinned *authority
		says   string
	}{{right, "the fleet's bus is there"}, {other, "signed by unknown authority"}} {
		key, err := nkeys.CreateUser()
		require.NoError(t, err)
		public, err := key.PublicKey()
		require.NoError(t, err)
		seed, err := key.Seed()
		require.NoError(t, err)
		token, err := keys.Host("vda1", public)
		require.NoError(t, err)
		log := &text{}
		h, err := host.New(host.Config{
			Engine: empty{}, Logger: zerolog.New(log), Credentials: &enrol.Credentials{
				ID: "vda1", Seed: string(seed), JWT: token, Fleet: []string{keys.Fleet()}, Servers: []string{fmt.Sprint("tls://localhost:", port)},
				CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.pinned.cert.Raw})),
			},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		log.wait(t, c.says)
		cancel()
		require.NoError(t, <-ended)
	}
}

// The same with servers of one's own, configured as in dist/nats, and without a plain way in.
func TestTLSAtServersOfOnesOwn(t *testing.T) {
	right, other := newAuthority(t, "right"), newAuthority(t, "other")
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	accounts, err := keys.ServerConfig(filepath.Join(dir, "keys"))
	require.NoError(t, err)
	for i, w := range append(wrongs(right, other), wrong{"right", right.issue("localhost", 2*time.Hour), ""}) {
		t.Run(w.what, func(t *testing.T) {
			port, file := testenv.Ports(t, 1), filepath.Join(dir, fmt.Sprint(i))
			writePair(t, file, w.cert)
			require.NoError(t, os.WriteFile(file+".conf", fmt.Appendf(nil, "listen: %q\njetstream { store_dir: %q }\ntls { cert_file: %q, key_file: %q }\n%s",
				local(port), file+".data", file+".pem", file+".key", accounts), 0o600))
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asServer+"="+file+".conf")
			var out bytes.Buffer
			cmd.Stderr = &out
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			url := fmt.Sprintf("tls://localhost:%d", port)
			log := &text{}
			config := &tls.Config{RootCAs: right.pool, MinVersion: tls.VersionTLS12}
			gate, err := keys.Connect(t.Context(), "gate1", bus.Target{Servers: []string{url}, TLS: config, Notice: &dial.Notice{Logger: zerolog.New(log)}})
			require.NoError(t, err)
			defer gate.Close()
			if w.says != "" {
				log.wait(t, w.says)
				return
			}
			log.wait(t, "the fleet's bus is there")
			prepared(t, gate, bus.Size{})
			_, err = keys.Connect(t.Context(), "plain", bus.Target{Servers: []string{strings.Replace(url, "tls:", "nats:", 1)}, Once: true})
			require.ErrorContains(t, err, "unknown authority", "the system's authorities don't vouch for it")
		})
	}
}

func writePair(t *testing.T, file string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(file+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
}

// A key that isn't taken any more is said to be one.
func TestRevokedKeyIsSaid(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir})
	require.NoError(t, err)
	defer s.Close()
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := keys.Host("vda1", public)
	require.NoError(t, err)
	log := &text{}
	nc, err := dial.Connect(context.Background(), s.URL(), &dial.Notice{Logger: zerolog.New(log)}, dial.Options(key, token)...)
	require.NoError(t, err)
	defer nc.Close()
	log.wait(t, "the fleet's bus is there")
	require.NoError(t, s.Revoke([]bus.Revocation{{Key: public, At: time.Now()}}))
	log.wait(t, "a host that was revoked has to enrol again")
}

// A key that was revoked stays so, whatever is revoked later, and after another start.
func TestRevokedStaysSo(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := keys.Host("vda1", public)
	require.NoError(t, err)
	refused := func(s *bus.Server) {
		t.Helper()
		nc, err := nats.Connect(s.URL(), nats.UserJWT(func() (string, error) { return token, nil }, key.Sign), nats.MaxReconnects(0))
		if err == nil {
			nc.Close()
		}
		require.ErrorIs(t, err, nats.ErrAuthorization)
	}
	start := func() *bus.Server {
		s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		return s
	}
	s := start()
	require.NoError(t, s.Revoke([]bus.Revocation{{Key: public, At: time.Now().Add(-time.Hour)}})) // by a clock that is behind
	refused(s)
	require.NoError(t, s.Revoke(nil))
	refused(s)
	s.Close()
	require.NoError(t, keys.KeepRevoked(dir, nil))
	refused(start())
}
