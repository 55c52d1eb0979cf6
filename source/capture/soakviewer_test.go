package capture

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testviewer"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// A soakKind is a kind of viewer.
type soakKind struct {
	name      string
	encodings []rfb.Encoding
	args      []string
	pointer   bool // the pointer is painted
	sized     bool // it can be told another size
	monitor   bool // it is shown one monitor
	relay     bool // there is a relay between
}

var soakKinds = []soakKind{
	{"Tight without loss", []rfb.Encoding{rfb.EncodingTight, rfb.EncodingCopyRect, rfb.EncodingDesktopSize}, []string{"--pointer=false"}, false, true, false, false},
	{"like noVNC", []rfb.Encoding{
		rfb.EncodingCopyRect, rfb.EncodingTight, rfb.EncodingZRLE, rfb.EncodingHextile, rfb.EncodingRaw, rfb.EncodingQuality0 + 6,
		rfb.EncodingCompress0 + 2, rfb.EncodingDesktopSize, rfb.EncodingLastRect, rfb.EncodingDesktopName,
	}, []string{"--pointer=false"}, false, true, false, false},
	{"ZRLE, the pointer painted", []rfb.Encoding{rfb.EncodingZRLE, rfb.EncodingCopyRect, rfb.EncodingExtendedDesktopSize, rfb.EncodingLastRect}, nil, true, true, false, false},
	{"Hextile, the pointer beside it", []rfb.Encoding{
		rfb.EncodingHextile, rfb.EncodingDesktopSize, rfb.EncodingCursor, rfb.EncodingPointerPos,
	}, nil, false, true, false, false},
	{"Raw of one size", []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingCopyRect}, []string{"--pointer=false"}, false, false, false, false},
	{"one monitor", []rfb.Encoding{
		rfb.EncodingTight, rfb.EncodingQuality0 + 8, rfb.EncodingCopyRect, rfb.EncodingDesktopSize, rfb.EncodingDesktopName,
	}, []string{"--pointer=false", "--monitor", soakMonitor}, false, true, true, false},
	{"through a relay", []rfb.Encoding{
		rfb.EncodingTight, rfb.EncodingZRLE, rfb.EncodingCopyRect, rfb.EncodingDesktopSize, rfb.EncodingExtendedDesktopSize, rfb.EncodingLastRect,
	}, []string{"--pointer=false"}, false, true, false, true},
}

// soakFormats are what viewers ask for.
var soakFormats = []rfb.PixelFormat{
	encode.Format(),
	{BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255, GreenShift: 8, BlueShift: 16},
	{BitsPerPixel: 32, Depth: 24, BigEndian: true, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255, RedShift: 24, GreenShift: 16, BlueShift: 8},
	{BitsPerPixel: 16, Depth: 16, TrueColor: true, RedMax: 31, GreenMax: 63, BlueMax: 31, RedShift: 11, GreenShift: 5},
	{BitsPerPixel: 8, Depth: 8, TrueColor: true, RedMax: 7, GreenMax: 7, BlueMax: 3, GreenShift: 3, BlueShift: 6},
	{BitsPerPixel: 8, Depth: 8}, // a colour map
}

// A soakViewer asks again and again, and has what it was sent.
type soakViewer struct {
	t    *testing.T
	kind soakKind
	run  *running
	buf  []byte
	news chan struct{} // sent to after each update
	gone chan struct{} // closed when it has ended, err being set

	mu      sync.Mutex
	decoder *testviewer.Decoder
	levels  [3][256]uint32 // of the format
	leaving bool
	err     error
	updates int // since they were added to a tally
	bytes   int64
	decoded int // updates
}

func newSoakViewer(t *testing.T, d *testhost.Desktop, kind soakKind) *soakViewer {
	v := &soakViewer{t: t, kind: kind, run: start(t, d, kind.args...), news: make(chan struct{}, 1), gone: make(chan struct{})}
	format := encode.Format()
	if kind.relay {
		v.run, _, _, _ = behindRelay(t, v.run, 10*time.Second)
		format = relayFormat
	}
	v.run.greet(t)
	require.NoError(t, v.run.SetDeadline(time.Time{}))
	v.decoder = testviewer.New(format, v.run.size.X, v.run.size.Y)
	v.setLevels()
	v.run.say(t, &rfb.SetEncodings{Encodings: kind.encodings})
	go v.follow()
	return v
}

