package bus_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/testenv"
)

// Somebody in the way of two gates' servers learns nothing by which he could be a third one: the route ends
// before anything is said on it. And he can't come by himself.
func TestRoutesAreOurs(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	forged := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{forged}, ClientAuth: tls.RequestClientCert})
	require.NoError(t, err)
	defer ln.Close()
	port := testenv.Ports(t, 1)
	s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir, TLS: &tls.Config{Certificates: []tls.Certificate{forged}}, Cluster: local(port), Routes: []string{ln.Addr().String()}})
	require.NoError(t, err)
	defer s.Close()

	c, err := ln.Accept()
	require.NoError(t, err)
	_ = c.SetDeadline(time.Now().Add(patience))
	said, err := io.ReadAll(c)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Empty(t, said)
	require.NoError(t, c.Close())

	for what, config := range map[string]*tls.Config{
		"no certificate": {InsecureSkipVerify: true}, "another": {InsecureSkipVerify: true, Certificates: []tls.Certificate{forged}},
	} {
		var d net.Dialer
		raw, err := d.DialContext(t.Context(), "tcp", local(port))
		require.NoError(t, err)
		c := tls.Client(raw, config)
		_ = c.SetDeadline(time.Now().Add(patience))
		said, err := io.ReadAll(c)
		require.Error(t, err, what)
		require.Empty(t, said, what)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "%s: it isn't refused", what)
		require.NoError(t, c.Close())
	}
}
