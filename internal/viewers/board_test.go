package viewers

import (
	"encoding/hex"
	"fmt"
	"image"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"
	"github.com/BurntSushi/xgb/xtest"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// A board is an X screen that a test draws on and looks at, pixel by pixel.
type board struct {
	t    *testing.T
	x    *xgb.Conn
	root xproto.Window
	gc   xproto.Gcontext
}

// newBoard connects to a display, whose cookie is in a file; empty: it needs none.
func newBoard(t *testing.T, display, authority string) *board {
	t.Helper()
	path := "/tmp/.X11-unix/X" + display[1:]
	conn, err := net.Dial("unix", "@"+path)
	if err != nil {
		conn, err = net.Dial("unix", path)
	}
	require.NoError(t, err)
	hello := []byte{'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if authority != "" {
		out, err := exec.Command(testenv.Program(t, "xauth", "xauth"), "-f", authority, "list", display).Output()
		require.NoError(t, err)
		fields := strings.Fields(string(out))
		require.GreaterOrEqual(t, len(fields), 3, "%s", out)
		cookie, err := hex.DecodeString(fields[2])
		require.NoError(t, err)
		hello[6], hello[8] = byte(len(fields[1])), byte(len(cookie))
		hello = append(append(append(hello, fields[1]...), 0, 0), cookie...) // MIT-MAGIC-COOKIE-1 has 18 letters
	}
	x, err := xgb.NewConnNet(&patient{Conn: conn, hello: hello})
	require.NoError(t, err)
	b := &board{t: t, x: x, root: xproto.Setup(x).DefaultScreen(x).Root}
	b.gc, err = xproto.NewGcontextId(x)
	require.NoError(t, err)
	require.NoError(t, xproto.CreateGCChecked(x, b.gc, xproto.Drawable(b.root), 0, nil).Check())
	return b
}

// A patient is a connection that says hello in its own way, and doesn't tell xgb, which would panic, of its end.
type patient struct {
	net.Conn
	hello []byte
}

func (p *patient) Write(b []byte) (int, error) {
	if hello := p.hello; hello != nil {
		p.hello = nil
		_, err := p.Conn.Write(hello)
		return len(b), err
	}
	return p.Conn.Write(b)
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil {
		select {}
	}
	return n, nil
}

// bounds are the screen's.
func (b *board) bounds() image.Rectangle {
	g, err := xproto.GetGeometry(b.x, xproto.Drawable(b.root)).Reply()
	require.NoError(b.t, err)
	return image.Rect(0, 0, int(g.Width), int(g.Height))
}

// draw makes a picture the background, and shows it.
func (b *board) draw(m *image.RGBA) {
	p, err := xproto.NewPixmapId(b.x)
	require.NoError(b.t, err)
	width, height := m.Rect.Dx(), m.Rect.Dy()
	require.NoError(b.t, xproto.CreatePixmapChecked(b.x, 24, p, xproto.Drawable(b.root), uint16(width), uint16(height)).Check())
	defer xproto.FreePixmap(b.x, p)
	rows := 200_000 / (4 * width) // a request is shorter than 256 KiB
	for y := 0; y < height; y += rows {
		n := min(rows, height-y)
		part := make([]byte, 0, 4*width*n)
		for i := m.PixOffset(0, y); len(part) < cap(part); i += 4 {
			part = append(part, m.Pix[i+2], m.Pix[i+1], m.Pix[i], 0)
		}
		require.NoError(b.t, xproto.PutImageChecked(b.x, xproto.ImageFormatZPixmap, xproto.Drawable(p), b.gc,
			uint16(width), uint16(n), 0, int16(y), 0, 24, part).Check())
	}
	require.NoError(b.t, xproto.ChangeWindowAttributesChecked(b.x, b.root, xproto.CwBackPixmap, []uint32{uint32(p)}).Check())
	require.NoError(b.t, xproto.ClearAreaChecked(b.x, false, b.root, 0, 0, 0, 0).Check())
}

// shot is what the screen shows, without the pointer.
func (b *board) shot() *image.RGBA {
	m := image.NewRGBA(b.bounds())
	got, err := xproto.GetImage(b.x, xproto.ImageFormatZPixmap, xproto.Drawable(b.root), 0, 0,
		uint16(m.Rect.Dx()), uint16(m.Rect.Dy()), 0xffffffff).Reply()
	require.NoError(b.t, err)
	require.GreaterOrEqual(b.t, len(got.Data), len(m.Pix), "a screen of another depth")
	for i := 0; i < len(m.Pix); i += 4 {
		m.Pix[i], m.Pix[i+1], m.Pix[i+2], m.Pix[i+3] = got.Data[i+2], got.Data[i+1], got.Data[i], 255
	}
	return m
}

// pointer is where the pointer may be seen.
func (b *board) pointer() image.Rectangle {
	p, err := xproto.QueryPointer(b.x, b.root).Reply()
	require.NoError(b.t, err)
	at := image.Pt(int(p.RootX), int(p.RootY))
	return image.Rectangle{at, at}.Inset(-32)
}

// inputs are what a user does, done by XTEST.
func (b *board) inputs() map[string]func() {
	require.NoError(b.t, xtest.Init(b.x))
	fake := func(kind, detail byte, x, y int16) {
		require.NoError(b.t, xtest.FakeInputChecked(b.x, kind, detail, 0, b.root, x, y, 0).Check())
	}
	return map[string]func(){
		"a motion": func() { fake(xproto.MotionNotify, 0, 50, 60); fake(xproto.MotionNotify, 0, 70, 80) },
		"a click":  func() { fake(xproto.ButtonPress, 1, 0, 0); fake(xproto.ButtonRelease, 1, 0, 0) },
		"a key":    func() { fake(xproto.KeyPress, 38, 0, 0); fake(xproto.KeyRelease, 38, 0, 0) },
	}
}

// watch has every key, button and motion told to a window that covers the screen and can't be seen: input is what has
// come since, or since it was last forgotten.
func (b *board) watch() (input func() (what string, any bool), forget func()) {
	w, err := xproto.NewWindowId(b.x)
	require.NoError(b.t, err)
	const all = xproto.EventMaskKeyPress | xproto.EventMaskKeyRelease | xproto.EventMaskButtonPress | xproto.EventMaskButtonRelease | xproto.EventMaskPointerMotion
	require.NoError(b.t, xproto.CreateWindowChecked(b.x, 0, w, b.root, 0, 0, 4096, 4096, 0, xproto.WindowClassInputOnly, 0,
		xproto.CwOverrideRedirect|xproto.CwEventMask, []uint32{1, all}).Check())
	require.NoError(b.t, xproto.MapWindowChecked(b.x, w).Check())
	require.NoError(b.t, xproto.SetInputFocusChecked(b.x, xproto.InputFocusNone, w, xproto.TimeCurrentTime).Check())
	var seen []string
	input = func() (string, bool) {
		_, err := xproto.GetInputFocus(b.x).Reply() // whatever came before is here then
		require.NoError(b.t, err)
		for {
			e, err := b.x.PollForEvent()
			if e == nil && err == nil {
				return strings.Join(seen, " "), len(seen) > 0
			}
			switch e.(type) {
			case xproto.KeyPressEvent, xproto.KeyReleaseEvent, xproto.ButtonPressEvent, xproto.ButtonReleaseEvent, xproto.MotionNotifyEvent:
				seen = append(seen, fmt.Sprint(e))
			}
		}
	}
	return input, func() { seen = nil }
}
