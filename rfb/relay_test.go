package rfb

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// running is a Run with both its peers.
type running struct {
	viewer, server *peer
	conn           net.Conn // the viewer's connection as Run has it
	cancel         context.CancelCauseFunc
	done           <-chan error
}

// run starts a relay over a greeted server.
func run(t testing.TB, r *Relay) *running {
	t.Helper()
	return runThrough(t, r, func(c net.Conn) net.Conn { return c })
}

// runThrough is run with something around the server's connection, once that is greeted.
func runThrough(t testing.TB, r *Relay, around func(net.Conn) net.Conn) *running {
	t.Helper()
	conn, viewer := pipe(t)
	serverConn, server := pipe(t)
	var c *ServerConn
	greeted := background(func() (err error) { c, err = Connect(t.Context(), serverConn); return err })
	server.serve(desktop)
	require.NoError(t, result(t, greeted))
	c.Conn = around(c.Conn)
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	done := background(func() error { return r.Run(ctx, conn, c) })
	return &running{viewer, server, conn, cancel, done}
}

// watch starts a relay and brings its viewer to the start of the session.
func watch(t testing.TB, r *Relay) *running {
	t.Helper()
	x := run(t, r)
	x.viewer.view(shown)
	x.server.gets(start(t))
	return x
}

// ends waits for the end and makes sure that the server's connection is closed.
func (x *running) ends(t testing.TB) error {
	t.Helper()
	err := result(t, x.done)
	x.server.getsEOF()
	return err
}

func TestRelayShowsAndLetsNothingThrough(t *testing.T) {
	var drops []ClientMessageType
	x := watch(t, &Relay{OnDrop: func(m ClientMessageType) { drops = append(drops, m) }})
	x.viewer.sends(noVNC(t, 640, 480))
	x.server.gets(wire(t, SetEncodings{viewed}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))

	picture := update(rectOf(Rect{0, 0, 100, 100}, EncodingRaw, zeros(40000)))
	go x.server.sends(picture, unhex(t, "03 000000 00000006 736563726574"), []byte{2})
	x.viewer.gets(picture, []byte{2})

	x.viewer.sends(unhex(t, "04 01 0000 0000ff0d 05 01 0010 0020 06 000000 00000001 61"))
	again := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
	x.viewer.sends(again)
	x.server.gets(again)

	x.viewer.Close()
	assert.NoError(t, x.ends(t), "a viewer may leave")
	assert.Equal(t, []ClientMessageType{4, 5, 6}, drops)
}

func TestRelayTakesBytesOneByOne(t *testing.T) {
	x := watch(t, &Relay{})
	go func() {
		for _, b := range noVNC(t, 640, 480) {
			x.viewer.Write([]byte{b})
		}
	}()
	x.server.gets(wire(t, SetEncodings{viewed}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	picture := update(rectOf(Rect{0, 0, 3, 3}, EncodingRaw, zeros(36)))
	go func() {
		for _, b := range join(unhex(t, "03 000000 00000006 736563726574"), picture) {
			x.server.Write([]byte{b})
		}
	}()
	x.viewer.gets(picture)
	x.viewer.Close()
	assert.NoError(t, x.ends(t))
}

func TestRelayClampsToTheSizeTheServerTold(t *testing.T) {
	x := watch(t, &Relay{})
	x.viewer.sends(wire(t, SetEncodings{[]Encoding{EncodingDesktopSize}}))
	x.server.gets(wire(t, SetEncodings{[]Encoding{EncodingDesktopSize, EncodingRaw}}))
	resize := update(rectOf(Rect{0, 0, 320, 200}, EncodingDesktopSize))
	x.server.sends(resize)
	x.viewer.gets(resize)
	x.viewer.sends(wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}}))
	x.server.gets(wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 320, 200}}))
}

