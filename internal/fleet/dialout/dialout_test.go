package dialout_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/testenv"
)

const patience = testenv.Patience

var _ shadow.Port = (*dialout.Port)(nil)

// gate is one that hosts dial, and what they trust it by.
func gate(t *testing.T) (*dialout.Desk, string, *tls.Config) {
	t.Helper()
	d := new(dialout.Desk)
	srv := httptest.NewTLSServer(d)
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return d, srv.URL, &tls.Config{RootCAs: pool}
}

// isHost knows the host by its proof.
func isHost(_, proof string) error {
	if proof != "proof" {
		return errors.New("it isn't the host")
	}
	return nil
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A ticket brings one connection from the host to who waits for it, over TLS that the host has verified.
func TestDial(t *testing.T) {
	d, url, trust := gate(t)
	ticket, err := d.Expect(isHost)
	require.NoError(t, err)
	defer ticket.Close()
	_, err = dialout.Dial(within(t), url, ticket.Secret, "another's", trust)
	assert.ErrorContains(t, err, "403", "who has only read the ticket")
	host, err := dialout.Dial(within(t), url, ticket.Secret, "proof", trust)
	require.NoError(t, err)
	defer host.Close()
	viewer, err := ticket.Accept(within(t))
	require.NoError(t, err)
	defer viewer.Close()
	for _, way := range [][2]net.Conn{{host, viewer}, {viewer, host}} {
		_, err = io.WriteString(way[0], "hello")
		require.NoError(t, err)
		got := make([]byte, 5)
		_, err = io.ReadFull(way[1], got)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))
	}
	_, err = dialout.Dial(within(t), url, ticket.Secret, "proof", trust)
	assert.ErrorContains(t, err, "403", "a ticket is good once")
}

// Without a ticket that is good nobody gets in, and a host goes to no gate that its authorities don't vouch for.
func TestDialRefused(t *testing.T) {
	d, url, trust := gate(t)
	ticket, err := d.Expect(isHost)
	require.NoError(t, err)
	_, err = dialout.Dial(within(t), url, "made up", "proof", trust)
	assert.Error(t, err)
	_, err = dialout.Dial(within(t), url, "MADEUP", "proof", trust)
	assert.ErrorContains(t, err, "403")
	_, err = dialout.Dial(within(t), url, "x\r\nShadow-Ticket: "+ticket.Secret, "proof", trust)
	assert.Error(t, err)
	_, err = dialout.Dial(within(t), url, ticket.Secret, "proof\r\nX: y", trust)
	assert.Error(t, err)
	_, err = dialout.Dial(within(t), url, ticket.Secret, "proof", &tls.Config{RootCAs: x509.NewCertPool()})
	var unknown *tls.CertificateVerificationError
	assert.ErrorAs(t, err, &unknown)
	for _, bad := range []string{"http://192.0.2.1", "ftp://gate", "gate", "https://user@gate"} {
		_, err = dialout.Dial(within(t), bad, ticket.Secret, "proof", trust)
		assert.Error(t, err, bad)
	}
	ticket.Close()
	_, err = dialout.Dial(within(t), url, ticket.Secret, "proof", trust)
	assert.ErrorContains(t, err, "403", "nobody waits any more")
	_, err = ticket.Accept(within(t))
	assert.ErrorIs(t, err, net.ErrClosed)

	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, dialout.Path, nil))
	assert.Equal(t, http.StatusUpgradeRequired, w.Code)
}

// A gate that says nothing, or too much, doesn't hold the host.
func TestDialHostileGate(t *testing.T) {
	for name, answer := range map[string]string{
		"too long": strings.Repeat("x", 64<<10), "no HTTP": "RFB 003.008\n\r\n\r\n", "something else": "HTTP/1.1 200 OK\r\n\r\n", "the end": "",
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()
			go func() {
				if c, err := ln.Accept(); err == nil {
					_, _ = io.WriteString(c, answer)
					_ = c.Close()
				}
			}()
			_, err = dialout.Dial(within(t), "http://"+ln.Addr().String(), "T", "proof", nil)
			assert.Error(t, err)
		})
	}
	t.Run("silence", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		go func() {
			if c, err := ln.Accept(); err == nil {
				defer c.Close()
				_, _ = c.Read(make([]byte, 1))
				cancel(enough)
				_, _ = io.Copy(io.Discard, c)
			}
		}()
		_, err = dialout.Dial(ctx, "http://"+ln.Addr().String(), "T", "proof", nil)
		assert.Error(t, err)
	})
}

// What is delivered comes to the view that has the number, while it takes connections.
func TestPorts(t *testing.T) {
	var ports dialout.Ports
	near := func() net.Conn { a, b := net.Pipe(); t.Cleanup(func() { _, _ = a.Close(), b.Close() }); return a }
	p, err := ports.Open()
	require.NoError(t, err)
	other, err := ports.Open()
	require.NoError(t, err)
	assert.NotEqual(t, p.Port(), other.Port())
	assert.False(t, ports.Listens(p.Port()))
	assert.ErrorIs(t, ports.Deliver(p.Port(), near()), dialout.ErrNotListening)
	_, err = p.HoldOnClose().Accept()
	assert.ErrorIs(t, err, net.ErrClosed)

	for range 2 { // a viewer returns
		require.NoError(t, p.Listen())
		require.NoError(t, p.Listen())
		ln, c := p.HoldOnClose(), near()
		delivered := make(chan error, 1)
		go func() { delivered <- ports.Deliver(p.Port(), c) }()
		got, err := ln.Accept()
		require.NoError(t, err)
		assert.Equal(t, c, got)
		require.NoError(t, <-delivered)
		go func() { delivered <- ports.Deliver(p.Port(), near()) }()
		require.NoError(t, ln.Close())
		assert.ErrorIs(t, <-delivered, dialout.ErrNotListening)
		_, err = ln.Accept()
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.False(t, ports.Listens(p.Port()))
	}
	require.NoError(t, p.Close())
	assert.ErrorIs(t, p.Listen(), net.ErrClosed)
	assert.ErrorIs(t, ports.Deliver(99, near()), dialout.ErrNotListening)
}
