package viewers

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"image"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

// A native is a viewer of Debian's, and the pixels that it asks for.
type native struct {
	name, debian string
	argv         []string // before the address
	before, port string   // before the address and the port
	display      bool     // the port less 5900
	off          int      // how far a colour may be from the screen's, in steps of 256
	levels       levels   // of the pixels that it asks for, at least
	short        bool     // make test has it, too
	clips        bool     // its window may be smaller than the picture
	scales       bool     // a new size is scaled to the first one
	fixed        bool     // it doesn't know DesktopSize; Xvnc then ends its session
}

var natives = []native{
	{name: "TigerVNC", debian: "tigervnc-viewer", argv: tiger("-AutoSelect=0"), port: "::", off: 6, levels: full, short: true},
	{name: "TigerVNC, 256 colours", debian: "tigervnc-viewer", argv: tiger("-AutoSelect=0", "-NoJPEG=1", "-FullColor=0", "-LowColorLevel=2"), port: "::", off: 66, levels: bgr233, short: true},
	{name: "TigerVNC, 64 colours", debian: "tigervnc-viewer", argv: tiger("-AutoSelect=0", "-NoJPEG=1", "-FullColor=0", "-LowColorLevel=1"), port: "::", off: 66, levels: rgb222},
	{name: "TigerVNC, 8 colours", debian: "tigervnc-viewer", argv: tiger("-AutoSelect=0", "-NoJPEG=1", "-FullColor=0", "-LowColorLevel=0"), port: "::", off: 128, levels: rgb111},
	{name: "TigerVNC, of itself", debian: "tigervnc-viewer", argv: tiger(), port: "::", off: 66, levels: rgb111},
	{name: "TightVNC", debian: "xtightvncviewer", argv: []string{"xtightvncviewer"}, port: "::", off: 6, levels: full, short: true, fixed: true},
	{name: "TightVNC, bgr233", debian: "xtightvncviewer", argv: []string{"xtightvncviewer", "-bgr233", "-nojpeg"}, port: "::", off: 66, levels: bgr233, fixed: true},
	{name: "ssvnc", debian: "ssvnc", argv: []string{"ssvncviewer"}, port: "::", off: 6, levels: full},
	{name: "gtk-vnc", debian: "gvncviewer", argv: []string{"gvncviewer"}, port: ":", display: true, off: 6, levels: full, scales: true},
	{name: "remmina", debian: "remmina-plugin-vnc", argv: []string{"sh", "-c", remmina, "sh"}, before: "vnc://", port: ":", off: 6, levels: full, clips: true},
}

func tiger(options ...string) []string {
	return append([]string{"xtigervncviewer", "-SecurityTypes=None", "-RemoteResize=0"}, options...)
}

// remmina wants a bus, and a folder for its settings.
const remmina = `XDG_RUNTIME_DIR=$HOME GSETTINGS_BACKEND=memory NO_AT_BRIDGE=1 exec dbus-run-session -- remmina --no-tray-icon -c "$1"`

// A heard is what viewers have said.
type heard struct {
	mu  sync.Mutex
	all []byte
}

// says reports whether it has these bytes in it.
func (h *heard) says(b ...byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Contains(h.all, b)
}

// An ear is a viewer's connection.
type ear struct {
	net.Conn
	heard *heard
}

func (e ear) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	e.heard.mu.Lock()
	defer e.heard.mu.Unlock()
	e.heard.all = append(e.heard.all, p[:n]...)
	return n, err
}

// tcp is a port where native viewers reach s: a relay, or who carries bytes between TCP and the
// WebSocket of one of our programs. What they say is heard.
func tcp(t *testing.T, s *screen) (address string, said *heard) {
	t.Helper()
	said = &heard{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			viewer, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer viewer.Close()
				if err := carry(ctx, s, ear{viewer, said}); err != nil && !errors.Is(err, context.Canceled) {
					t.Logf("the session ended: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); wg.Wait() })
	return ln.Addr().String(), said
}

// carry joins a native viewer to s until one of them ends.
func carry(ctx context.Context, s *screen, viewer net.Conn) error {
	if s.dial != nil {
		server, err := s.dial(ctx)
		if err != nil {
			return err
		}
		return new(rfb.Relay).Run(ctx, viewer, server)
	}
	socket, _, err := websocket.Dial(ctx, s.socket(), &websocket.DialOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		return err
	}
	socket.SetReadLimit(-1)
	far := websocket.NetConn(ctx, socket, websocket.MessageBinary)
	ended := make(chan error, 2)
	for _, ends := range [][2]net.Conn{{far, viewer}, {viewer, far}} {
		go func() { _, err := io.Copy(ends[0], ends[1]); ended <- err }()
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	far.Close()
	viewer.Close()
	<-ended
	return err
}

// pixels counts those of each colour.
func pixels(m *image.RGBA) map[[3]int]int {
	n := make(map[[3]int]int)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			c := m.RGBAAt(x, y)
			n[[3]int{int(c.R), int(c.G), int(c.B)}]++
		}
	}
	return n
}

// near counts the pixels whose colours are at most off from want.
func near(n map[[3]int]int, want [3]int, off int) (sum int) {
	for c, count := range n {
		if max(c[0]-want[0], want[0]-c[0], c[1]-want[1], want[1]-c[1], c[2]-want[2], want[2]-c[2]) <= off {
			sum += count
		}
	}
	return sum
}

// place is where the pixels of a colour are.
func place(m *image.RGBA, want [3]int, off int) (r image.Rectangle) {
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			c := m.RGBAAt(x, y)
			if near(map[[3]int]int{{int(c.R), int(c.G), int(c.B)}: 1}, want, off) == 1 {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return r
}

// shown reports whether a viewer's screen has a picture of one colour and of that many pixels, or half of them where
// the picture may be clipped. The pointer may be in it.
func (v native) shown(m *image.RGBA, want [3]int, size int) bool {
	least := size * 97 / 100
	if v.clips && size >= 400*300 {
		least = size / 2
	}
	most := size
	if v.off > 6 { // colours of the window's frame and icon may be near
		most += size / 4
	}
	got := near(pixels(m), want, v.off)
	return got >= least && got <= most
}

// Each native viewer shows each server's screen in the colours that its pixels can have, follows
// a change and, where the server can, a new size; and nothing that its user does reaches the session.
func TestNativeViewers(t *testing.T) {
	all := os.Getenv(everything) == "1"
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			s, _ := open(t, server)
			for _, v := range natives {
				if all || v.short {
					table.cell(t, s, v.name, func(t *testing.T, step func(string)) { v.watch(t, s, step) })
				}
			}
		})
	}
}

