package source_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/source"
)

func TestDial(t *testing.T) {
	for _, bad := range []string{"", "tcp", "tcp:", "tcp:5900", "udp:127.0.0.1:1", "unix:relative", "127.0.0.1:5900"} {
		_, err := source.ParseDial(bad)
		assert.Error(t, err, bad)
	}
	path := filepath.Join(t.TempDir(), "rfb.sock")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	d, err := source.ParseDial("unix:" + path)
	require.NoError(t, err)
	server := &rfb.Server{Init: rfb.ServerInit{Width: 2, Height: 3, Format: rfb.PixelFormat{BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255}}}
	serve := func() <-chan error {
		done := make(chan error, 1)
		go func() {
			conn, err := ln.Accept()
			if err == nil {
				_, err = server.Accept(t.Context(), conn)
				conn.Close()
			}
			done <- err
		}()
		return done
	}
	done := serve()
	conn, err := d.Open(t.Context(), nil)
	require.NoError(t, err)
	assert.EqualValues(t, 3, conn.(*rfb.ServerConn).Init.Height, "it is greeted")
	conn.Close()
	require.NoError(t, <-done)

	// Before anybody is asked it is seen that the server lets us in. No client comes of it.
	done = serve()
	require.NoError(t, d.Check(t.Context(), nil))
	require.Error(t, <-done, "it became a client")

	// With a password.
	server.Password = "secret"
	for _, try := range []func() error{
		func() error { _, err := d.Open(t.Context(), nil); return err },
		func() error { return d.Check(t.Context(), nil) },
	} {
		done = serve()
		err = try()
		require.ErrorIs(t, err, rfb.ErrSecurity)
		require.ErrorContains(t, err, "give its password")
		<-done
	}
	d.PasswordFile = filepath.Join(t.TempDir(), "password")
	require.ErrorContains(t, d.Check(t.Context(), nil), "no such file", "before anybody is asked")
	for password, want := range map[string]error{"secret\r\nnot this": nil, "guess": rfb.ErrPassword} {
		require.NoError(t, os.WriteFile(d.PasswordFile, []byte(password), 0o600))
		done = serve()
		require.ErrorIs(t, d.Check(t.Context(), nil), want)
		<-done
		done = serve()
		conn, err = d.Open(t.Context(), nil)
		require.ErrorIs(t, err, want)
		if err == nil {
			conn.Close()
		}
		<-done
	}
	d.PasswordFile = ""
	ln.Close()
	_, err = d.Open(t.Context(), nil)
	require.ErrorContains(t, err, "no RFB server")
	require.ErrorContains(t, d.Check(t.Context(), nil), "no RFB server")
	require.Error(t, new(source.Dial).Check(t.Context(), nil))
}

// A server that runs already shows one session: with two, one user's Yes could
// show the other's screen.
func TestDialWithSeveralSessions(t *testing.T) {
	d := &source.Dial{Network: "unix", Address: "/x", Sessions: sessions.Static{{ID: "1", Display: ":1", User: "root"}}}
	require.ErrorContains(t, d.Check(t.Context(), nil), "no RFB server")
	d.Sessions = sessions.Static{{ID: "1", Display: ":1", User: "root"}, {ID: "2", Display: ":2", User: "root"}}
	require.ErrorContains(t, d.Check(t.Context(), nil), "2 sessions")
}
