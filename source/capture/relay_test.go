package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testviewer"
	"vda.internal/shadow/rfb"
)

// A tap is a connection that remembers what is written to it.
type tap struct {
	net.Conn
	mu      sync.Mutex
	written []byte
}

func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.written = append(c.written, p...)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *tap) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.written)
}

// A relayed is a viewer behind a relay, before a child that captures.
type relayed struct {
	*soakViewer
	d     *testhost.Desktop
	up    *tap // to the child
	down  *tap // to the viewer
	ended chan error
}

// errSlow is that the child had no time to answer the relay.
var errSlow = errors.New("this machine is too slow for so short a silence")

// mindsSlowness panics with errSlow if that has happened.
func (v *relayed) mindsSlowness() {
	select {
	case err := <-v.ended:
		if errors.Is(err, rfb.ErrTimeout) {
			panic(errSlow)
		}
		v.ended <- err
	default:
	}
}

// use has all that comes read in a format.
func (v *relayed) use(f rfb.PixelFormat) {
	v.decoder.Format = f
	v.setLevels()
}

// clientHandshake is how many bytes a client writes before its first message.
const clientHandshake = 12 + 1 + 1

// behindRelay is a viewer's side of child, behind a relay that asks for a sign of life after so long a silence.
// Its end is sent to ended.
func behindRelay(t *testing.T, child *running, silence time.Duration) (r *running, up, down *tap, ended chan error) {
	t.Helper()
	near, far := net.Pipe()
	up, down, ended = &tap{Conn: child.Conn}, &tap{Conn: far}, make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := (&rfb.Relay{ServerTimeout: silence}).Run(context.Background(), down, up)
		ended <- err
		if far.Close(); err != nil {
			t.Logf("the relay: %v", err)
		}
	})
	t.Cleanup(func() { near.Close(); wg.Wait() })
	r = &running{Conn: near, r: bufio.NewReaderSize(near, 1<<16), proc: child.proc, stderr: child.stderr}
	require.NoError(t, r.SetDeadline(time.Now().Add(patience)))
	return r, up, down, ended
}

// throughRelay watches d through a relay.
func throughRelay(t *testing.T, d *testhost.Desktop, encodings []rfb.Encoding, silence time.Duration) *relayed {
	t.Helper()
	r, up, down, ended := behindRelay(t, start(t, d, "--pointer=false"), silence)
	r.greet(t)
	v := &relayed{d: d, up: up, down: down, ended: ended}
	v.soakViewer = &soakViewer{t: t, kind: soakKind{sized: true}, run: r, decoder: testviewer.New(relayFormat, r.size.X, r.size.Y)}
	v.setLevels()
	r.say(t, &rfb.SetEncodings{Encodings: encodings})
	return v
}

// said are the messages that the child has got as a whole, from a byte on.
func (v *relayed) said(from int) (all []rfb.Message) {
	v.up.mu.Lock()
	defer v.up.mu.Unlock()
	for b := v.up.written[from:]; len(b) > 0; {
		m, n, err := rfb.ParseClientMessage(b)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break // it is being said
		}
		require.NoError(v.t, err)
		all, b = append(all, m), b[n:]
	}
	return all
}

// says waits until the child has got messages of a kind, from a byte on, or the viewer gets anything.
func says[M rfb.Message](v *relayed, from, times int) {
	v.t.Helper()
	got := v.down.size()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		v.mindsSlowness()
		n := 0
		for _, m := range v.said(from) {
			if _, ok := m.(M); ok {
				n++
			}
		}
		if n >= times || v.down.size() > got {
			return
		}
		require.True(v.t, time.Now().Before(deadline), "%d messages in the end", n)
	}
}

// update takes one update, in the viewer's format.
func (v *relayed) update() {
	v.t.Helper()
	for update := false; !update; {
		var err error
		if update, err = v.message(); err != nil {
			v.run.Close() // so that the relay's end is there
			v.ended <- <-v.ended
			v.mindsSlowness()
		}
		require.NoError(v.t, err, v.run.stderr.String())
	}
}

