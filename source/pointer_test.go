package source_test

import (
	"context"
	"image"
	"image/color"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
)

// A watcher is a viewer behind a view-only relay; img is what it sees.
type watcher struct {
	t      *testing.T
	conn   net.Conn
	img    *image.RGBA
	buf    []byte
	format rfb.PixelFormat
	asked  []rfb.Encoding
}

func watch(t *testing.T, server net.Conn, asked ...rfb.Encoding) *watcher {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	viewer, err := ln.Accept()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer viewer.Close()
		_ = new(rfb.Relay).Run(ctx, viewer, server)
	}()
	t.Cleanup(func() { cancel(); conn.Close(); <-done })
	c, err := rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	w := &watcher{t: t, conn: conn, img: image.NewRGBA(image.Rect(0, 0, int(c.Init.Width), int(c.Init.Height))), format: c.Init.Format, asked: asked}
	w.say(&rfb.SetEncodings{Encodings: append([]rfb.Encoding{rfb.EncodingRaw}, asked...)})
	return w
}

func (w *watcher) say(m rfb.Message) {
	b, err := rfb.AppendMessage(nil, m)
	require.NoError(w.t, err)
	_, err = w.conn.Write(b)
	require.NoError(w.t, err)
}

// next reads until parse has what it wants.
func (w *watcher) next(parse func(b []byte) (int, error)) {
	require.NoError(w.t, w.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		n, err := parse(w.buf)
		if err == nil {
			w.buf = w.buf[n:]
			return
		}
		require.ErrorIs(w.t, err, io.ErrUnexpectedEOF)
		part := make([]byte, 1<<16)
		n, err = w.conn.Read(part)
		require.NoError(w.t, err)
		w.buf = append(w.buf, part[:n]...)
	}
}

// ask asks for changes, or for everything.
func (w *watcher) ask(incremental bool) {
	size := w.img.Bounds().Size()
	w.say(&rfb.FramebufferUpdateRequest{Incremental: incremental, Rect: rfb.Rect{Width: uint16(size.X), Height: uint16(size.Y)}})
}

// update asks, and puts what comes into the picture.
func (w *watcher) update(incremental bool) {
	w.ask(incremental)
	for {
		var m rfb.Message
		w.next(func(b []byte) (n int, err error) { m, n, err = rfb.ParseServerMessage(b); return n, err })
		u, ok := m.(*rfb.FramebufferUpdate)
		if !ok {
			continue
		}
		for range u.Rectangles {
			var r rfb.Rectangle
			w.next(func(b []byte) (n int, err error) { r, n, err = rfb.ParseRectangle(b, w.format); return n, err })
			raw, ok := r.Body.(*rfb.Raw)
			if !ok { // x11vnc sends a shape once before it remembers -nocursorshape
				require.True(w.t, slices.Contains(w.asked, rfb.EncodingPointerPos), "nothing but pixels, not %v", r.Encoding)
				continue
			}
			for i := 0; i+3 < len(raw.Pixels); i += 4 {
				at := i / 4
				w.img.SetRGBA(int(r.Rect.X)+at%int(r.Rect.Width), int(r.Rect.Y)+at/int(r.Rect.Width),
					color.RGBA{raw.Pixels[i], raw.Pixels[i+1], raw.Pixels[i+2], 255})
			}
		}
		return
	}
}

// The administrator sees the user's pointer: the picture is the screen with the
// pointer in it, and goes on being it when the pointer moves.
func TestX11vncShowsThePointer(t *testing.T) {
	t.Run("to a viewer like noVNC", func(t *testing.T) { showsThePointer(t, rfb.EncodingCursor, rfb.EncodingXCursor) })
	t.Run("to one like ssvnc", func(t *testing.T) {
		showsThePointer(t, rfb.EncodingCursor, rfb.EncodingXCursor, rfb.EncodingPointerPos)
	})
}

func showsThePointer(t *testing.T, asked ...rfb.Encoding) {
	d, s := xSession(t)
	require.NoError(t, d.SetRoot(t.Context(), "#204060"))
	require.NoError(t, d.Move(t.Context(), 5, 5))
	conn, err := new(source.X11vnc).Open(t.Context(), s)
	require.NoError(t, err)
	w := watch(t, conn, asked...)
	w.update(false)
	for _, at := range []image.Point{{60, 50}, {200, 120}, {31, 150}} {
		require.NoError(t, d.Move(t.Context(), at.X, at.Y))
		screen, err := d.Screenshot(t.Context()) // without the pointer
		require.NoError(t, err)
		near := image.Rect(-24, -24, 24, 24).Add(at)
		for deadline := time.Now().Add(patience); ; {
			here, elsewhere := 0, 0
			for y := range screen.Rect.Dy() {
				for x := range screen.Rect.Dx() {
					switch p := image.Pt(x, y); {
					case w.img.At(x, y) == screen.At(x, y):
					case p.In(near):
						here++
					default:
						elsewhere++
					}
				}
			}
			// Its shape is x11vnc's own for the first seconds.
			if here >= 30 && elsewhere == 0 {
				break
			}
			require.True(t, time.Now().Before(deadline), "pointer at %v: %d pixels differ from the bare screen there, %d elsewhere", at, here, elsewhere)
			w.update(true)
		}
	}
}
