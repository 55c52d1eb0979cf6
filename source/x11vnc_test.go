package source_test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/source"
)

// patience bounds every wait of these tests.
const patience = time.Minute

// xSession is a real desktop as a Session.
func xSession(t *testing.T) (*testhost.Desktop, *shadow.Session) {
	t.Helper()
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	return d, &shadow.Session{
		ID: "s1", User: "user", UID: d.Identity.UID, GID: d.Identity.GID, Groups: d.Identity.Groups,
		Display: d.Display, Xauthority: d.Xauthority,
	}
}

// ended waits for the source's process.
func ended(t *testing.T, conn net.Conn) error {
	t.Helper()
	e := conn.(shadow.Ender)
	select {
	case <-e.Ended():
		return e.Err()
	case <-time.After(patience):
		require.FailNow(t, "x11vnc is still there")
		return nil
	}
}

func TestX11vncShowsTheSessionAndEndsWithItsConnection(t *testing.T) {
	_, s := xSession(t)
	conn, err := new(source.X11vnc).Open(t.Context(), s)
	require.NoError(t, err)
	server, err := rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	assert.EqualValues(t, 320, server.Init.Width)
	assert.EqualValues(t, 200, server.Init.Height)
	require.NoError(t, conn.Close())
	select {
	case <-conn.(shadow.Ender).Ended():
	default:
		assert.Fail(t, "Close returned before x11vnc had ended")
	}
}

func TestX11vncTellsADeadSessionFromAFailure(t *testing.T) {
	d, s := xSession(t)
	conn, err := new(source.X11vnc).Open(t.Context(), s)
	require.NoError(t, err)
	_, err = rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	d.Kill()
	assert.ErrorIs(t, ended(t, conn), shadow.ErrSessionEnded)
	require.NoError(t, conn.Close())
}

func TestX11vncFailureHasItsLastWords(t *testing.T) {
	_, s := xSession(t)
	s.Xauthority = filepath.Join(t.TempDir(), "none")
	conn, err := new(source.X11vnc).Open(t.Context(), s)
	require.NoError(t, err)
	err = ended(t, conn)
	require.Error(t, err)
	assert.NotErrorIs(t, err, shadow.ErrSessionEnded)
	assert.ErrorContains(t, err, "exit status")
	assert.ErrorContains(t, err, "the file with the cookie, "+s.Xauthority)
	assert.NotContains(t, err.Error(), "http")
	require.NoError(t, conn.Close())
}

func TestX11vncKilledIsAFailure(t *testing.T) {
	_, s := xSession(t)
	conn, err := new(source.X11vnc).Open(t.Context(), s)
	require.NoError(t, err)
	_, err = rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(conn.(interface{ PID() int }).PID(), syscall.SIGKILL))
	err = ended(t, conn)
	require.ErrorContains(t, err, "killed by signal 9")
	assert.NotErrorIs(t, err, shadow.ErrSessionEnded)
	require.NoError(t, conn.Close())
}

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

	// With a password.
	server.Password = "secret"
	done = serve()
	_, err = d.Open(t.Context(), nil)
	require.ErrorIs(t, err, rfb.ErrSecurity)
	require.ErrorContains(t, err, "give its password")
	<-done
	d.PasswordFile = filepath.Join(t.TempDir(), "password")
	require.ErrorContains(t, d.Check(t.Context(), nil), "no such file", "before anybody is asked")
	for password, want := range map[string]error{"secret\r\nnot this": nil, "guess": rfb.ErrPassword} {
		require.NoError(t, os.WriteFile(d.PasswordFile, []byte(password), 0o600))
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
	require.Error(t, new(source.Dial).Check(t.Context(), nil))
}

// A server that runs already shows one session: with two, one user's Yes could
// show the other's screen.
func TestDialWithSeveralSessions(t *testing.T) {
	d := &source.Dial{Network: "unix", Address: "/x", Sessions: sessions.Static{{ID: "1", Display: ":1", User: "root"}}}
	require.NoError(t, d.Check(t.Context(), nil))
	d.Sessions = sessions.Static{{ID: "1", Display: ":1", User: "root"}, {ID: "2", Display: ":2", User: "root"}}
	require.ErrorContains(t, d.Check(t.Context(), nil), "2 sessions")
}

// A host that was renamed: the question finds the cookie under the old name, and so does x11vnc.
func TestX11vncOnARenamedHost(t *testing.T) {
	_, s := xSession(t)
	data, err := os.ReadFile(s.Xauthority)
	require.NoError(t, err)
	const local = 256
	require.Equal(t, []byte{local >> 8, local & 0xff}, data[:2], "the file begins with another entry")
	end := 2
	for range 4 {
		end += 2 + int(data[end])<<8 + int(data[end+1])
	}
	data = data[:end]
	for i := range data[4 : 4+int(data[3])] {
		data[4+i] = 'x'
	}
	s.Xauthority = filepath.Join(filepath.Dir(s.Xauthority), "renamed")
	require.NoError(t, os.WriteFile(s.Xauthority, data, 0o644))
	conn, err := new(source.X11vnc).Open(t.Context(), s)
	require.NoError(t, err)
	defer conn.Close()
	_, err = rfb.Connect(t.Context(), conn)
	if err != nil {
		err = ended(t, conn)
	}
	require.NoError(t, err)
}
