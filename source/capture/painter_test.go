package capture

import (
	"image"
	"io"
	"log"
	"math/rand/v2"
	"testing"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/host/xconn"
)

// A painter is an X client with a window without a frame.
type painter struct {
	t    *testing.T
	x    *xgb.Conn
	win  xproto.Window
	gc   xproto.Gcontext
	area image.Rectangle
	rng  *rand.Rand
}

// own has a desktop whose X server this process trusts.
func own() *child.Identity {
	id := child.Own()
	return &id
}

func newPainter(t *testing.T, d *testhost.Desktop, area image.Rectangle) *painter {
	t.Helper()
	conn, err := xconn.Dial(d.Display, d.Xauthority, patience) // which lets the X server go first
	require.NoError(t, err)
	x := conn.Conn
	xgb.Logger = log.New(io.Discard, "", 0)
	screen := xproto.Setup(x).DefaultScreen(x)
	p := &painter{t: t, x: x, area: area, rng: rand.New(rand.NewPCG(1, 2))}
	p.win, err = xproto.NewWindowId(x)
	require.NoError(t, err)
	require.NoError(t, xproto.CreateWindowChecked(x, screen.RootDepth, p.win, screen.Root, int16(area.Min.X), int16(area.Min.Y),
		uint16(area.Dx()), uint16(area.Dy()), 0, xproto.WindowClassInputOutput, screen.RootVisual,
		xproto.CwBackPixel|xproto.CwOverrideRedirect, []uint32{screen.WhitePixel, 1}).Check())
	p.gc, err = xproto.NewGcontextId(x)
	require.NoError(t, err)
	require.NoError(t, xproto.CreateGCChecked(x, p.gc, xproto.Drawable(p.win), 0, nil).Check())
	require.NoError(t, xproto.MapWindowChecked(x, p.win).Check())
	return p
}

// sync waits until all was drawn.
func (p *painter) sync() {
	_, err := xproto.GetInputFocus(p.x).Reply()
	require.NoError(p.t, err)
}

// fill fills a part of the window.
func (p *painter) fill(r image.Rectangle, color uint32) {
	xproto.ChangeGC(p.x, p.gc, xproto.GcForeground, []uint32{color})
	xproto.PolyFillRectangle(p.x, xproto.Drawable(p.win), p.gc,
		[]xproto.Rectangle{{X: int16(r.Min.X), Y: int16(r.Min.Y), Width: uint16(r.Dx()), Height: uint16(r.Dy())}})
	p.sync()
}

// lines draws something like text into rows of the window.
func (p *painter) lines(from, to int) {
	for y := from; y < to; y += 2 {
		for x := 0; x < p.area.Dx(); x += 8 {
			if p.rng.IntN(3) > 0 {
				xproto.ChangeGC(p.x, p.gc, xproto.GcForeground, []uint32{uint32(p.rng.IntN(1 << 24))})
				xproto.PolyFillRectangle(p.x, xproto.Drawable(p.win), p.gc, []xproto.Rectangle{{X: int16(x), Y: int16(y), Width: 6, Height: 2}})
			}
		}
	}
	p.sync()
}

// scroll moves the window's pixels up, and draws what comes in below.
func (p *painter) scroll(rows int) {
	w, h := p.area.Dx(), p.area.Dy()
	xproto.CopyArea(p.x, xproto.Drawable(p.win), xproto.Drawable(p.win), p.gc, 0, int16(rows), 0, 0, uint16(w), uint16(h-rows))
	xproto.ClearArea(p.x, false, p.win, 0, int16(h-rows), uint16(w), uint16(rows))
	p.lines(h-rows, h)
}
