package main

import (
	"image"
	"math"
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/host/xconn"
)

// square is where a board changes its colour, film where it shows a film.
var (
	square = image.Rect(1700, 40, 1764, 104)
	film   = image.Rect(600, 300, 600+1280, 300+720)
)

const frames = 16

// A board is what this program itself draws on a desktop.
type board struct {
	x      *xgb.Conn
	window xproto.Window // of the square
	gc     xproto.Gcontext
	colour uint32
}

func newBoard(d *testhost.Desktop) (*board, error) {
	conn, err := xconn.Dial(d.Display, d.Xauthority, 10*time.Second)
	if err != nil {
		return nil, err
	}
	b := &board{x: conn.Conn}
	if b.window, err = b.show(square); err != nil {
		conn.Close()
		return nil, err
	}
	if b.gc, err = xproto.NewGcontextId(b.x); err == nil {
		err = xproto.CreateGCChecked(b.x, b.gc, xproto.Drawable(b.window), 0, nil).Check()
	}
	if err != nil {
		conn.Close()
	}
	return b, err
}

func (b *board) close() { b.x.Close() }

// show maps a black window there.
func (b *board) show(at image.Rectangle) (xproto.Window, error) {
	w, err := xproto.NewWindowId(b.x)
	if err != nil {
		return 0, err
	}
	screen := xproto.Setup(b.x).DefaultScreen(b.x)
	xproto.CreateWindow(b.x, screen.RootDepth, w, screen.Root, int16(at.Min.X), int16(at.Min.Y), uint16(at.Dx()), uint16(at.Dy()), 0,
		xproto.WindowClassInputOutput, screen.RootVisual, xproto.CwBackPixel|xproto.CwOverrideRedirect, []uint32{0, 1})
	return w, xproto.MapWindowChecked(b.x, w).Check()
}

// change fills the square with another colour.
func (b *board) change() {
	b.colour = (b.colour + 0x374d59) & 0xffffff
	xproto.ChangeGC(b.x, b.gc, xproto.GcForeground, []uint32{b.colour})
	xproto.PolyFillRectangle(b.x, xproto.Drawable(b.window), b.gc, []xproto.Rectangle{{Width: uint16(square.Dx()), Height: uint16(square.Dy())}})
}

// play shows a film, 25 frames a second, until stop is called.
func (b *board) play() (stop func(), err error) {
	w, err := b.show(film)
	if err != nil {
		return nil, err
	}
	var pictures [frames]xproto.Pixmap
	for i := range pictures {
		if pictures[i], err = b.paint(w, i); err != nil {
			return nil, err
		}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / 25)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-tick.C:
				xproto.CopyArea(b.x, xproto.Drawable(pictures[i%frames]), xproto.Drawable(w), b.gc, 0, 0, 0, 0, uint16(film.Dx()), uint16(film.Dy()))
			}
		}
	}()
	return func() { close(quit); <-done; xproto.DestroyWindow(b.x, w) }, nil
}

// paint makes the film's frame i: light that moves.
func (b *board) paint(w xproto.Window, i int) (xproto.Pixmap, error) {
	p, err := xproto.NewPixmapId(b.x)
	if err != nil {
		return 0, err
	}
	depth := xproto.Setup(b.x).DefaultScreen(b.x).RootDepth
	xproto.CreatePixmap(b.x, depth, p, xproto.Drawable(w), uint16(film.Dx()), uint16(film.Dy()))
	const rows = 40 // a request has 256 KiB at most
	phase := 2 * math.Pi * float64(i) / frames
	for y := 0; y < film.Dy(); y += rows {
		pixels := make([]byte, 0, film.Dx()*rows*4)
		for row := range rows {
			for x := range film.Dx() {
				u, v := float64(x)/float64(film.Dx()), float64(y+row)/float64(film.Dy())
				pixels = append(pixels, light(3*u+phase), light(2*v-phase), light(2*u+2*v+phase), 0)
			}
		}
		xproto.PutImage(b.x, xproto.ImageFormatZPixmap, xproto.Drawable(p), b.gc, uint16(film.Dx()), rows, 0, int16(y), 0, depth, pixels)
	}
	return p, nil
}

func light(v float64) byte { return byte(127.5 + 127*math.Sin(v)) }