func TestRelaySpeaksOlderVersionsToTheViewer(t *testing.T) {
	x := run(t, &Relay{})
	x.viewer.gets([]byte("RFB 003.008\n"))
	x.viewer.sends([]byte("RFB 003.003\n"))
	x.viewer.gets(u32(1))
	x.viewer.sends([]byte{0})
	x.viewer.gets(wire(t, shown))
	x.server.gets(start(t))

	x = run(t, &Relay{})
	x.viewer.gets([]byte("RFB 003.008\n"))
	x.viewer.sends([]byte("RFB 003.007\n"))
	x.viewer.gets([]byte{1, 1})
	x.viewer.sends([]byte{1, 1})
	x.viewer.gets(wire(t, shown))
	x.server.gets(start(t))
}

func TestRelayShowsItsOwnName(t *testing.T) {
	x := run(t, &Relay{Name: "vda1: user1\u202e"})
	want := shown
	want.Name = "vda1: user1"
	x.viewer.view(want)
	x.server.gets(start(t))
	x.viewer.sends(wire(t, SetEncodings{[]Encoding{EncodingRaw, EncodingDesktopName}}))
	x.server.gets(wire(t, SetEncodings{[]Encoding{EncodingRaw}}))
}

func TestRelayRefusesOtherVersionsBeforeTheServerHearsAnything(t *testing.T) {
	for _, version := range []string{
		"RFB 003.889\n", "RFB 003.005\n", "RFB 003.009\n", "RFB 004.001\n", "RFB 005.000\n", "RFB 000.000\n", "GET / HTTP/1",
	} {
		x := run(t, &Relay{})
		x.viewer.gets([]byte("RFB 003.008\n"))
		x.viewer.sends([]byte(version))
		err := x.ends(t)
		require.ErrorIs(t, err, ErrMalformed, version)
		var p *ProtocolError
		require.ErrorAs(t, err, &p)
		assert.Equal(t, 1002, p.CloseCode())
		assert.EqualValues(t, 12, p.Offset)
	}
}

func TestRelayRefusesSecurityTypesItDidNotOffer(t *testing.T) {
	for _, choice := range []byte{0, 2, 16, 19, 255} {
		x := run(t, &Relay{})
		x.viewer.gets([]byte("RFB 003.008\n"))
		x.viewer.sends([]byte("RFB 003.008\n"))
		x.viewer.gets([]byte{1, 1})
		x.viewer.sends([]byte{choice})
		x.viewer.getsRefusal(u32(1), "not offered")
		assert.ErrorIs(t, x.ends(t), ErrMalformed)
	}
}

func TestRelayEndsWithAForbiddenMessage(t *testing.T) {
	x := watch(t, &Relay{})
	x.viewer.sends(unhex(t, "03 01 0000 0000 0001 0001 0a 01 0010 0020"))
	err := x.ends(t)
	require.ErrorIs(t, err, ErrForbidden)
	var p *ProtocolError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, 1008, p.CloseCode())
	assert.EqualValues(t, 12+1+1+10+1, p.Offset, "counted from the first byte of the handshake")
	assert.ErrorContains(t, err, "SetSW")
}

func TestRelayEndsWithAServerThatMisbehaves(t *testing.T) {
	x := watch(t, &Relay{})
	x.server.sends([]byte{2, 99})
	err := x.ends(t)
	require.ErrorIs(t, err, ErrMalformed)
	var p *ProtocolError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, FromServer, p.Direction)
	assert.Equal(t, 1011, p.CloseCode())
	assert.EqualValues(t, 12+3+4+24+4+2, p.Offset)
}

func TestRelayDeliversEverythingBeforeItTellsThatTheServerLeft(t *testing.T) {
	x := watch(t, &Relay{})
	x.server.sends([]byte{2}, update())
	x.server.Close()
	x.viewer.gets([]byte{2}, update())
	err := result(t, x.done)
	var c *ConnError
	require.ErrorAs(t, err, &c)
	assert.Equal(t, FromServer, c.Direction)
	assert.Equal(t, io.EOF, c.Err)
}

func TestRelayLeavesTheViewersConnectionToItsOwner(t *testing.T) {
	why := errors.New("stopped")
	x := watch(t, &Relay{})
	// The viewer takes nothing: a write to it is under way when the end comes.
	x.server.sends(update(rectOf(Rect{0, 0, 100, 100}, EncodingRaw, zeros(40000))))
	x.cancel(why)
	assert.Equal(t, why, x.ends(t))
	go x.conn.Write([]byte("goodbye"))
	x.viewer.gets([]byte("goodbye"))
}