// leave ends the viewer, and sees that the child has ended well.
func (v *soakViewer) leave() {
	v.mu.Lock()
	v.leaving = true
	v.mu.Unlock()
	v.run.Close()
	<-v.gone
	require.Equal(v.t, ExitDone, v.run.ends(v.t), v.run.stderr.String())
}

// follow asks for changes and takes them, until the connection ends.
func (v *soakViewer) follow() {
	defer close(v.gone)
	fail := func(err error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !v.leaving {
			v.err = err
		}
	}
	for incremental := false; ; incremental = true {
		if err := v.ask(incremental); err != nil {
			fail(err)
			return
		}
		for update := false; !update; {
			var err error
			if update, err = v.message(); err != nil {
				fail(err)
				return
			}
		}
		select {
		case v.news <- struct{}{}:
		default:
		}
	}
}

func (v *soakViewer) ask(incremental bool) error {
	v.mu.Lock()
	size := rfb.Rect{Width: uint16(v.decoder.Width), Height: uint16(v.decoder.Height)}
	v.mu.Unlock()
	b, err := rfb.AppendMessage(nil, &rfb.FramebufferUpdateRequest{Incremental: incremental, Rect: size})
	if err == nil {
		_, err = v.run.Write(b)
	}
	return err
}

// message takes one message, and reports whether it was an update.
func (v *soakViewer) message() (update bool, err error) {
	at, rects := 0, -1
	for rects != 0 {
		n := 0
		if rects < 0 {
			var m rfb.Message
			if m, n, err = rfb.ParseServerMessage(v.buf); err == nil {
				rects = 0
				if u, ok := m.(*rfb.FramebufferUpdate); ok {
					update, rects = true, int(u.Rectangles)
				}
			}
		} else {
			v.mu.Lock()
			format := v.decoder.Format
			v.mu.Unlock()
			var r rfb.Rectangle
			if r, n, err = rfb.ParseRectangle(v.buf[at:], format); err == nil {
				if rects--; r.Encoding == rfb.EncodingLastRect {
					rects = 0
				}
			}
		}
		switch {
		case err == nil:
			at += n
		case errors.Is(err, io.ErrUnexpectedEOF):
			part := make([]byte, 1<<16)
			if n, err = v.run.r.Read(part); err != nil {
				return false, err
			}
			v.buf = append(v.buf, part[:n]...)
		default:
			return false, err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.decoder.Decode(v.buf[:at])
	v.buf = append(v.buf[:0], v.buf[at:]...)
	v.bytes += int64(at)
	if update {
		v.updates++
		v.decoded++
	}
	return update, err
}

// change asks for another pixel format and for all in it. Nothing must be on its way meanwhile, so it
// isn't for viewers that get the pointer as pixels, whenever it is found. A relay takes its time for it.
func (v *soakViewer) change(rng *rand.Rand) {
	if v.kind.pointer {
		return
	}
	before := v.useAnother(rng)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for v.kind.relay {
		v.mu.Lock()
		there := v.decoded > before
		v.mu.Unlock()
		if there {
			return
		}
		select {
		case <-v.news:
		case <-v.gone:
			require.NoError(v.t, v.err, "%s; the child says %s", v.kind.name, v.run.stderr.String())
			require.FailNow(v.t, "the viewer has gone")
		case <-timeout.C:
			require.FailNow(v.t, "no picture in another format")
		}
	}
}

// useAnother asks for another format, and for all in it. It returns how many updates were decoded before.
func (v *soakViewer) useAnother(rng *rand.Rand) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := soakFormats[rng.IntN(len(soakFormats))]
	v.run.say(v.t, &rfb.SetPixelFormat{Format: f})
	v.decoder.Format = f
	v.setLevels()
	v.run.say(v.t, &rfb.FramebufferUpdateRequest{Rect: rfb.Rect{Width: uint16(v.decoder.Width), Height: uint16(v.decoder.Height)}})
	return v.decoded
}

// setLevels notes what levels of colours are in the format.
func (v *soakViewer) setLevels() {
	for i := range 256 {
		v.levels[0][i] = v.decoder.Quantized(byte(i), 0, 0)
		v.levels[1][i] = v.decoder.Quantized(0, byte(i), 0)
		v.levels[2][i] = v.decoder.Quantized(0, 0, byte(i))
	}
}

// settled waits until the viewer has the screen, without loss.
func (v *soakViewer) settled(s *scene, want *image.RGBA, did string) {
	v.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		wrong, where := v.wrong(s, want)
		if wrong == 0 {
			return
		}
		select {
		case <-v.news:
		case <-v.gone:
			require.NoError(v.t, v.err, "%s; %s; the child says %s", v.kind.name, did, v.run.stderr.String())
			require.FailNow(v.t, "the viewer has gone")
		case <-timeout.C:
			s.keep(v, want)
			require.FailNow(v.t, "wrong pixels", "%s: %d wrong pixels in %v; %s; the child says %s", v.kind.name, wrong, where, did, v.run.stderr.String())
		}
	}
}

