//go:build linux

package encode_test

import (
	"context"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/viewer"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
	"vda.internal/shadow/wsproxy"
)

// Viewers on a desktop: how they are started, and what their windows show.
var viewers = []struct {
	name, debian string
	encodings    []rfb.Encoding
	args         []string // behind them the address
	port         string   // before the port in the address
	draws        bool     // the pointer is in the picture
}{
	{"xtigervncviewer", "tigervnc-viewer", encodings, []string{
		"-SecurityTypes=None", "-AutoSelect=0", "-RemoteResize=0", "-QualityLevel=6", "-NoJPEG=0",
	}, "::", false},
	{"xtightvncviewer", "xtightvncviewer", []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingHextile, rfb.EncodingTight}, []string{"-quality", "6"}, "::", true},
	{"gvncviewer", "gvncviewer", encodings, nil, ":", false},
}

// What real viewers make of it is on their screens, pixel by pixel.
func TestViewers(t *testing.T) {
	screen := collage(400, 300)
	for _, v := range viewers {
		for _, enc := range v.encodings {
			t.Run(fmt.Sprintf("%s %v", v.name, enc), func(t *testing.T) {
				testenv.Program(t, v.name, v.debian)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				s := serve(t, screen, enc)
				if v.draws {
					s.cursor = encode.Cursor{}
				}
				desk := testhost.Require(t, testhost.Options{Width: 800, Height: 700})
				host, port, err := net.SplitHostPort(s.addr)
				require.NoError(t, err)
				if v.port == ":" {
					n, err := strconv.Atoi(port)
					require.NoError(t, err)
					port = strconv.Itoa(n - 5900)
				}
				p, err := desk.Spawn(v.name, append(v.args, host+v.port+port)...)
				require.NoError(t, err)
				t.Cleanup(func() { p.Stop(0, 5*time.Second) })
				wrong := -1
				defer func() { t.Logf("%s asked for %v; %d pixels are wrong", v.name, s.wanted(), wrong) }()
				require.NoError(t, testhost.Until(ctx, "the viewer's picture", func() (bool, error) {
					shot, err := desk.Screenshot(ctx)
					if err == nil {
						wrong = search(shot, screen)
					}
					return wrong == 0, err
				}))
			})
		}
	}
}

// libvncclient, which remmina, krdc and others are made of, has the same pixels.
func TestLibvncclient(t *testing.T) {
	gcc := testenv.Program(t, "gcc", "gcc")
	if _, err := os.Stat("/usr/include/rfb/rfbclient.h"); err != nil {
		testenv.Lack(t, "libvncclient is needed (Debian package libvncserver-dev); make deps installs it")
	}
	dir := t.TempDir()
	client := filepath.Join(dir, "vncclient")
	out, err := exec.Command(gcc, "-o", client, "testdata/vncclient.c", "-lvncclient").CombinedOutput()
	require.NoError(t, err, "%s", out)
	screen := collage(400, 300)
	for _, enc := range encodings {
		t.Run(enc.String(), func(t *testing.T) {
			s := serve(t, screen, enc)
			_, port, err := net.SplitHostPort(s.addr)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			file := filepath.Join(dir, enc.String())
			cmd := exec.CommandContext(ctx, client, port, strings.ToLower(enc.String()), file)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { cancel(); _ = cmd.Wait() })
			require.NoError(t, testhost.Until(ctx, "libvncclient's picture", func() (bool, error) {
				got, _ := os.ReadFile(file)
				wrong := len(got) != len(screen.Pix)
				for i := 0; i < len(got) && !wrong; i += 4 {
					p := screen.Pix[i:]
					wrong = got[i] != p[2] || got[i+1] != p[1] || got[i+2] != p[0]
				}
				return !wrong, nil
			}))
			require.Contains(t, s.wanted(), enc)
		})
	}
}

