package rfb

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A taken is a viewer's connection that has what comes taken where it is read, as wsproxy's.
type taken struct {
	net.Conn
	rest  []byte
	calls atomic.Int32 // of take
	times atomic.Int32 // that Consume was called
}

func (c *taken) Consume(take func([]byte) int) {
	c.times.Add(1)
	buf := make([]byte, 1<<16)
	for {
		if len(c.rest) > 0 {
			p := c.rest
			done := make(chan int)
			go func() { done <- take(p) }() // not in the caller's goroutine
			n := <-done
			c.calls.Add(1)
			if c.rest = p[n:]; n < len(p) {
				return
			}
		}
		n, err := c.Conn.Read(buf)
		if c.rest = append([]byte(nil), buf[:n]...); err != nil {
			return
		}
	}
}

func (c *taken) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// settles is a server's connection whose calls end by deadlines, as a socket's.
type settles struct{ net.Conn }

func (settles) SetReadLowat(int) error { return nil }

// consumed starts a relay whose viewer's connection is a consumer, and shows it a desktop.
func consumed(t *testing.T, r *Relay, server func(net.Conn) net.Conn) (*running, *taken) {
	t.Helper()
	conn, viewer := pipe(t)
	serverConn, peer := pipe(t)
	var c *ServerConn
	greeted := background(func() (err error) { c, err = Connect(t.Context(), serverConn); return err })
	peer.serve(desktop)
	require.NoError(t, result(t, greeted))
	c.Conn = server(c.Conn)
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	in := &taken{Conn: conn}
	x := &running{viewer, peer, in, cancel, background(func() error { return r.Run(ctx, in, c) })}
	viewer.view(shown)
	peer.gets(start(t))
	return x, in
}

func kernels(c net.Conn) net.Conn { return settles{c} }

// What a viewer sends is filtered where it is read, however much of it has to wait.
func TestViewerIsConsumed(t *testing.T) {
	var drops atomic.Int32
	x, in := consumed(t, &Relay{OnDrop: func(ClientMessageType) { drops.Add(1) }}, kernels)
	x.viewer.sends(noVNC(t, 640, 480))
	x.server.gets(wire(t, SetEncodings{viewed}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	wait := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
	for range 5 {
		x.viewer.sends(wait)
		x.server.gets(wait)
		x.viewer.sends(unhex(t, "05 00 0001 0002"))
	}
	x.viewer.sends(wait[:3])
	x.viewer.sends(wait[3:])
	x.server.gets(wait)
	require.EqualValues(t, 5, drops.Load())
	assert.GreaterOrEqual(t, in.calls.Load(), int32(5))
	assert.EqualValues(t, 1, in.times.Load(), "nothing had to wait")

	// More than messageRate lets through waits, and what doesn't fit is read as ever.
	const many = 500
	go func() {
		for range many {
			x.viewer.sends(wait)
		}
	}()
	for range many {
		x.server.gets(wait)
	}
	assert.Greater(t, in.times.Load(), int32(1))
	x.viewer.Close()
	require.NoError(t, x.ends(t))
}

// What a viewer isn't to send ends the session, and so does a panic: nobody else would catch it where the viewer is read.
func TestConsumedViewerEndsTheSession(t *testing.T) {
	x, _ := consumed(t, &Relay{}, kernels)
	x.viewer.sends([]byte{213})
	assert.ErrorContains(t, x.ends(t), "has no known length")

	x, _ = consumed(t, &Relay{OnDrop: func(ClientMessageType) { panic("oops") }}, kernels)
	x.viewer.sends(unhex(t, "05 00 0001 0002"))
	_, ok := errors.AsType[*PanicError](x.ends(t))
	assert.True(t, ok)

	x, _ = consumed(t, &Relay{}, kernels)
	over := errors.New("over")
	x.cancel(over)
	assert.ErrorIs(t, x.ends(t), over)

	x, _ = consumed(t, &Relay{}, kernels)
	x.server.Close()
	assert.Error(t, result(t, x.done))
}

// A server whose calls may ignore their deadlines isn't waited for where the viewer is read.
func TestUnboundedServerIsWaitedForElsewhere(t *testing.T) {
	for name, server := range map[string]func(net.Conn) net.Conn{
		"no socket":  func(c net.Conn) net.Conn { return c },
		"not as one": func(c net.Conn) net.Conn { return unsettles{c} },
	} {
		t.Run(name, func(t *testing.T) {
			x, in := consumed(t, &Relay{}, server)
			wait := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
			x.viewer.sends(wait)
			x.server.gets(wait)
			assert.Zero(t, in.times.Load())
		})
	}
}

type unsettles struct{ net.Conn }

func (unsettles) SetReadLowat(int) error { return os.ErrInvalid }

// A pause takes the viewer over in the middle of a message.
func TestConsumedViewerIsPaused(t *testing.T) {
	p := &Pauser{
		Draw: func(width, height uint16, _ PixelFormat, _ []Encoding) []byte { return []byte{2} },
		Open: func(context.Context) (*ServerConn, error) { return nil, errors.New("no other server") },
	}
	paused := make(chan bool, 4)
	p.Changed = func(on bool) { paused <- on }
	x, _ := consumed(t, &Relay{Pauser: p}, kernels)
	wait := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
	x.viewer.sends(wait)
	x.server.gets(wait)
	x.viewer.sends(wait[:4])
	p.Set(true)
	x.viewer.gets([]byte{2})
	assert.True(t, <-paused)
	x.viewer.sends(wait[4:]) // the rest is the cover's
	p.Set(false)
	err := result(t, x.done)
	assert.ErrorContains(t, err, "no other server")
}
