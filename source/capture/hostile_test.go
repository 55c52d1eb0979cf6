package capture

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/rfb"
)

// root is the root window of a painter's screen.
func (p *painter) root() xproto.Window { return xproto.Setup(p.x).DefaultScreen(p.x).Root }

// sayResized has all who listen told that the root window has another place or size, as any client can.
func (p *painter) sayResized() {
	event := xproto.ConfigureNotifyEvent{Event: p.root(), Window: p.root(), Width: 7, Height: 7}
	xproto.SendEvent(p.x, false, p.root(), xproto.EventMaskStructureNotify, string(event.Bytes()))
}

// often is how often the screen's size may be looked at in a time.
func often(d time.Duration) float64 { return float64(d)/float64(resizeGap) + burst + 1 }

const getGeometry = "14"

// However often the X server says that the screen has another size, it is seldom looked at, and nothing is sent of a
// screen that is the same.
func TestResizeStorm(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
	p := newPainter(t, d, image.Rect(0, 0, 100, 100))
	l := &lesser{}
	l.serve(t, d)
	// A viewer that can't be told of a size keeps the one that it knows, and gets a black margin.
	r := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	_, _ = d.Run(t.Context(), "xrandr", "--fb", "300x200") // says that it failed, and does it
	for r.color(399, 299) != [3]uint8{} || r.color(0, 0) == [3]uint8{} {
		r.ask(t, true)
		r.update(t)
	}
	p.fill(image.Rect(0, 0, 10, 10), 0xabcdef)
	for r.color(0, 0) != [3]uint8{0xab, 0xcd, 0xef} {
		r.ask(t, true)
		r.update(t)
	}
	before, began := l.asked(getGeometry), time.Now()
	r.ask(t, true)
	for range 1000 {
		p.sayResized()
		p.sync()
	}
	for l.asked(getGeometry) == before { // the child hears of it
		require.Less(t, time.Since(began), patience)
		time.Sleep(time.Millisecond)
	}
	asked, took := l.asked(getGeometry)-before, time.Since(began)
	assert.LessOrEqual(t, float64(asked), often(took), "looks in %v", took)

	p.fill(image.Rect(0, 0, 10, 10), 0x123456)
	for _, rect := range r.update(t) {
		assert.True(t, rect.In(image.Rect(0, 0, 10, 10)), "%v, which hasn't changed", rect)
	}
}

// A monitor that is shown alone and goes and comes all the time is sent anew no more often than that.
func TestMonitorStorm(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
	draw(t, d, "xrandr --setmonitor left 100/100x100/100+0+0 screen")
	r := watch(t, d, []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingDesktopSize}, "--monitor", "left", "--pointer=false")
	r.ask(t, false)
	r.update(t)
	moved := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(moved)
		for range 60 {
			_, _ = d.Run(t.Context(), "xrandr", "--delmonitor", "left")
			_, _ = d.Run(t.Context(), "xrandr", "--setmonitor", "left", "100/100x100/100+0+0", "screen")
		}
	}()
	sizes := 0
	for over := false; !over; {
		r.ask(t, false)
		select {
		case <-moved:
			over = true
		default:
		}
		was := r.size
		if r.update(t); r.size != was {
			sizes++
		}
	}
	assert.LessOrEqual(t, float64(sizes), often(time.Since(began)))
	assert.Positive(t, sizes)
}

// A pointer too large to be painted is left out, also one whose picture is too large to be asked for, and the view goes on.
func TestHugePointer(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	require.NoError(t, d.Move(t.Context(), 200, 150))
	p := newPainter(t, d, image.Rect(0, 0, 50, 50))
	l := &lesser{}
	l.serve(t, d)
	r := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority)
	for _, size := range []image.Point{{300, 300}, {1100, 1000}, {2000, 3000}} {
		draw(t, d, "xsetroot -cursor_name crosshair")
		want, err := d.Screenshot(t.Context())
		require.NoError(t, err)
		r.ask(t, false)
		r.update(t)
		for {
			if n, _ := r.wrong(want); n > 0 { // the pointer is in the picture
				break
			}
			r.ask(t, true)
			r.update(t)
		}
		const getCursorImage = "XFIXES 4"
		before := l.asked(getCursorImage)
		p.cursor(size)
		r.settled(t, d)
		assert.Greater(t, l.asked(getCursorImage), before)
	}
	assert.Empty(t, r.stderr.String())
}

