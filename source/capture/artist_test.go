package capture

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
)

// An artist draws what comes to mind into windows of its own.
type artist struct {
	t      *testing.T
	x      *xgb.Conn
	screen *xproto.ScreenInfo
	gc     xproto.Gcontext
	rng    *rand.Rand
	bytes  int // of a pixel
	wins   []canvas
}

// A canvas is a window without a frame.
type canvas struct {
	id   xproto.Window
	size image.Point
}

const maxCanvases = 6

func newArtist(t *testing.T, d *testhost.Desktop, rng *rand.Rand, depth int) *artist {
	p := newPainter(t, d, image.Rect(0, 0, 200, 150))
	a := &artist{t: t, x: p.x, screen: xproto.Setup(p.x).DefaultScreen(p.x), gc: p.gc, rng: rng, bytes: 4}
	if depth == 16 {
		a.bytes = 2
	}
	a.wins = []canvas{{p.win, image.Pt(200, 150)}}
	font, err := xproto.NewFontId(p.x)
	require.NoError(t, err)
	require.NoError(t, xproto.OpenFontChecked(p.x, font, 5, "fixed").Check())
	xproto.ChangeGC(p.x, p.gc, xproto.GcFont|xproto.GcGraphicsExposures, []uint32{uint32(font), 0})
	return a
}

// sync waits until all was drawn, and forgets what the server told meanwhile.
func (a *artist) sync() {
	_, err := xproto.GetInputFocus(a.x).Reply()
	require.NoError(a.t, err)
	for {
		event, err := a.x.PollForEvent()
		if event == nil && err == nil {
			return
		}
	}
}

// act does one thing and says what.
func (a *artist) act(size image.Point) string {
	if len(a.wins) == 0 {
		return a.open(size)
	}
	w := &a.wins[a.rng.IntN(len(a.wins))]
	acts := []func(*canvas) string{a.fill, a.fill, a.text, a.text, a.scroll, a.terminal, a.terminal, a.terminal, a.photograph, a.photograph, a.noise, a.animate}
	switch a.rng.IntN(8) {
	case 0:
		return a.open(size)
	case 1:
		return a.close()
	case 2:
		return a.move(w, size)
	case 3:
		at := image.Pt(a.rng.IntN(size.X), a.rng.IntN(size.Y))
		xproto.WarpPointer(a.x, 0, a.screen.Root, 0, 0, 0, 0, int16(at.X), int16(at.Y))
		return fmt.Sprint("pointer ", at)
	}
	return acts[a.rng.IntN(len(acts))](w)
}

// pointer is where the pointer is.
func (a *artist) pointer() (x, y int, err error) {
	r, err := xproto.QueryPointer(a.x, a.screen.Root).Reply()
	if err != nil {
		return 0, 0, err
	}
	return int(r.RootX), int(r.RootY), nil
}

func (a *artist) color() uint32 { return a.rng.Uint32() & (1<<(8*min(a.bytes, 3)) - 1) }

func (a *artist) ink(foreground, background uint32) {
	xproto.ChangeGC(a.x, a.gc, xproto.GcForeground|xproto.GcBackground, []uint32{foreground, background})
}

// open makes a window.
func (a *artist) open(size image.Point) string {
	if len(a.wins) == maxCanvases {
		return a.close()
	}
	id, err := xproto.NewWindowId(a.x)
	require.NoError(a.t, err)
	w := canvas{id, image.Pt(1+a.rng.IntN(size.X), 1+a.rng.IntN(size.Y))}
	at := image.Pt(a.rng.IntN(size.X)-50, a.rng.IntN(size.Y)-50)
	xproto.CreateWindow(a.x, a.screen.RootDepth, id, a.screen.Root, int16(at.X), int16(at.Y), uint16(w.size.X), uint16(w.size.Y), 0,
		xproto.WindowClassInputOutput, a.screen.RootVisual, xproto.CwBackPixel|xproto.CwOverrideRedirect, []uint32{a.color(), 1})
	xproto.MapWindow(a.x, id)
	a.wins = append(a.wins, w)
	return fmt.Sprint("window ", at, w.size)
}