func TestRelayEndsDuringTheHandshakeWithItsContext(t *testing.T) {
	why := errors.New("stopped")
	x := run(t, &Relay{})
	x.viewer.gets([]byte("RFB 003.008\n"))
	x.cancel(why)
	assert.Equal(t, why, x.ends(t))
}

func TestRelayLetsViewersLeaveDuringTheHandshake(t *testing.T) {
	x := run(t, &Relay{})
	x.viewer.gets([]byte("RFB 003.008\n"))
	x.viewer.sends([]byte("RFB"))
	x.viewer.Close()
	assert.NoError(t, x.ends(t))
}

func TestRelayEndsWithAPanic(t *testing.T) {
	x := watch(t, &Relay{OnDrop: func(ClientMessageType) { panic("hook") }})
	x.viewer.sends([]byte{13})
	err := x.ends(t)
	var p *PanicError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, "hook", p.Value)
	assert.Contains(t, string(p.Stack), "drop")
}

// A stuck connection has a call that never returns once it is set to.
type stuck struct {
	net.Conn
	where   string // "Read", "Write" or "Close"
	set     atomic.Bool
	holds   atomic.Bool // a call hangs
	release chan struct{}
}

func (s *stuck) at(where string) {
	if s.where == where && s.set.Load() {
		s.holds.Store(true)
		<-s.release
	}
}

func (s *stuck) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.at("Read")
	return n, err
}

func (s *stuck) Write(p []byte) (int, error) {
	s.at("Write")
	return s.Conn.Write(p)
}

func (s *stuck) Close() error {
	s.at("Close")
	return s.Conn.Close()
}

// Whoever runs a relay hears of the end although the server holds the relay up.
func TestRelayTellsTheEndThatAServerHoldsUp(t *testing.T) {
	ends := make(chan error, 9)
	hold := &stuck{where: "Read", release: make(chan struct{})}
	x := runThrough(t, &Relay{OnEnd: func(err error) { ends <- err }}, func(c net.Conn) net.Conn { hold.Conn = c; return hold })
	x.viewer.view(shown)
	x.server.gets(start(t))
	hold.set.Store(true)
	x.viewer.sends([]byte{99})
	err := result(t, ends)
	require.ErrorIs(t, err, ErrMalformed)
	assert.Empty(t, x.done)
	close(hold.release)
	assert.Equal(t, err, result(t, x.done))
	assert.Empty(t, ends, "it told twice")
}

func TestRelayEndsWithAPanicOfOnEnd(t *testing.T) {
	x := watch(t, &Relay{OnEnd: func(error) { panic("hook") }})
	x.viewer.sends([]byte{99})
	var p *PanicError
	require.ErrorAs(t, x.ends(t), &p)
	assert.Equal(t, "hook", p.Value)
}

func TestRelayRefusesAServerConnOfItsCallersMaking(t *testing.T) {
	conn, _ := pipe(t)
	server, _ := pipe(t)
	err := new(Relay).Run(t.Context(), conn, &ServerConn{Conn: server})
	assert.ErrorContains(t, err, "not made by Connect")
}

func TestRelayGreetsTheServer(t *testing.T) {
	conn, viewer := pipe(t)
	serverConn, server := pipe(t)
	done := background(func() error { return new(Relay).Run(t.Context(), conn, serverConn) })
	server.serve(desktop)
	viewer.view(shown)
	server.gets(start(t))
	viewer.Close()
	assert.NoError(t, result(t, done))
}

func TestRelayTellsTheViewerThatTheServerFailed(t *testing.T) {
	conn, viewer := pipe(t)
	serverConn, server := pipe(t)
	done := background(func() error { return new(Relay).Run(t.Context(), conn, serverConn) })
	server.Close()
	viewer.gets([]byte("RFB 003.008\n"))
	viewer.sends([]byte("RFB 003.008\n"))
	viewer.getsRefusal([]byte{0}, "cannot be captured")
	var c *ConnError
	require.ErrorAs(t, result(t, done), &c)
	assert.Equal(t, FromServer, c.Direction)
}

