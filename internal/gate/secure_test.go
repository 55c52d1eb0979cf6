package gate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/tlsstore"
)

// makeCertificate makes a store with a certificate for 127.0.0.1 that has signed itself.
func makeCertificate(t testing.TB) *tlsstore.Store {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vda1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shadowingcert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shadowingkey.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return &tlsstore.Store{Dir: dir}
}

// Where granted ports speak TLS the gate verifies them, by the system's authorities or those in a file.
func TestSecureHost(t *testing.T) {
	t.Parallel()
	own, other := makeCertificate(t), makeCertificate(t)
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) { d.WithTLS(own) })
	connect := func(ca string) (*testgate.Gate, *testgate.Client, gate.View) {
		g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{&hosts.Local{Client: d.Client, Called: testgate.Host, CAFile: ca}}})
		c := g.SignIn("alice")
		return g, c, c.Ask("s1")
	}
	_, c, view := connect(filepath.Join(own.Dir, "shadowingcert.pem"))
	c.View(view.ID).Picture()
	for name, is := range map[string]struct {
		ca     string
		code   int
		reason shadow.Reason
	}{
		"another authority": {filepath.Join(other.Dir, "shadowingcert.pem"), 1011, "host_certificate"},
		"the system's":      {"", 1011, "host_certificate"},
		"no file":           {filepath.Join(own.Dir, "none"), 1013, "host_unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			g, c, view := connect(is.ca)
			closedWith(t, c, view.ID, is.code, is.reason)
			require.NotContains(t, g.Log.String(), "token=")
		})
	}
}

// Over TLS pages and API travel by HTTP/2, and views by HTTP/1.1; cookies are for https only.
func TestSecureGate(t *testing.T) {
	t.Parallel()
	config, err := makeCertificate(t).TLSConfig("127.0.0.1")
	require.NoError(t, err)
	config.NextProtos = []string{"h2", "http/1.1"}
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{TLS: config, SignIn: func(c *signin.Config) { c.Secure = true }, Gate: func(c *gate.Config) { c.HSTS = true }})
	c := g.SignIn("alice")
	resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/me", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, 2, resp.ProtoMajor)
	require.Equal(t, "max-age=31536000", resp.Header.Get("Strict-Transport-Security"))
	require.Equal(t, "__Host-shadowgate", c.Cookies()[0].Name)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := c.Send(ctx, http.MethodGet, "/api/v1/sessions/events", nil)
	require.NoError(t, err)
	defer events.Body.Close()
	require.Equal(t, 2, events.ProtoMajor)
	resp, err = c.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"})
	require.NoError(t, err)
	var view gate.View
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&view))
	require.NoError(t, resp.Body.Close())
	require.Len(t, resp.Cookies(), 1)
	ticket := resp.Cookies()[0]
	require.True(t, strings.HasPrefix(ticket.Name, "__Secure-shadowgate-view-"), ticket.Name)
	require.True(t, ticket.Secure && ticket.HttpOnly)
	require.Equal(t, "/view/"+view.ID, ticket.Path)
	v := c.View(view.ID)
	for range 20 {
		v.Picture()
	}
	c.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	code, _ := v.End()
	require.Equal(t, 1000, code)
	_, err = c.ConnectFrom(c.Ask("s2").ID, strings.Replace(g.URL, "https", "http", 1))
	require.ErrorContains(t, err, "403", "the same host by http is another origin")
}