// start starts the viewer on a desktop.
func (v native) start(t *testing.T, desk *testhost.Desktop, address string) *child.Process {
	t.Helper()
	testenv.Program(t, v.argv[0], v.debian)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	if v.display {
		n, err := strconv.Atoi(port)
		require.NoError(t, err)
		port = strconv.Itoa(n - 5900)
	}
	p, err := desk.Spawn(v.argv[0], append(slices.Clone(v.argv[1:]), v.before+host+v.port+port)...)
	require.NoError(t, err)
	return p
}

func (v native) watch(t *testing.T, s *screen, step func(string)) {
	s.paint("#c83214")
	desk := testhost.Require(t, testhost.Options{Width: 700, Height: 600, WindowManager: true}) // some take keys only from one
	address, said := tcp(t, s)
	p := v.start(t, desk, address)
	t.Cleanup(func() { p.Stop(0, 5*time.Second) })
	width, height := 320, 240
	if s.size != "" {
		_, err := fmt.Sscanf(s.size, "%dx%d", &width, &height)
		require.NoError(t, err)
	}
	var shot *image.RGBA
	shows := func(paint string, want [3]int) {
		t.Helper()
		s.paint(paint)
		ok := assert.Eventually(t, func() bool {
			var err error
			shot, err = desk.Screenshot(t.Context())
			return err == nil && v.shown(shot, want, width*height)
		}, patience, 100*time.Millisecond)
		if !ok && shot != nil {
			keepPicture(t, shot)
			require.Fail(t, "another picture", "want %v in %d pixels", want, width*height)
		}
		require.True(t, ok)
	}
	step("picture")
	shows("#c83214", [3]int{200, 50, 20})
	step("change")
	shows("#0a78f0", [3]int{10, 120, 240})
	step("pixels")
	for seed := range uint64(2) {
		if v.clips {
			break
		}
		s.draw(v.levels, seed)
		want, pointer := s.shot()
		s.alike(t, func() *image.RGBA {
			m, _ := desk.Screenshot(t.Context())
			return m
		}, func(got *image.RGBA) (int, string) {
			at, ok := v.levels.find(got, want, pointer)
			if !ok {
				return 1, "it isn't to be found"
			}
			return v.levels.differ(got, at, want, pointer)
		})
	}
	step("input")
	shows("#0a78f0", [3]int{10, 120, 240})
	at := place(shot, [3]int{10, 120, 240}, v.off)
	for i := range 10 {
		require.NoError(t, desk.Click(t.Context(), (at.Min.X+at.Max.X)/2-50+10*i, (at.Min.Y+at.Max.Y)/2))
	}
	require.NoError(t, desk.Type(t.Context(), "hello"))
	require.Eventually(t, func() bool {
		return said.says(5, 1) && said.says(4, 1, 0, 0, 0, 0, 0, 'h') && said.says(4, 0, 0, 0, 0, 0, 0, 'o')
	}, patience, 20*time.Millisecond, "the viewer doesn't say what its user does")
	shows("#14c832", [3]int{20, 200, 50})
	what, any := s.input()
	assert.False(t, any, "what reached the session: %s", what)
	if s.resize != nil && !v.fixed {
		step("resize")
		defer s.resize(320, 240)
		s.resize(s.other[0], s.other[1])
		if !v.scales {
			width, height = s.other[0], s.other[1]
		}
		shows("#c83214", [3]int{200, 50, 20})
	}
}

// keepPicture writes a picture into the folder SHADOW_PICTURES, if there is one.
func keepPicture(t *testing.T, m *image.RGBA) {
	t.Helper()
	folder := os.Getenv("SHADOW_PICTURES")
	if folder == "" {
		return
	}
	name := filepath.Join(folder, strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())+".png")
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, png.Encode(f, m))
	t.Logf("the screen is in %s", name)
}