// asks sends messages, and the request for what changes behind them, at once.
func (v *relayed) asks(messages ...rfb.Message) {
	v.t.Helper()
	whole := rfb.Rect{Width: uint16(v.decoder.Width), Height: uint16(v.decoder.Height)}
	var b []byte
	for _, m := range append(messages, &rfb.FramebufferUpdateRequest{Incremental: true, Rect: whole}) {
		var err error
		b, err = rfb.AppendMessage(b, m)
		require.NoError(v.t, err)
	}
	v.run.write(v.t, b)
}

// shows takes updates until the screen's pixels are there, and asks for the next after each but the last.
func (v *relayed) shows() {
	v.t.Helper()
	want, err := v.d.Screenshot(v.t.Context())
	require.NoError(v.t, err)
	for {
		v.update()
		if n, _ := v.wrong(&scene{size: want.Rect.Size()}, want); n == 0 {
			return
		}
		v.asks()
	}
}

// relayFormat is a relay's until its viewer wants another.
var relayFormat = rfb.PixelFormat{BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255, GreenShift: 8, BlueShift: 16}

// lowColor is what viewers want over slow lines.
var lowColor = rfb.PixelFormat{BitsPerPixel: 8, Depth: 8, TrueColor: true, RedMax: 7, GreenMax: 7, BlueMax: 3, GreenShift: 3, BlueShift: 6}

// A viewer behind a relay that changes its pixel format reads all that comes then in the new one, also after the
// screen has been still, and while it is: what the relay has to ask for meanwhile it isn't shown. While nothing happens it
// gets no byte.
func TestFormatBehindARelay(t *testing.T) {
	for name, encodings := range map[string][]rfb.Encoding{
		"Raw":     {rfb.EncodingRaw},
		"Tight":   {rfb.EncodingTight, rfb.EncodingCopyRect, rfb.EncodingLastRect, rfb.EncodingDesktopSize, rfb.EncodingExtendedDesktopSize},
		"ZRLE":    {rfb.EncodingZRLE, rfb.EncodingDesktopSize},
		"Hextile": {rfb.EncodingHextile, rfb.EncodingPointerPos},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 240})
			for silence := 100 * time.Millisecond; !changeFormats(t, d, encodings, silence); silence *= 4 {
				require.Less(t, silence, patience)
			}
		})
	}
}

// changeFormats reports false if so short a silence is too short on this machine.
func changeFormats(t *testing.T, d *testhost.Desktop, encodings []rfb.Encoding, silence time.Duration) (ok bool) {
	defer func() {
		if v := recover(); v != nil && v != errSlow {
			panic(v)
		}
	}()
	colors := 0
	paint := func() {
		colors++
		require.NoError(t, d.SetRoot(t.Context(), fmt.Sprintf("#%06x", colors*0x254381&0xffffff)))
	}
	paint()
	v := throughRelay(t, d, encodings, silence)
	v.run.say(t, &rfb.FramebufferUpdateRequest{Rect: rfb.Rect{Width: 320, Height: 240}})
	v.shows()

	// Between two updates, of a screen that has been still.
	between := func(format rfb.PixelFormat) {
		v.asks()
		still, before := v.down.size(), v.up.size()
		says[*rfb.FramebufferUpdateRequest](v, before, 5) // signs of life, and what the viewer waits for
		assert.Equal(t, still, v.down.size(), "the viewer gets bytes of a screen that is still")
		paint()
		v.shows()
		before = v.up.size()
		v.use(format)
		v.asks(&rfb.SetPixelFormat{Format: format})
		says[*rfb.FramebufferUpdateRequest](v, before, 1)
		if _, at := v.said(before)[0].(*rfb.SetPixelFormat); !at && silence < 5*time.Second {
			panic(errSlow) // there was time for another sign of life
		} else {
			assert.True(t, at, "nothing is under way, as the relay knows")
		}
		paint()
		v.shows()
	}
	between(lowColor)
	if slices.Contains(encodings, rfb.EncodingDesktopSize) {
		for _, format := range []rfb.PixelFormat{relayFormat, lowColor} {
			for _, size := range []string{"300x200", "320x240"} {
				_, _ = d.Run(t.Context(), "xrandr", "--fb", size) // says that it failed, and does it
				v.asks()
				v.shows()
			}
			between(format)
		}
	}

	// While a request waits.
	v.asks()
	still, before := v.down.size(), v.up.size()
	says[*rfb.FramebufferUpdateRequest](v, before, 4)
	before = v.up.size()
	v.use(relayFormat)
	v.run.say(t, &rfb.SetPixelFormat{Format: relayFormat})
	says[*rfb.SetPixelFormat](v, before, 1)
	assert.Equal(t, still, v.down.size(), "what the relay has asked for is shown")
	paint()
	v.shows()
	return true
}