func (a *artist) close() string {
	i := a.rng.IntN(len(a.wins))
	xproto.DestroyWindow(a.x, a.wins[i].id)
	a.wins = append(a.wins[:i], a.wins[i+1:]...)
	return "window closed"
}

// move moves a window, perhaps sizes it, and raises it or lowers it.
func (a *artist) move(w *canvas, size image.Point) string {
	at := image.Pt(a.rng.IntN(size.X)-50, a.rng.IntN(size.Y)-50)
	xproto.ConfigureWindow(a.x, w.id, xproto.ConfigWindowX|xproto.ConfigWindowY|xproto.ConfigWindowStackMode,
		[]uint32{uint32(at.X), uint32(at.Y), uint32(a.rng.IntN(2))})
	if a.rng.IntN(2) == 0 {
		w.size = image.Pt(1+a.rng.IntN(size.X), 1+a.rng.IntN(size.Y))
		xproto.ConfigureWindow(a.x, w.id, xproto.ConfigWindowWidth|xproto.ConfigWindowHeight, []uint32{uint32(w.size.X), uint32(w.size.Y)})
	}
	return fmt.Sprint("window to ", at, w.size)
}

// resize gives a window its size, at the upper left corner.
func (a *artist) resize(w *canvas) {
	xproto.ConfigureWindow(a.x, w.id, xproto.ConfigWindowWidth|xproto.ConfigWindowHeight, []uint32{uint32(w.size.X), uint32(w.size.Y)})
}

// part is a part of a window, or all of it.
func (a *artist) part(w *canvas) (x, y, width, height int) {
	if a.rng.IntN(3) == 0 {
		return 0, 0, w.size.X, w.size.Y
	}
	x, y = a.rng.IntN(w.size.X), a.rng.IntN(w.size.Y)
	return x, y, 1 + a.rng.IntN(w.size.X-x), 1 + a.rng.IntN(w.size.Y-y)
}

func (a *artist) fill(w *canvas) string {
	x, y, width, height := a.part(w)
	a.ink(a.color(), 0)
	a.rectangle(w, x, y, width, height)
	return "fill"
}

func (a *artist) rectangle(w *canvas, x, y, width, height int) {
	xproto.PolyFillRectangle(a.x, xproto.Drawable(w.id), a.gc,
		[]xproto.Rectangle{{X: int16(x), Y: int16(y), Width: uint16(width), Height: uint16(height)}})
}

// line is the height of a line of text.
const line = 13

// write writes a line of text, its foot at y.
func (a *artist) write(w *canvas, x, y, letters int) {
	text := make([]byte, letters)
	for i := range text {
		text[i] = byte(' ' + a.rng.IntN(95))
	}
	xproto.ImageText8(a.x, byte(letters), xproto.Drawable(w.id), a.gc, int16(x), int16(y), string(text))
}

// terminal fills a window with text, which then scrolls up or down, a few lines at a time.
func (a *artist) terminal(w *canvas) string {
	foreground, background := a.color(), a.color()
	a.ink(background, 0)
	a.rectangle(w, 0, 0, w.size.X, w.size.Y)
	a.ink(foreground, background)
	fill := func(from, to int) {
		for y := from + line; y < to+line; y += line {
			a.write(w, 2, y-3, 5+a.rng.IntN(max(1, min(240, w.size.X/6))))
		}
	}
	fill(0, w.size.Y)
	a.sync()
	time.Sleep(60 * time.Millisecond) // a moment of rest, in which viewers see it
	for range 1 + a.rng.IntN(6) {
		by := line * (1 + a.rng.IntN(4))
		if by >= w.size.Y {
			break
		}
		from, to, new := by, 0, w.size.Y-by
		if a.rng.IntN(4) == 0 { // down
			from, to, new = 0, by, 0
		}
		xproto.CopyArea(a.x, xproto.Drawable(w.id), xproto.Drawable(w.id), a.gc, 0, int16(from), 0, int16(to), uint16(w.size.X), uint16(w.size.Y-by))
		a.ink(background, 0)
		a.rectangle(w, 0, new, w.size.X, by)
		a.ink(foreground, background)
		fill(new, new+by)
		a.rest()
	}
	return "terminal"
}

