package rfb

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A peer is the other end of a connection under test.
type peer struct {
	net.Conn
	t testing.TB
}

// pipe returns two ends of a connection, the second for the test.
func pipe(t testing.TB) (net.Conn, *peer) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, newPeer(t, b)
}

func newPeer(t testing.TB, c net.Conn) *peer {
	require.NoError(t, c.SetDeadline(time.Now().Add(waitFor)))
	return &peer{c, t}
}

// sends writes everything.
func (p *peer) sends(b ...[]byte) {
	p.t.Helper()
	_, err := p.Write(join(b...))
	require.NoError(p.t, err)
}

// gets reads exactly these bytes.
func (p *peer) gets(b ...[]byte) {
	p.t.Helper()
	want := join(b...)
	got := make([]byte, len(want))
	n, err := io.ReadFull(p, got)
	require.NoError(p.t, err, "after % x", got[:n])
	require.Equal(p.t, want, got)
}

// getsEOF makes sure that nothing more comes.
func (p *peer) getsEOF() {
	p.t.Helper()
	rest, err := io.ReadAll(p)
	require.NoError(p.t, err)
	require.Empty(p.t, rest)
}

// getsRefusal reads a failure reason.
func (p *peer) getsRefusal(before []byte, words string) {
	p.t.Helper()
	p.gets(before)
	var n [4]byte
	_, err := io.ReadFull(p, n[:])
	require.NoError(p.t, err)
	reason := make([]byte, int(n[2])<<8|int(n[3]))
	_, err = io.ReadFull(p, reason)
	require.NoError(p.t, err)
	assert.Contains(p.t, string(reason), words)
}

// serve is a server's half of the handshake.
func (p *peer) serve(init ServerInit) {
	p.t.Helper()
	p.gets([]byte("RFB 003.00"))
	p.sends([]byte("RFB 003.008\n"))
	p.gets([]byte("8\n"))
	p.sends([]byte{2, 2, 1})
	p.gets([]byte{1})
	p.sends(u32(0))
	p.gets([]byte{1})
	p.sends(wire(p.t, init))
}

// view is a viewer's half of the handshake.
func (p *peer) view(init ServerInit) {
	p.t.Helper()
	p.gets([]byte("RFB 003.008\n"))
	p.sends([]byte("RFB 003.008\n"))
	p.gets([]byte{1, 1})
	p.sends([]byte{1})
	p.gets(u32(0))
	p.sends([]byte{1})
	p.gets(wire(p.t, init))
}

// desktop is what the servers of tests show, x11vnc's pixel format included.
var desktop = ServerInit{640, 480, PixelFormat{32, 24, false, true, 255, 255, 255, 16, 8, 0}, "desk"}

// shown is desktop as a viewer sees it.
var shown = ServerInit{640, 480, pinned, "desk"}

// background runs f and returns where its error will be.
func background(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// result waits for the error of background.
func result(t testing.TB, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(waitFor):
		require.FailNow(t, "did not end")
		return nil
	}
}

func TestConnect(t *testing.T) {
	conn, server := pipe(t)
	var c *ServerConn
	done := background(func() (err error) { c, err = Connect(t.Context(), conn); return err })
	server.serve(desktop)
	require.NoError(t, result(t, done))
	assert.Equal(t, desktop, c.Init)
	assert.EqualValues(t, 12+3+4+24+4, c.read)

	go server.sends([]byte("rest"))
	b := make([]byte, 4)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	assert.Equal(t, "rest", string(b), "the connection goes on where the handshake ended")
}

func TestConnectFails(t *testing.T) {
	version, security, ok := []byte("RFB 003.008\n"), []byte{1, 1}, u32(0)
	reason := join(u32(11), []byte("too \x1bmany up"))[:15]
	init := wire(t, desktop)
	long := wire(t, ServerInit{640, 480, pinned, strings.Repeat("x", maxName+1)})
	for _, tt := range []struct {
		name string
		say  []byte
		want error
		text string
	}{
		{"not RFB", []byte("SSH-2.0-OpenSSH_9.2\r\n"), ErrMalformed, "ProtocolVersion"},
		{"repeater", []byte("RFB 000.000\n"), ErrMalformed, "RFB 000.000 (a repeater"},
		{"a question first", []byte("RFB 003.016\n"), ErrMalformed, "003.008 is needed"},
		{"6.0", []byte("RFB 006.000\n"), ErrMalformed, "003.008 is needed"},
		{"refused", join(version, []byte{0}, reason), ErrRefused, "refuses clients: too many u"},
		{"refused at length", join(version, []byte{0}, u32(maxReason+1)), ErrLimit, "1025 bytes"},
		{"password", join(version, []byte{2, 2, 18}), ErrSecurity, "offers VNC Authentication, TLS (encrypts the stream); give its password, or let it allow None"},
		{"result", join(version, security, u32(1), reason), ErrRefused, "too many u"},
		{"no size", join(version, security, ok, zeros(24)), ErrLimit, "framebuffer of 0 x 0"},
		{"large", join(version, security, ok, u16(16384, 16385), init[4:]), ErrLimit, "framebuffer of 16384 x 16385"},
		{"long name", join(version, security, ok, long), ErrLimit, "name of 4097 bytes"},
		{"4 GiB name", join(version, security, ok, init[:20], u32(0xffffffff)), ErrLimit, "name of 4294967295 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, server := pipe(t)
			done := background(func() error { _, err := Connect(t.Context(), conn); return err })
			server.gets([]byte("RFB 003.00"))
			go io.Copy(io.Discard, server)
			go server.Write(tt.say)
			err := result(t, done)
			require.ErrorIs(t, err, tt.want)
			assert.ErrorContains(t, err, tt.text)
			var p *ProtocolError
			require.ErrorAs(t, err, &p)
			assert.Equal(t, 1011, p.CloseCode())
		})
	}
}