// What was asked for anew is sent, and no more, be it less than a tile.
func TestAnewIsExact(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	p := newPainter(t, d, image.Rect(0, 0, 320, 200))
	p.lines(0, 200)
	r := watch(t, d, rawOnly, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	anew := func(r *running, rect image.Rectangle) {
		r.say(t, &rfb.FramebufferUpdateRequest{Rect: wireRect(rect)})
	}
	r.ask(t, true) // which waits, and is answered with it
	for _, rect := range []image.Rectangle{image.Rect(0, 0, 1, 1), image.Rect(63, 63, 65, 65), image.Rect(319, 199, 320, 200)} {
		anew(r, rect)
		assert.Equal(t, []image.Rectangle{rect}, r.update(t))
	}
	// Although the rest of the tile has changed, and is sent to who asks for changes.
	p.fill(image.Rect(0, 0, 40, 40), 0x123456)
	anew(r, image.Rect(5, 5, 6, 6))
	assert.Equal(t, []image.Rectangle{image.Rect(5, 5, 6, 6)}, r.update(t))
	assert.Equal(t, [3]uint8{0x12, 0x34, 0x56}, r.color(5, 5))
	assert.NotEqual(t, [3]uint8{0x12, 0x34, 0x56}, r.color(4, 5))
	r.settled(t, d)

	// Whole tiles and parts of others, once each.
	asked := image.Rect(10, 20, 300, 190)
	anew(r, asked)
	area := 0
	for _, rect := range r.update(t) {
		assert.True(t, rect.In(asked), "%v", rect)
		area += rect.Dx() * rect.Dy()
	}
	assert.Equal(t, asked.Dx()*asked.Dy(), area)

	// Two that are asked for at once are two.
	p.fill(image.Rect(0, 0, 320, 200), 0x654321)
	far := []image.Rectangle{image.Rect(1, 1, 2, 2), image.Rect(310, 190, 311, 191)}
	b, err := rfb.AppendMessage(nil, &rfb.FramebufferUpdateRequest{Rect: wireRect(far[0])})
	require.NoError(t, err)
	b, err = rfb.AppendMessage(b, &rfb.FramebufferUpdateRequest{Rect: wireRect(far[1])})
	require.NoError(t, err)
	r.write(t, b)
	got := r.update(t)
	if len(got) == 1 { // the first was answered before the second was read
		got = append(got, r.update(t)...)
	}
	assert.Equal(t, far, got)
	r.settled(t, d)
}

// Many rectangles that are to be sent anew are few.
func TestAddAnew(t *testing.T) {
	var list []image.Rectangle
	all := image.Rectangle{}
	for i := range 100 {
		r := image.Rect(3*i, 0, 3*i+1, 1)
		all = all.Union(r)
		list = addAnew(list, r)
	}
	assert.Len(t, list, maxAnew)
	covered := image.Rectangle{}
	for _, r := range list {
		covered = covered.Union(r)
	}
	assert.Equal(t, all, covered)
	assert.Equal(t, list, addAnew(list, image.Rect(3, 0, 4, 1)), "it is there")
	assert.Equal(t, []image.Rectangle{all}, addAnew(list, all))
}