// text writes lines, in one colour or many.
func (a *artist) text(w *canvas) string {
	a.ink(a.color(), a.color())
	for y, n := line+a.rng.IntN(w.size.Y), 1+a.rng.IntN(20); y < w.size.Y && n > 0; y, n = y+line, n-1 {
		if a.rng.IntN(4) == 0 {
			a.ink(a.color(), a.color())
		}
		a.write(w, a.rng.IntN(40), y, 1+a.rng.IntN(80))
	}
	return "text"
}

// scroll moves a part of a window, mostly up and down, as terminals and editors do.
func (a *artist) scroll(w *canvas) string {
	x, y, width, height := a.part(w)
	dx, dy := 0, a.rng.IntN(120)-60
	if a.rng.IntN(4) == 0 {
		dx = a.rng.IntN(60) - 30
	}
	for range 1 + a.rng.IntN(4) {
		xproto.CopyArea(a.x, xproto.Drawable(w.id), xproto.Drawable(w.id), a.gc,
			int16(x), int16(y), int16(x+dx), int16(y+dy), uint16(width), uint16(height))
		a.rest()
	}
	return fmt.Sprint("scroll ", dx, dy)
}

// rest lets viewers see what is only for a moment.
func (a *artist) rest() {
	if a.rng.IntN(2) == 0 {
		a.sync()
		time.Sleep(time.Duration(a.rng.IntN(20)) * time.Millisecond)
	}
}

// animate fills a place again and again.
func (a *artist) animate(w *canvas) string {
	x, y, width, height := a.part(w)
	for i := range 2 + a.rng.IntN(8) {
		a.ink(a.color(), 0)
		a.rectangle(w, x+i, y+2*i, width, height)
		a.rest()
	}
	return "animation"
}

func (a *artist) photograph(w *canvas) string {
	p, q := 20+a.rng.Float64()*200, a.rng.Float64()*6
	a.image(w, func(x, y int) uint32 {
		v := math.Sin(float64(x)/p+q) + math.Sin(float64(y)/p-q)
		return uint32(110-45*v)<<16 | uint32(100+40*v)<<8 | uint32(120+50*v) + a.rng.Uint32N(6)
	})
	return "photograph"
}

func (a *artist) noise(w *canvas) string {
	few := a.rng.Uint32() | 0x808080
	a.image(w, func(int, int) uint32 { return a.rng.Uint32() & few })
	return "noise"
}

// image puts an image into a part of a window.
func (a *artist) image(w *canvas, color func(x, y int) uint32) {
	const most = 200 << 10 // bytes of a request
	left, top, width, height := a.part(w)
	stride := (a.bytes*width + 3) &^ 3
	rows := max(1, most/stride)
	for from := 0; from < height; from += rows {
		n := min(rows, height-from)
		data := make([]byte, n*stride)
		for y := range n {
			for x := range width {
				c := color(x, from+y)
				at := y*stride + a.bytes*x
				if a.bytes == 2 {
					c = c>>19&31<<11 | c>>10&63<<5 | c>>3&31
					data[at], data[at+1] = byte(c), byte(c>>8)
				} else {
					data[at], data[at+1], data[at+2] = byte(c), byte(c>>8), byte(c>>16)
				}
			}
		}
		xproto.PutImage(a.x, xproto.ImageFormatZPixmap, xproto.Drawable(w.id), a.gc, uint16(width), uint16(n),
			int16(left), int16(top+from), 0, a.screen.RootDepth, data)
	}
}