func TestConnectToAServerThatLeaves(t *testing.T) {
	for _, say := range []string{"", "RFB 003.0", "RFB 003.008\n", "RFB 003.008\n\x01"} {
		conn, server := pipe(t)
		done := background(func() error { _, err := Connect(t.Context(), conn); return err })
		server.gets([]byte("RFB 003.00"))
		go io.Copy(io.Discard, server)
		server.sends([]byte(say))
		server.Close()
		err := result(t, done)
		var c *ConnError
		require.ErrorAs(t, err, &c, say)
		assert.Equal(t, FromServer, c.Direction)
		assert.ErrorIs(t, err, io.EOF, say)
	}
}

func TestConnectIsPatientAndNotMore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration // before each byte; 0: says nothing
		want  time.Duration
	}{
		{"silent", 0, stepTimeout},
		{"a byte a second", time.Second, stepTimeout},
		{"always almost too late", 300 * time.Millisecond, handshakeTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, server := net.Pipe()
				var wg sync.WaitGroup
				wg.Go(func() { io.Copy(io.Discard, server) })
				if tt.pause > 0 {
					wg.Go(func() {
						say := join([]byte("RFB 003.008\n"), []byte{1, 1}, u32(0), wire(t, desktop))
						for _, b := range say {
							time.Sleep(tt.pause)
							if _, err := server.Write([]byte{b}); err != nil {
								return
							}
						}
					})
				}
				begin := time.Now()
				_, err := Connect(t.Context(), conn)
				assert.ErrorIs(t, err, ErrLimit)
				assert.Equal(t, tt.want, time.Since(begin))
				conn.Close()
				wg.Wait()
				server.Close()
			})
		})
	}
}

func TestConnectStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("why")
		conn, server := pipe(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := background(func() error { _, err := Connect(ctx, conn); return err })
		server.gets([]byte("RFB 003.00"))
		synctest.Wait() // until it waits for the answer
		begin := time.Now()
		cancel(why)
		assert.Equal(t, why, <-done)
		assert.Zero(t, time.Since(begin))

		_, err := Connect(ctx, conn)
		assert.Equal(t, why, err)
	})
}

func TestRefuse(t *testing.T) {
	for version, before := range map[string][]byte{
		"RFB 003.003\n": {0, 0, 0, 0}, "RFB 003.007\n": {0}, "RFB 003.008\n": {0},
	} {
		conn, viewer := pipe(t)
		done := background(func() error { return Refuse(t.Context(), conn, "the user\x00 said\nNo") })
		viewer.gets([]byte("RFB 003.008\n"))
		viewer.sends([]byte(version))
		viewer.gets(before, u32(16), []byte("the user said No"))
		require.NoError(t, result(t, done))
	}
}

func TestRefuseCutsTheReason(t *testing.T) {
	conn, viewer := pipe(t)
	done := background(func() error { return Refuse(t.Context(), conn, strings.Repeat("x", 5000)) })
	viewer.gets([]byte("RFB 003.008\n"))
	viewer.sends([]byte("RFB 003.008\n"))
	viewer.gets([]byte{0}, u32(maxReason), []byte(strings.Repeat("x", maxReason)))
	require.NoError(t, result(t, done))
}

func TestRefuseAViewerThatLeft(t *testing.T) {
	conn, viewer := pipe(t)
	done := background(func() error { return Refuse(t.Context(), conn, "no") })
	viewer.gets([]byte("RFB 003.008\n"))
	viewer.Close()
	var c *ConnError
	require.ErrorAs(t, result(t, done), &c)
	assert.Equal(t, FromViewer, c.Direction)
}