// A pointer whose maker has gone has no picture, as far as the X server tells. It is an arrow then, and the view goes on.
func TestPointerOfNobody(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	require.NoError(t, d.Move(t.Context(), 200, 150))
	p := newPainter(t, d, image.Rect(0, 0, 10, 10))
	l := &lesser{}
	l.serve(t, d)
	r := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority)
	r.ask(t, false)
	r.update(t)
	want, err := d.Screenshot(t.Context())
	require.NoError(t, err)
	shows := func(at image.Rectangle) {
		for {
			if _, where := r.wrong(want); where == at {
				return
			}
			r.ask(t, true)
			r.update(t)
		}
	}
	draw(t, d, "xsetroot -cursor_name left_ptr") // which isn't there any more, and whose place is nobody's
	shows(image.Rect(200, 150, 211, 167))
	assert.Positive(t, l.refusals.Load())
	p.cursor(image.Pt(30, 20))
	shows(image.Rect(185, 140, 215, 160))
	assert.Empty(t, r.stderr.String())
}

// cursor makes the root's pointer one of that size, whose pixels are all seen.
func (p *painter) cursor(size image.Point) {
	pixmap, err := xproto.NewPixmapId(p.x)
	require.NoError(p.t, err)
	require.NoError(p.t, xproto.CreatePixmapChecked(p.x, 1, pixmap, xproto.Drawable(p.root()), uint16(size.X), uint16(size.Y)).Check())
	gc, err := xproto.NewGcontextId(p.x)
	require.NoError(p.t, err)
	require.NoError(p.t, xproto.CreateGCChecked(p.x, gc, xproto.Drawable(pixmap), xproto.GcForeground, []uint32{1}).Check())
	xproto.PolyFillRectangle(p.x, xproto.Drawable(pixmap), gc, []xproto.Rectangle{{Width: uint16(size.X), Height: uint16(size.Y)}})
	id, err := xproto.NewCursorId(p.x)
	require.NoError(p.t, err)
	require.NoError(p.t, xproto.CreateCursorChecked(p.x, id, pixmap, pixmap, 0xffff, 0, 0, 0, 0, 0, uint16(size.X/2), uint16(size.Y/2)).Check())
	require.NoError(p.t, xproto.ChangeWindowAttributesChecked(p.x, p.root(), xproto.CwCursor, []uint32{uint32(id)}).Check())
}

// tooLong is a reply that is longer than what is read of one.
func tooLong(reply []byte) []byte {
	long := append(reply[:32:32], make([]byte, 4<<20+4)...)
	binary.LittleEndian.PutUint32(long[4:], uint32(len(long)-32)/4)
	return long
}

// More changes than are read of are changes anywhere.
func TestDamageBeyondMeasure(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
	p := newPainter(t, d, image.Rect(50, 60, 150, 160))
	const fetchRegion = "XFIXES 19"
	l := &lesser{replies: map[string]func([]byte) []byte{fetchRegion: tooLong}}
	l.serve(t, d)
	r := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	for i := range 5 {
		p.fill(image.Rect(10*i, 10*i, 50, 50), uint32(0x102030*i+1))
		r.settled(t, d)
	}
	assert.Positive(t, l.asked(fetchRegion))
	assert.Empty(t, r.stderr.String())
}

// What the screen no longer has by the time that it is asked for is asked for once more.
func TestBadMatch(t *testing.T) {
	for name, c := range map[string]struct {
		opcode  string
		without []string
		x       int // where x is in the request
	}{"shared": {"MIT-SHM 4", nil, 8}, "over the connection": {"73", []string{"MIT-SHM"}, 8}} {
		t.Run(name, func(t *testing.T) {
			d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
			p := newPainter(t, d, image.Rect(50, 60, 150, 160))
			const spoilt = 3
			l := &lesser{without: c.without, asks: map[string]func(int64, []byte){c.opcode: func(n int64, request []byte) {
				if n%4 > 0 { // as if the screen ended to the left
					binary.LittleEndian.PutUint16(request[c.x:], 1<<14)
				}
			}}}
			l.serve(t, d)
			r := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority, "--pointer=false")
			r.ask(t, false)
			r.update(t)
			r.settled(t, d)
			assert.GreaterOrEqual(t, l.badMatches.Load(), int64(spoilt))
			p.fill(image.Rect(0, 0, 50, 50), 0x445566)
			r.settled(t, d)
			assert.GreaterOrEqual(t, l.badMatches.Load(), int64(2*spoilt))
		})
	}
}

