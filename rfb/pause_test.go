package rfb

import (
	"context"
	"os"
	"testing"

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
	x.running = run(t, &Relay{Pauser: x.p})
	x.viewer.view(shown)
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
	want, _ := ViewOnly.encodings(nil, stateless(listOf(viewed)), false, true)
	assert.NotContains(t, want, EncodingZRLE)
	server.gets(start(t), wire(t, SetEncodings{want}), wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}))
	x.viewer.sends(half[3:])
	server.gets(half)
	tight := func(control byte) []byte { return rectOf(Rect{0, 0, 2, 2}, EncodingTight, []byte{control, 1, 2, 3}) }
	go server.sends(update(tight(0x80)), update(tight(0x80), tight(0x80)))
	x.viewer.gets(update(tight(0x8f)), update(tight(0x80), tight(0x80)))

	x.p.Set(true)
	x.viewer.gets(cover)
	server.getsEOF()
	x.viewer.Close()
	assert.NoError(t, result(t, x.done), "a viewer may leave during a pause")
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
	assert.Equal(t, FromViewer, c.Direction)
	assert.Empty(t, x.changed)
}

// A viewer that comes during a pause sees nothing of the screen.
func TestPauseFromTheBeginning(t *testing.T) {
	x := pausing(t, func(p *Pauser) { p.Set(true) })
	x.server.getsEOF()
	x.viewer.gets(covering(pinned, nil))
	x.viewer.sends(wire(t, SetPixelFormat{PixelFormat{BitsPerPixel: 16, Depth: 16, TrueColor: true, RedMax: 31, GreenMax: 63, BlueMax: 31, RedShift: 11, GreenShift: 5}}))
	x.viewer.gets(covering(PixelFormat{BitsPerPixel: 16}, nil))
	x.p.Set(false)
	server := <-x.next
	server.gets(start(t))
	x.cancel(context.Canceled)
	assert.ErrorIs(t, result(t, x.done), context.Canceled)
}