// view is the part of the screen that the viewer should be shown.
func (v *soakViewer) view(s *scene) image.Rectangle {
	whole := image.Rectangle{Max: s.size}
	if m := s.monitor.Intersect(whole); v.kind.monitor && !m.Empty() {
		return m
	}
	return whole
}

// wrong counts pixels that aren't the screen's, or came as JPEG.
func (v *soakViewer) wrong(s *scene, want *image.RGBA) (n int, where image.Rectangle) {
	x, y := 0, 0
	if v.kind.pointer {
		var err error
		x, y, err = s.artist.pointer()
		require.NoError(v.t, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	view, d := v.view(s), v.decoder
	size := image.Pt(d.Width, d.Height)
	if v.kind.sized && size != view.Size() {
		return size.X * size.Y, image.Rectangle{Max: size}
	}
	if name := d.Name; v.kind.monitor && name != "" && strings.Contains(name, "is gone") != s.monitor.Intersect(image.Rectangle{Max: s.size}).Empty() {
		return 1, image.Rectangle{}
	}
	near := image.Rect(x-40, y-40, x+41, y+41) // the pointer
	used := d.Used()
	for y := range size.Y {
		for x := range size.X {
			p := image.Pt(x, y).Add(view.Min)
			var c color.RGBA
			if p.In(view) {
				c = want.RGBAAt(p.X, p.Y)
			}
			i := y*size.X + x
			if d.Pixels[i]&used == v.levels[0][c.R]+v.levels[1][c.G]+v.levels[2][c.B] && !d.Lossy[i] || v.kind.pointer && p.In(near) {
				continue
			}
			n++
			where = where.Union(image.Rect(x, y, x+1, y+1))
		}
	}
	return n, where
}

// add adds what the viewer has gone through since the last time.
func (y *tally) add(v *soakViewer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	y.pixels += int64(len(v.decoder.Pixels))
	y.updates, y.bytes = y.updates+v.updates, y.bytes+v.bytes
	y.jpegs, y.copies = y.jpegs+v.decoder.Kinds["tight jpeg"], y.copies+v.decoder.Rects[rfb.EncodingCopyRect]
	v.updates, v.bytes = 0, 0
	clear(v.decoder.Kinds)
	clear(v.decoder.Rects)
}

// picture is what the viewer has.
func (v *soakViewer) picture() image.Image {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := image.NewRGBA(image.Rect(0, 0, v.decoder.Width, v.decoder.Height))
	for i, p := range v.decoder.Pixels {
		c := v.decoder.Parts(p)
		m.SetRGBA(i%v.decoder.Width, i/v.decoder.Width, color.RGBA{uint8(c[0]), uint8(c[1]), uint8(c[2]), 255})
	}
	return m
}

func keepPicture(t *testing.T, name string, m image.Image) {
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, png.Encode(f, m))
	fmt.Println("soak: see", name)
}