// search is how many pixels of m are wrong on the screen, at the place that has
// most of m's first row; all, if none has.
func search(shot *image.RGBA, m encode.Image) int {
	differ := func(x, y, i int) bool {
		p := m.Pix[i/m.Width*m.Stride+4*(i%m.Width):]
		q := shot.Pix[shot.PixOffset(x+i%m.Width, y+i/m.Width):]
		return p[0] != q[2] || p[1] != q[1] || p[2] != q[0]
	}
	count := func(x, y, pixels, limit int) (n int) {
		for i := 0; i < pixels && n < limit; i++ {
			if differ(x, y, i) {
				n++
			}
		}
		return n
	}
	best, atX, atY := m.Width/2, -1, 0
	for y := 0; y+m.Height <= shot.Bounds().Dy(); y++ {
		for x := 0; x+m.Width <= shot.Bounds().Dx(); x++ {
			if n := count(x, y, m.Width, best); n < best {
				best, atX, atY = n, x, y
			}
		}
	}
	if atX < 0 {
		return m.Width * m.Height
	}
	return count(atX, atY, m.Width*m.Height, m.Width*m.Height)
}

// page shows one session with noVNC.
const page = `<!doctype html><div id="v" style="width:400px;height:300px"></div><script type="module">
import RFB from "/novnc/core/rfb.js";
window.rfb = new RFB(document.getElementById("v"), "ws://" + location.host + "/ws");
</script>`

// compare counts the pixels that noVNC has wrong, and tells by how much levels are
// off on average.
const compare = `(async () => {
	if (!window.rfb || !document.querySelector("canvas")?.width) return [-1, 0]; // not connected yet
	const got = window.rfb.getImageData().data;
	const want = new Uint8Array(await (await fetch("/screen")).arrayBuffer());
	if (got.length != want.length) return [-1, 0];
	let wrong = 0, off = 0;
	for (let i = 0; i < want.length; i += 4) {
		const d = [0, 1, 2].reduce((sum, k) => sum + Math.abs(got[i+k] - want[i+k]), 0);
		off += d / want.length * 4 / 3;
		if (d) wrong++;
	}
	return [wrong, off];
})()`

// noVNC in a browser has the same pixels.
func TestNoVNC(t *testing.T) {
	if _, err := viewer.FS(); err != nil {
		testenv.Lack(t, "%v", err)
	}
	testenv.Program(t, "chromium", "chromium")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, endAllocator := chromedp.NewExecAllocator(ctx, options...)
	defer endAllocator()
	browser, endBrowser := chromedp.NewContext(allocator)
	defer endBrowser()
	defer func() { _ = chromedp.Cancel(browser) }()
	show := func(t *testing.T, s *server, done func(wrong, off float64) bool) {
		srv := httptest.NewServer(website(s))
		defer srv.Close()
		require.NoError(t, chromedp.Do(browser, chromedp.Navigate(srv.URL), chromedp.WaitVisible("canvas")))
		require.NoError(t, testhost.Until(ctx, "noVNC's picture", func() (bool, error) {
			n, err := chromedp.Run(browser, chromedp.Evaluate[[2]float64](compare, chromedp.EvalAwaitPromise))
			return err == nil && n[0] >= 0 && done(n[0], n[1]), err
		}))
		require.Contains(t, s.wanted(), s.only)
		require.NoError(t, chromedp.Do(browser, chromedp.Navigate("about:blank")))
	}
	for _, enc := range encodings {
		t.Run(enc.String(), func(t *testing.T) {
			show(t, serve(t, collage(400, 300), enc), func(wrong, _ float64) bool { return wrong == 0 })
		})
	}
	t.Run("JPEG", func(t *testing.T) {
		screen := newImage(400, 300)
		painters[5].paint(screen, rand.New(rand.NewPCG(1, 2)))
		s := serve(t, screen, rfb.EncodingTight)
		s.lossy = true
		show(t, s, func(wrong, off float64) bool { return wrong > 1000 && off < 5 })
	})
}

// website has a page with noVNC, the pixels it should show, and the way to the
// server.
func website(s *server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page)
	})
	mux.HandleFunc("/screen", func(w http.ResponseWriter, _ *http.Request) {
		p := append([]byte(nil), s.screen.Pix...)
		for i := 0; i < len(p); i += 4 {
			p[i], p[i+2] = p[i+2], p[i]
		}
		_, _ = w.Write(p)
	})
	mux.Handle("/novnc/", http.StripPrefix("/novnc/", viewer.Handler()))
	mux.Handle("/ws", &wsproxy.Handler{Dial: func(context.Context, *http.Request) (net.Conn, error) {
		return net.Dial("tcp", s.addr)
	}})
	return mux
}
