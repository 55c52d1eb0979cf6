package fleethosts_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/registry"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/tlsstore"
)

// certified is a store with a certificate for 127.0.0.1, and the file with who vouches for it.
func certified(t *testing.T) (*tlsstore.Store, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "shadowingcert.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shadowingkey.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return &tlsstore.Store{Dir: dir}, file
}

// enrolFrom takes a host in that has come from an address.
func enrolFrom(t *testing.T, r *rig, id, name, from string) *enrol.Credentials {
	t.Helper()
	code, err := r.Registry.Invite(t.Context(), registry.Invitation{Hosts: id, For: time.Hour})
	require.NoError(t, err)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	seed, err := key.Seed()
	require.NoError(t, err)
	request := enrol.Request{Secret: code.Secret, ID: id, Name: name, Key: public}
	require.NoError(t, request.Sign(key, nil))
	answer, err := r.Registry.Enrol(t.Context(), request, from)
	require.NoError(t, err)
	return &enrol.Credentials{ID: id, Seed: string(seed), JWT: answer.JWT, Fleet: answer.Fleet, Servers: answer.Servers}
}

// A host that has another address than it enrolled from is viewed where it is: it says so, the bus sees it there,
// and its certificate proves the enrolled name. Without that, and by its word alone, it isn't.
func TestHostHasMoved(t *testing.T) {
	certificates, ca := certified(t)
	for _, c := range []struct {
		what   string
		secure bool
		name   string
		code   int // of a view's end; 0: there is a picture
	}{
		{"proven", true, "127.0.0.1", 0}, {"without TLS", false, "127.0.0.1", 1013}, {"as another", true, "vda9.corp.example", 1013},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t)
			d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
				if c.secure {
					d.WithTLS(certificates)
				}
			})
			r.Run(enrolFrom(t, r, "vda1", c.name, "127.0.0.9"), d.Manager, testfleet.NewSpool())
			directory := fleethosts.New(r.Conn("gate1"), fleethosts.Options{Fleet: r.Keys.Fleet(), CAFile: ca, Logger: testfleet.Logger(t)})
			g := testgate.New(t, nil, testgate.Options{Gate: func(c *gate.Config) { c.Directory = directory }})
			alice := g.SignIn("alice")
			up(t, alice, 1)
			view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
			if c.code == 0 {
				alice.View(view.ID).Picture()
				return
			}
			v, err := alice.Connect(view.ID)
			require.NoError(t, err)
			code, _ := v.End()
			require.Equal(t, c.code, code)
			require.Contains(t, g.Log.String(), "it has moved from 127.0.0.9 to 127.0.0.1")
		})
	}
}

// Who has a host's key can't lead a gate where he isn't by saying that he is there.
func TestMovedByItsWordAlone(t *testing.T) {
	r := newRig(t)
	c := enrolFrom(t, r, "vda1", "127.0.0.1", "127.0.0.9")
	elsewhere, err := net.Listen("tcp", "127.0.0.7:0")
	require.NoError(t, err)
	defer elsewhere.Close()
	nc, _ := r.As(c)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	key, err := nkeys.FromSeed([]byte(c.Seed))
	require.NoError(t, err)
	value, err := fleet.SignPresence(key, &fleet.Presence{ID: "vda1", Boot: "b", Time: time.Now(), Since: time.Now(), Address: "127.0.0.7"})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), fleet.PresenceSubject("vda1"), value)
	require.NoError(t, err)
	directory := fleethosts.New(r.Conn("gate1"), fleethosts.Options{Fleet: r.Keys.Fleet(), Logger: testfleet.Logger(t)})
	found := make(chan hosts.Host, 1)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = directory.Run(ctx, func(h hosts.Host) { found <- h }, func(hosts.Host) {})
	}()
	defer func() { stop(); <-ran }()
	_, err = (<-found).Dial(t.Context(), hosts.Target{TLS: true, Host: "127.0.0.1", Port: elsewhere.Addr().(*net.TCPAddr).Port})
	require.ErrorContains(t, err, "127.0.0.9", "the address that it enrolled from is dialled")
	require.NoError(t, elsewhere.(*net.TCPListener).SetDeadline(time.Now()))
	_, err = elsewhere.Accept()
	require.Error(t, err)
}
