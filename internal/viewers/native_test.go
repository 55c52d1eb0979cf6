package viewers

import (
	"context"
	"errors"

	"image"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

// natives are viewers of Debian's, and the pixels that they ask for. off is how far a colour may be from
// the screen's, in steps of 256.
var natives = []struct {
	name, program, debian string
	args                  []string // before the address
	port                  string   // before the port; ":": less 5900
	off                   int
	short                 bool
}{
	{"TigerVNC", "xtigervncviewer", "tigervnc-viewer", []string{"-SecurityTypes=None", "-AutoSelect=0", "-RemoteResize=0"}, "::", 6, true},
	{"TigerVNC, 256 colours", "xtigervncviewer", "tigervnc-viewer", []string{"-SecurityTypes=None", "-AutoSelect=0", "-FullColor=0", "-LowColorLevel=2", "-RemoteResize=0"}, "::", 66, true},
	{"TigerVNC, 64 colours", "xtigervncviewer", "tigervnc-viewer", []string{"-SecurityTypes=None", "-AutoSelect=0", "-FullColor=0", "-LowColorLevel=1", "-RemoteResize=0"}, "::", 66, false},
	{"TigerVNC, 8 colours", "xtigervncviewer", "tigervnc-viewer", []string{"-SecurityTypes=None", "-AutoSelect=0", "-FullColor=0", "-LowColorLevel=0", "-RemoteResize=0"}, "::", 128, false},
	{"TigerVNC, of itself", "xtigervncviewer", "tigervnc-viewer", []string{"-SecurityTypes=None", "-RemoteResize=0"}, "::", 66, false},
	{"TightVNC", "xtightvncviewer", "xtightvncviewer", nil, "::", 6, true},
	{"TightVNC, bgr233", "xtightvncviewer", "xtightvncviewer", []string{"-bgr233"}, "::", 66, false},
	{"ssvnc", "ssvncviewer", "ssvnc", nil, "::", 6, false},
	{"gtk-vnc", "gvncviewer", "gvncviewer", nil, ":", 6, false},
}

// tcp is a relay in front of s that native viewers can reach.
func tcp(t *testing.T, s *screen) string {
	t.Helper()
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
				server, err := s.dial(ctx)
				if err == nil {
					err = new(rfb.Relay).Run(ctx, viewer, server)
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Logf("the session ended: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); wg.Wait() })
	return ln.Addr().String()
}

// most is the colour that most pixels of a picture's middle have, and their share.
func most(m *image.RGBA) (colour [3]int, share float64) {
	seen, all := make(map[[3]int]int), 0
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			c := m.RGBAAt(x, y)
			seen[[3]int{int(c.R), int(c.G), int(c.B)}]++
			all++
		}
	}
	best := 0
	for c, n := range seen {
		if n > best {
			colour, best = c, n
		}
	}
	return colour, float64(best) / float64(all)
}

// Each native viewer shows each server's screen in the colours that its pixels can have, and follows
// a change.
func TestNativeViewers(t *testing.T) {
	all := os.Getenv(everything) == "1"
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			s := server.start(t)
			for _, v := range natives {
				if !all && !v.short {
					continue
				}
				t.Run(v.name, func(t *testing.T) {
					testenv.Program(t, v.program, v.debian)
					host, port, err := net.SplitHostPort(tcp(t, s))
					require.NoError(t, err)
					if v.port == ":" {
						n, err := strconv.Atoi(port)
						require.NoError(t, err)
						port = strconv.Itoa(n - 5900)
					}
					s.paint("#c83214")
					desk := testhost.Require(t, testhost.Options{Width: 340, Height: 300})
					p, err := desk.Spawn(v.program, append(v.args, host+v.port+port)...)
					require.NoError(t, err)
					t.Cleanup(func() { p.Stop(0, 5*time.Second) })
					for _, c := range []struct {
						paint string
						want  [3]int
					}{{"#c83214", [3]int{200, 50, 20}}, {"#0a78f0", [3]int{10, 120, 240}}, {"#14c832", [3]int{20, 200, 50}}} {
						s.paint(c.paint)
						var got [3]int
						var share float64
						ok := assert.Eventually(t, func() bool {
							shot, err := desk.Screenshot(t.Context())
							if err != nil {
								return false
							}
							got, share = most(shot)
							for i, n := range c.want {
								if d := got[i] - n; d > v.off || d < -v.off {
									return false
								}
							}
							return share > 0.5
						}, patience, 100*time.Millisecond)
						require.True(t, ok, "want %v, got %v in %.0f %% of the screen", c.want, got, 100*share)
					}
					what, any := s.input()
					assert.False(t, any, "what reached the session: %s", what)
				})
			}
		})
	}
}
