package rfb

import (
	"context"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A pauses is a relay whose session is paused, and its next server.
type pauses struct {
	*running
	p       *Pauser
	changed chan bool
	next    chan *peer // our end of the server that is opened
}

// covering is what is shown during a pause.
func covering(format PixelFormat, list []Encoding) []byte {
	return update(rectOf(Rect{0, 0, 2, 2}, EncodingRaw, []byte{byte(len(list)), format.BitsPerPixel, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}))
}

func pausing(t *testing.T, before func(p *Pauser)) *pauses {
	t.Helper()
	x := pausable(t, before, func(c net.Conn) net.Conn { return c })
	x.viewer.view(shown)
	return x
}

// pausable is pausing before the viewer's handshake, with something around the server's connection.
func pausable(t *testing.T, before func(p *Pauser), around func(net.Conn) net.Conn, onEnd ...func(error)) *pauses {
	t.Helper()
	x := &pauses{changed: make(chan bool, 9), next: make(chan *peer, 9)}
	x.p = &Pauser{
		Draw:    func(_, _ uint16, format PixelFormat, list []Encoding) []byte { return covering(format, list) },
		Changed: func(paused bool) { x.changed <- paused },
		Open: func(ctx context.Context) (*ServerConn, error) {
			conn, server := pipe(t)
			var c *ServerConn
			greeted := background(func() (err error) { c, err = Connect(ctx, conn); return err })
			server.serve(desktop)
			if err := result(t, greeted); err != nil {
				return nil, err
			}
			x.next <- server
			return c, nil
		},
	}
	if before != nil {
		before(x.p)
	}
	r := &Relay{Pauser: x.p}
	for _, r.OnEnd = range onEnd {
	}
	x.running = runThrough(t, r, around)
	return x
}

// During a pause the viewer sees what is drawn and not a pixel of the screen, whose server is closed.
// Then it sees all of a fresh server's, in encodings that need nothing of what came before.
func TestPause(t *testing.T) {
	x := pausing(t, nil)
	x.server.gets(start(t))
	x.viewer.sends(noVNC(t, 640, 480))
	x.server.gets(wire(t, SetEncodings{viewed}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	picture := update(rectOf(Rect{0, 0, 100, 100}, EncodingRaw, zeros(40000)))
	go x.server.sends(picture)
	x.viewer.gets(picture)

	x.p.Set(true)
	cover := covering(pinned, []Encoding{EncodingHextile})
	x.viewer.gets(cover)
	assert.True(t, <-x.changed)
	x.server.getsEOF()
	x.viewer.sends(wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}}), unhex(t, "04 01 0000 0000ff0d"))
	x.viewer.sends(wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	x.viewer.gets(cover)
	half := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
	x.viewer.sends(half[:3])

	x.p.Set(false)
	server := <-x.next
	assert.False(t, <-x.changed)
	want, _ := asksFor(nil, stateless(listOf(viewed), false), false, true)
	assert.NotContains(t, want, EncodingZRLE)
	assert.NotContains(t, want, EncodingTight)
	server.gets(start(t), wire(t, SetEncodings{want}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	x.viewer.sends(half[3:])
	server.gets(half)
	go server.sends(picture)
	x.viewer.gets(picture)

	x.p.Set(true)
	x.viewer.gets(cover)
	server.getsEOF()
	x.viewer.Close()
	assert.NoError(t, result(t, x.done), "a viewer may leave during a pause")
}

// A viewer that understands it is told another name during a pause, and its own afterwards, also if it has come during
// the pause.
func TestPauseIsInTheName(t *testing.T) {
	asks := wire(t, SetEncodings{[]Encoding{EncodingRaw, EncodingDesktopName}})
	named := func(name string) []byte {
		return append(unhex(t, "00 00 0001 0000 0000 0000 0000 fffffecd"), append(u32(uint32(len(name))), name...)...)
	}
	t.Run("in the middle", func(t *testing.T) {
		x := pausing(t, func(p *Pauser) { p.Mark = " (paused)" })
		x.server.gets(start(t))
		x.viewer.sends(asks)
		x.server.gets(asks)
		x.p.Set(true)
		x.viewer.gets(named(shown.Name+" (paused)"), covering(pinned, nil))
		assert.True(t, <-x.changed)
		x.viewer.sends(wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
		x.viewer.gets(covering(pinned, nil))
		x.p.Set(false)
		server := <-x.next
		x.viewer.gets(named(shown.Name))
		assert.False(t, <-x.changed)
		server.gets(start(t), asks)
		x.viewer.Close()
		assert.NoError(t, result(t, x.done))
	})
	t.Run("at the beginning", func(t *testing.T) {
		x := pausable(t, func(p *Pauser) { p.Mark = " (paused)"; p.Set(true) }, func(c net.Conn) net.Conn { return c })
		x.viewer.view(shown)
		x.viewer.gets(covering(pinned, nil))
		assert.True(t, <-x.changed)
		x.viewer.sends(asks, wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
		x.viewer.gets(named(shown.Name+" (paused)"), covering(pinned, nil))
		x.viewer.Close()
		assert.NoError(t, result(t, x.done))
	})
}

// A server that begins Tight's streams anew with each rectangle is asked for that, and for Tight.
func TestPauseKeepsTight(t *testing.T) {
	x := pausing(t, func(p *Pauser) {
		open := p.Open
		p.Open = func(ctx context.Context) (*ServerConn, error) {
			c, err := open(ctx)
			if err == nil {
				c.FreshStreams = true
			}
			return c, err
		}
	})
	x.server.gets(start(t))
	x.viewer.sends(noVNC(t, 640, 480))
	x.server.gets(wire(t, SetEncodings{viewed}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	x.p.Set(true)
	x.viewer.gets(covering(pinned, []Encoding{EncodingHextile}))
	assert.True(t, <-x.changed)
	x.server.getsEOF()
	x.p.Set(false)
	server := <-x.next
	assert.False(t, <-x.changed)
	want, _ := asksFor(nil, stateless(listOf(viewed), true), false, true)
	assert.Contains(t, want, EncodingTight)
	assert.NotContains(t, want, EncodingZRLE)
	want = append(want, EncodingFreshStreams)
	server.gets(start(t), wire(t, SetEncodings{want}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	x.viewer.Close()
	assert.NoError(t, result(t, x.done))
}

func listOf(all []Encoding) (b []byte) {
	for _, e := range all {
		b = append(b, u32(uint32(e))...)
	}
	return b
}

// An update that is under way ends first; nothing behind it passes.
func TestPauseWithinAnUpdate(t *testing.T) {
	x := pausing(t, nil)
	x.server.gets(start(t))
	picture := update(rectOf(Rect{0, 0, 10, 10}, EncodingRaw, zeros(400)))
	go x.server.sends(picture[:200])
	x.viewer.gets(picture[:200])
	x.p.Set(true)
	go x.server.sends(picture[200:])
	x.viewer.gets(picture[200:], covering(pinned, nil))
	assert.True(t, <-x.changed)
	x.server.getsEOF()
}

// An update that doesn't end holds up no pause: the viewer is cut off.
func TestPauseCutsOff(t *testing.T) {
	x := pausing(t, nil)
	x.server.gets(start(t))
	picture := update(rectOf(Rect{0, 0, 10, 10}, EncodingRaw, zeros(400)))
	go x.server.sends(picture[:200])
	x.viewer.gets(picture[:200])
	x.p.Set(true)
	err := result(t, x.done)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var c *ConnError
	require.ErrorAs(t, err, &c)
	assert.Equal(t, FromServer, c.Direction)
	assert.Empty(t, x.changed)
}

// Nor does a viewer that doesn't take its update.
func TestPauseCutsOffAViewer(t *testing.T) {
	x := pausing(t, nil)
	x.server.gets(start(t))
	picture := update(rectOf(Rect{0, 0, 10, 10}, EncodingRaw, zeros(400)))
	x.server.sends(picture)
	x.viewer.gets(picture[:1]) // the relay writes
	x.p.Set(true)
	err := result(t, x.done)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var c *ConnError
	require.ErrorAs(t, err, &c)
	assert.Equal(t, FromViewer, c.Direction)
	assert.Empty(t, x.changed)
}

// A server whose calls don't return holds up no pause: the session is over, and who runs it hears of that.
func TestPauseThatAServerHoldsUp(t *testing.T) {
	for _, where := range []string{"Read", "Write", "Close"} {
		t.Run(where, func(t *testing.T) {
			ends := make(chan error, 9)
			hold := &stuck{where: where, release: make(chan struct{})}
			x := pausable(t, nil, func(c net.Conn) net.Conn { hold.Conn = c; return hold }, func(err error) { ends <- err })
			x.viewer.view(shown)
			x.server.gets(start(t))
			hold.set.Store(true)
			if where == "Write" {
				x.viewer.sends([]byte{byte(ClientFramebufferUpdateRequest), 1, 0, 0, 0, 0, 0, 1, 0, 1})
				require.Eventually(t, hold.holds.Load, waitFor, time.Millisecond)
			}
			x.p.Set(true)
			err := result(t, ends)
			var c *ConnError
			require.ErrorAs(t, err, &c)
			assert.Equal(t, FromServer, c.Direction)
			assert.Empty(t, x.done)
			close(hold.release)
			assert.Equal(t, err, result(t, x.done))
			assert.Empty(t, ends, "it told twice")
			assert.Empty(t, x.changed)
		})
	}
}

// A readConn counts who wants to read from it.
type readConn struct {
	net.Conn
	reads atomic.Int32
}

func (c *readConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}

// Of the server that a viewer finds who comes during a pause nobody reads anything, whatever it has to show already.
func TestPauseFromTheBeginning(t *testing.T) {
	var read *readConn
	x := pausable(t, func(p *Pauser) { p.Set(true) }, func(c net.Conn) net.Conn { read = &readConn{Conn: c}; return read })
	offered := background(func() error {
		_, err := x.server.Write(update(rectOf(Rect{0, 0, 100, 100}, EncodingRaw, zeros(40000))))
		return err
	})
	x.viewer.view(shown)
	x.viewer.gets(covering(pinned, nil))
	assert.True(t, <-x.changed)
	assert.ErrorIs(t, result(t, offered), io.ErrClosedPipe)
	assert.Zero(t, read.reads.Load())
	x.server.getsEOF()
	x.viewer.sends(wire(t, SetPixelFormat{PixelFormat{BitsPerPixel: 16, Depth: 16, TrueColor: true, RedMax: 31, GreenMax: 63, BlueMax: 31, RedShift: 11, GreenShift: 5}}))
	x.viewer.gets(covering(PixelFormat{BitsPerPixel: 16}, nil))
	x.p.Set(false)
	server := <-x.next
	assert.False(t, <-x.changed)
	server.gets(start(t))
	x.cancel(context.Canceled)
	assert.ErrorIs(t, result(t, x.done), context.Canceled)
}

// A screen that has another size after a pause can't be shown to a viewer that doesn't understand that: it is no
// viewer that has left.
func TestPauseAndAnotherSize(t *testing.T) {
	x := pausing(t, func(p *Pauser) {
		p.Open = func(ctx context.Context) (*ServerConn, error) {
			conn, server := pipe(t)
			var c *ServerConn
			greeted := background(func() (err error) { c, err = Connect(ctx, conn); return err })
			larger := desktop
			larger.Width++
			server.serve(larger)
			return c, result(t, greeted)
		}
	})
	x.server.gets(start(t))
	x.p.Set(true)
	x.viewer.gets(covering(pinned, nil))
	x.p.Set(false)
	var c *ConnError
	err := result(t, x.done)
	require.ErrorAs(t, err, &c)
	assert.Equal(t, FromServer, c.Direction)
	assert.ErrorContains(t, err, "the screen's size has changed during a pause")
}
