package rfb

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// takes takes a sign of life that the server is asked for, and returns its answer.
func (x *running) takesSign(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, framebufferUpdateRequestLen)
	_, err := io.ReadFull(x.server, b)
	require.NoError(t, err)
	var m FramebufferUpdateRequest
	require.NoError(t, ReadMessage(b, &m))
	require.False(t, m.Incremental)
	require.Equal(t, [2]uint16{1, 1}, [2]uint16{m.Rect.Width, m.Rect.Height})
	return update(rectOf(m.Rect, EncodingRaw, zeros(4)))
}

// A server that has stopped is told from one that has nothing to show. The viewer sees nothing of that.
func TestServerThatStops(t *testing.T) {
	x := watch(t, &Relay{ServerTimeout: 50 * time.Millisecond})
	wait := wire(t, FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}})
	x.viewer.sends(wait)
	x.server.gets(wait)

	// It has nothing to show, and says so as often as it is asked. What the viewer waits for is asked once more,
	// for the pixel may have been sent in its place.
	for range 3 {
		x.server.sends(x.takesSign(t))
		x.server.gets(wait)
	}
	picture := update(rectOf(Rect{0, 0, 10, 10}, EncodingRaw, zeros(400)))
	x.server.sends(picture)
	x.viewer.gets(picture)
	x.takesSign(t)
	err := x.ends(t)
	p, ok := errors.AsType[*ProtocolError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, FromServer, p.Direction)
	assert.ErrorContains(t, err, "no answer to a request for 50ms")
}

// A filter and a walker without connections between them.
type halves struct {
	t   *testing.T
	a   *agreed
	f   *clientFilter
	w   *walker
	now time.Time
}

func newHalves(t *testing.T) *halves {
	a := newAgreed(640, 480)
	h := &halves{t: t, a: a, f: newClientFilter(a, false, nil, 0), w: newWalker(a, pinned, 0), now: epoch}
	h.f.out = h.f.out[:0]
	return h
}

// say is what the server gets when the viewer says something.
func (h *halves) say(messages ...Message) []byte {
	var in []byte
	for _, m := range messages {
		in = append(in, wire(h.t, m)...)
	}
	_, err := h.f.feed(h.now, in)
	require.NoError(h.t, err)
	out := bytes.Clone(h.f.out)
	h.f.out = h.f.out[:0]
	return out
}

// show is what the viewer gets when the server sends something.
func (h *halves) show(b []byte) []byte {
	h.a.turn.heard.Add(1)
	p, err := h.w.walk(bytes.Clone(b))
	require.NoError(h.t, err)
	p = join(h.w.late, p)
	h.w.late = nil
	return p
}

// asksForSign has the server asked for a sign of life and returns its answer in some encoding.
func (h *halves) asksForSign(e Encoding, body []byte) []byte {
	require.True(h.t, h.f.sign())
	var m FramebufferUpdateRequest
	require.NoError(h.t, ReadMessage(h.f.out, &m))
	h.f.out = h.f.out[:0]
	return update(rectOf(m.Rect, e, body))
}

// Servers answer a sign of life and the request that has waited by one update. The relay knows all the same when
// nothing is under way, so that a viewer's new format holds at once.
func TestSignOfLifeIsCounted(t *testing.T) {
	whole := Rect{0, 0, 640, 480}
	wait := FramebufferUpdateRequest{true, whole}
	low := PixelFormat{8, 8, false, true, 7, 7, 3, 0, 3, 6}
	picture := update(rectOf(Rect{0, 0, 2, 2}, EncodingRaw, zeros(16)))

	h := newHalves(t)
	h.say(&SetEncodings{[]Encoding{EncodingTight, EncodingRaw}}, &wait)
	for range 20 {
		answer := h.asksForSign(EncodingRaw, zeros(4))
		for i := range answer {
			assert.Empty(t, h.show(answer[i:i+1]), "the viewer is shown nothing")
		}
		assert.Equal(t, wire(t, wait), h.say(), "what it waits for is asked once more")
	}
	assert.Equal(t, picture, h.show(picture))
	assert.True(t, h.a.turn.quiet())
	assert.Equal(t, join(wire(t, SetPixelFormat{low}), wire(t, wait)), h.say(&SetPixelFormat{low}, &wait))
	small := update(rectOf(Rect{0, 0, 2, 2}, EncodingRaw, zeros(4)))
	assert.Equal(t, small, h.show(small))

	// What is compressed is shown: it may be needed for what follows. Then the viewer asks by itself.
	h = newHalves(t)
	h.say(&SetEncodings{[]Encoding{EncodingZRLE, EncodingRaw}}, &wait)
	packed := h.asksForSign(EncodingZRLE, join(u32(3), zeros(3)))
	assert.Equal(t, packed, h.show(packed))
	assert.Empty(t, h.say())
	assert.True(t, h.a.turn.quiet())

	// An update that was under way already counts for itself, and the sign's for what was asked before it.
	h = newHalves(t)
	h.say(&SetEncodings{[]Encoding{EncodingRaw}}, &wait)
	answer := h.asksForSign(EncodingRaw, zeros(4))
	assert.Equal(t, picture, h.show(picture))
	assert.Equal(t, wire(t, wait), h.say(&wait))
	assert.False(t, h.a.turn.quiet())
	assert.Empty(t, h.show(answer))
	assert.False(t, h.a.turn.quiet(), "the second request may not have been read")
	assert.Equal(t, wire(t, wait), h.say())

	// A viewer that wants that very pixel gets it.
	h = newHalves(t)
	h.say(&SetEncodings{[]Encoding{EncodingRaw}}, &wait)
	answer = h.asksForSign(EncodingRaw, zeros(4))
	h.say(&FramebufferUpdateRequest{Rect: parseRect(answer[4:])})
	assert.Equal(t, answer, h.show(answer))

	// One that is answered late is still the relay's own.
	h = newHalves(t)
	h.say(&SetEncodings{[]Encoding{EncodingRaw}}, &wait)
	answer = h.asksForSign(EncodingRaw, zeros(4))
	next := h.asksForSign(EncodingRaw, zeros(4))
	assert.NotEqual(t, answer, next)
	assert.Empty(t, h.show(answer))
	assert.Equal(t, wire(t, wait), h.say())
	assert.Empty(t, h.show(next))
	assert.Equal(t, wire(t, wait), h.say())
	assert.Equal(t, picture, h.show(picture))
	assert.False(t, h.a.turn.quiet(), "never too few: the last may not have been read")
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
	assert.Equal(t, wire(t, FramebufferUpdateRequest{Rect: Rect{80, 60, 1, 1}}), f.out)
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
