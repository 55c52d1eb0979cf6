package rfb

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onePixel is what a server has to answer at once.
var onePixel = FramebufferUpdateRequest{Rect: Rect{0, 0, 1, 1}}

// A server that has stopped is told from one that has nothing to show.
func TestServerThatStops(t *testing.T) {
	x := watch(t, &Relay{ServerTimeout: 50 * time.Millisecond})
	wait := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
	x.viewer.sends(wait)
	x.server.gets(wait)

	// It has nothing to show, and says so as often as it is asked.
	pixel := update(rectOf(Rect{0, 0, 1, 1}, EncodingRaw, zeros(4)))
	for range 3 {
		x.server.gets(wire(t, onePixel))
		x.server.sends(pixel)
		x.viewer.gets(pixel)
	}
	x.server.gets(wire(t, onePixel))
	err := x.ends(t)
	p, ok := errors.AsType[*ProtocolError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, FromServer, p.Direction)
	assert.ErrorContains(t, err, "no answer to a request for 50ms")
}

// Nothing is asked of a server before its viewer has asked for something.
func TestServerIsLeftAloneBefore(t *testing.T) {
	f := newClientFilter(newAgreed(640, 480), false, nil, 0)
	f.out = f.out[:0]
	assert.False(t, f.sign())
	assert.Empty(t, f.out)
	_, err := f.feed(epoch, wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}}))
	require.NoError(t, err)
	f.out = f.out[:0]
	assert.True(t, f.sign())
	assert.Equal(t, wire(t, onePixel), f.out)
}

// A viewer that takes nothing holds back the server, which isn't to blame.
func TestServerThatIsHeldBack(t *testing.T) {
	x := watch(t, &Relay{ServerTimeout: 20 * time.Millisecond})
	wait := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
	x.viewer.sends(wait)
	x.server.gets(wait)
	picture := update(rectOf(Rect{0, 0, 640, 480}, EncodingRaw, zeros(640*480*4)))
	sent := background(func() error {
		for range 8 { // more than the connections hold
			if _, err := x.server.Write(picture); err != nil {
				return err
			}
		}
		return nil
	})
	select {
	case err := <-x.done:
		require.FailNow(t, "ended", "%v", err)
	case <-time.After(500 * time.Millisecond): // many times the patience
	}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			if _, err := x.viewer.Read(buf); err != nil {
				return
			}
		}
	}()
	require.NoError(t, result(t, sent))
}