// A viewer that draws the pointer itself isn't told where it is on another screen, nor anything by a server that
// doesn't tell how it looks.
func TestPointerThatIsNotHere(t *testing.T) {
	beside := []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingCursor, rfb.EncodingPointerPos}
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200, Args: []string{"-screen", "1", "320x200x24"}})
	l := &lesser{}
	l.serve(t, d)
	r := watch(t, d, beside, "--display", l.display, "--xauthority", l.xauthority)
	move := func(screen, x, y string) {
		_, err := d.Run(t.Context(), "xdotool", "mousemove", "--screen", screen, x, y)
		require.NoError(t, err)
	}
	colors := 0
	// looks has the child look where the pointer is, a few times.
	looks := func() {
		for before := l.asked(queryPointer); l.asked(queryPointer) < before+3; {
			colors++
			require.NoError(t, d.SetRoot(t.Context(), fmt.Sprintf("#%06x", colors)))
			r.ask(t, true)
			r.update(t)
		}
	}
	here := image.Pt(100, 90)
	move("0", "100", "90")
	r.ask(t, false)
	r.update(t)
	for r.at != here {
		looks()
	}
	move("1", "200", "150")
	looks()
	assert.Equal(t, here, r.at)
	move("0", "30", "40")
	for r.at != image.Pt(30, 40) {
		looks()
	}

	without := &lesser{without: []string{"XFIXES"}}
	without.serve(t, d)
	r = watch(t, d, beside, "--display", without.display, "--xauthority", without.xauthority)
	nowhere := image.Pt(-1, -1)
	r.at, r.cur = nowhere, nowhere
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	require.NoError(t, d.SetRoot(t.Context(), "#123456"))
	r.settled(t, d)
	assert.Equal(t, nowhere, r.at)
	assert.Equal(t, nowhere, r.cur)
}

// Names of monitors, which are the user's, have an end.
func TestLongMonitorNames(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
	for i := range 3 {
		name := strings.Repeat(string(rune('a'+i)), 30_000) + "\x1b"
		_, err := d.Run(t.Context(), "xrandr", "--setmonitor", name, fmt.Sprintf("%d/100x100/100+%d+0", 100-i, 100*i), "none")
		require.NoError(t, err)
	}
	cmd := exec.Command("/proc/self/exe", Arg, "--display", d.Display, "--xauthority", d.Xauthority, "--check")
	out, err := cmd.Output()
	require.NoError(t, err)
	var told description
	require.NoError(t, json.Unmarshal(out, &told))
	assert.Less(t, len(out), 2000)
	short := strings.Repeat("b", 128)
	var names []string
	for _, m := range told.Monitors {
		names = append(names, m.Name)
	}
	require.True(t, slices.Contains(names, short))
	for _, name := range []string{short, strings.Repeat("b", 30_000), fmt.Sprint(1 + slices.Index(names, short))} {
		r := start(t, d, "--monitor", name, "--pointer=false")
		r.greet(t)
		assert.Less(t, len(r.name), 300)
		assert.True(t, image.Pt(99, 100) == r.size, "%v, %.20s", r.size, name)
	}
}

// The meaning of pixels that change is noticed without the pixels changing.
func TestColorsChange(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200, Depth: 8})
	p := newPainter(t, d, image.Rect(0, 0, 320, 200))
	colors := xproto.Setup(p.x).DefaultScreen(p.x).DefaultColormap
	cells, err := xproto.AllocColorCells(p.x, false, colors, 1, 0).Reply()
	require.NoError(t, err)
	require.Len(t, cells.Pixels, 1)
	p.fill(image.Rect(0, 0, 320, 200), cells.Pixels[0])
	r := watch(t, d, rawOnly, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	for _, c := range [][3]uint8{{0x20, 0x40, 0x60}, {0xff, 0, 0x80}} {
		require.NoError(t, xproto.StoreColorsChecked(p.x, colors, []xproto.Coloritem{{
			Pixel: cells.Pixels[0], Red: uint16(c[0]) << 8, Green: uint16(c[1]) << 8, Blue: uint16(c[2]) << 8,
			Flags: xproto.ColorFlagRed | xproto.ColorFlagGreen | xproto.ColorFlagBlue,
		}}).Check())
		for r.color(160, 100) != c {
			r.ask(t, true)
			r.update(t)
		}
	}
}

// A colour map with fewer entries than pixels of eight bits could have is asked for those that it has.
func TestSmallColorMap(t *testing.T) {
	const entries = 100
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200, Depth: 8})
	require.NoError(t, d.SetRoot(t.Context(), "#204060"))
	l := &lesser{
		setup: func(answer []byte) []byte {
			id, at := rootVisual(answer), len(answer)-24
			for binary.LittleEndian.Uint32(answer[at:]) != id {
				at -= 4
			}
			binary.LittleEndian.PutUint16(answer[at+6:], entries)
			return answer
		},
		asks: map[string]func(int64, []byte){"91": func(_ int64, request []byte) {
			if pixels := (len(request) - 8) / 4; pixels > entries { // which the server then doesn't know
				binary.LittleEndian.PutUint32(request[len(request)-4:], 1<<30)
			}
		}},
	}
	l.serve(t, d)
	r := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	assert.Equal(t, [3]uint8{0x20, 0x40, 0x60}, r.color(160, 100))
}

// rootVisual is the visual of the first screen in a server's answer to the set-up.
func rootVisual(answer []byte) uint32 {
	return binary.LittleEndian.Uint32(answer[screenAt(answer)+32:])
}