func TestRelayCarriesManySessions(t *testing.T) {
	var relay Relay
	var wg sync.WaitGroup
	for range 20 {
		x := watch(t, &relay)
		wg.Go(func() {
			x.viewer.sends(noVNC(t, 640, 480))
			x.server.gets(wire(t, SetEncodings{viewed}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
			x.viewer.Close()
			assert.NoError(t, result(t, x.done))
		})
	}
	wg.Wait()
}

// bubble runs f in a synctest bubble with a session that has just begun; the
// test's ends of its connections know no deadlines.
func bubble(t *testing.T, f func(t *testing.T, x *running)) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		require.NoError(t, x.viewer.SetDeadline(time.Time{}))
		require.NoError(t, x.server.SetDeadline(time.Time{}))
		f(t, x)
		x.viewer.Close()
		x.server.Close()
		<-x.done
	})
}

func TestRelaySendsDelayedRequests(t *testing.T) {
	bubble(t, func(t *testing.T, x *running) {
		full := wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}})
		go x.viewer.Write(join(full, full, full))
		begin := time.Now()
		x.server.gets(full, full)
		assert.Zero(t, time.Since(begin))
		x.server.gets(full)
		assert.Equal(t, 500*time.Millisecond, time.Since(begin))
	})
}

func TestRelayReadsAFloodSlowly(t *testing.T) {
	bubble(t, func(t *testing.T, x *running) {
		one := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 1, 1}})
		go func() {
			for range 600 {
				x.viewer.Write(one)
			}
		}()
		begin := time.Now()
		for range 600 {
			x.server.gets(one)
		}
		assert.InDelta(t, 2, time.Since(begin).Seconds(), 0.1)
	})
}

func TestRelayIsPatientWithASilentServerAndViewer(t *testing.T) {
	bubble(t, func(t *testing.T, x *running) {
		time.Sleep(24 * time.Hour)
		x.viewer.sends(wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 1, 1}}))
		x.server.gets(wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 1, 1}}))
		go x.server.sends(update())
		x.viewer.gets(update())
	})
}

func TestRelayWantsMessagesFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		begin := time.Now()
		x.viewer.sends([]byte{4, 1})
		err := <-x.done
		assert.ErrorIs(t, err, ErrLimit)
		assert.Equal(t, messageTimeout, time.Since(begin))
	})
}

func TestRelayGivesUpAServerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		begin := time.Now()
		x.viewer.sends(wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 1, 1}}))
		err := <-x.done
		var c *ConnError
		require.ErrorAs(t, err, &c)
		assert.Equal(t, FromServer, c.Direction)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.GreaterOrEqual(t, time.Since(begin), serverTimeout)
		assert.LessOrEqual(t, time.Since(begin), serverTimeout+serverTimeout/2)
	})
}

func TestRelayGivesUpAViewerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		begin := time.Now()
		x.server.sends(update())
		err := <-x.done
		var c *ConnError
		require.ErrorAs(t, err, &c)
		assert.Equal(t, FromViewer, c.Direction)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.GreaterOrEqual(t, time.Since(begin), viewerTimeout)
		assert.LessOrEqual(t, time.Since(begin), viewerTimeout+viewerTimeout/2)
	})
}

// A deaf connection forgets its deadlines.
type deaf struct{ net.Conn }

func (deaf) SetDeadline(time.Time) error      { return nil }
func (deaf) SetReadDeadline(time.Time) error  { return nil }
func (deaf) SetWriteDeadline(time.Time) error { return nil }

func TestRelayClosesAViewersConnectionThatIgnoresDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, viewer := pipe(t)
		serverConn, server := pipe(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := background(func() error { return new(Relay).Run(ctx, deaf{conn}, serverConn) })
		server.serve(desktop)
		viewer.view(shown)
		server.gets(start(t))
		begin := time.Now()
		cancel()
		assert.Equal(t, context.Canceled, <-done)
		assert.Equal(t, closeTimeout, time.Since(begin))
		viewer.getsEOF()
	})
}
