package viewers

import (
	"cmp"
	"fmt"
	"image"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

// patience bounds whatever must come.
const patience = testenv.Patience

// Everything is the environment variable that makes the whole matrix run, with the value "1".
const everything = "SHADOW_VIEWERS"

// colour is JavaScript for the size of the picture, and its colour if nine of ten pixels have one
// (the pointer is in it, too).
const colour = `(() => {
	const c = document.querySelector("canvas");
	if (window.ended || !c || !c.width) return window.ended;
	const p = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, n = {};
	for (let i = 0; i < p.length; i += 4) { const k = p[i] + "," + p[i + 1] + "," + p[i + 2]; n[k] = (n[k] || 0) + 1; }
	const [k, most] = Object.entries(n).sort((a, b) => b[1] - a[1])[0];
	return c.width + "x" + c.height + (most > p.length / 4 * 0.9 ? " " + k : " mixed");
})()`

// corner is JavaScript for where the canvas begins: a page may have it in its middle.
const corner = `(() => { const r = document.querySelector("canvas").getBoundingClientRect(); return Math.ceil(r.x) + " " + Math.ceil(r.y); })()`

// said is JavaScript for whether the page has told the server of a click and of keys.
const said = `(() => {
	const s = " " + window.sent.join(" ") + " ";
	return [" 5 1 ", " 4 1 0 0 0 0 0 104 ", " 4 0 0 0 0 0 0 111 "].every(m => s.includes(m)) ? "yes" : "";
})()`

// alike compares what colour says: QEMU's guest has six bits a colour.
func alike(got, want string) bool {
	var w, h, r, g, b, width, height, red, green, blue int
	_, err := fmt.Sscanf(got, "%dx%d %d,%d,%d", &w, &h, &r, &g, &b)
	_, bad := fmt.Sscanf(want, "%dx%d %d,%d,%d", &width, &height, &red, &green, &blue)
	off := max(r-red, red-r, g-green, green-g, b-blue, blue-b)
	return err == nil && bad == nil && w == width && h == height && off <= 4
}

// Each release shows each server's screen in its colours, follows a change and, where the server can,
// a new size; and nothing that its user does reaches the session. Chromium shows all, Firefox three.
func TestNoVNC(t *testing.T) {
	all := os.Getenv(everything) == "1"
	chrome := startChromium(t)
	fox := startFirefox(t)
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			s, pages := open(t, server)
			for _, r := range releases {
				if all || r.short {
					table.cell(t, s, "noVNC "+r.name, func(t *testing.T, step func(string)) {
						release(t, r.pack, r.file)
						watch(t, chrome, s, pages+"/"+r.name+"/", step)
					})
				}
				if r.fox && (all || server.name == "capture") {
					table.cell(t, s, "noVNC "+r.name+", Firefox", func(t *testing.T, step func(string)) {
						release(t, r.pack, r.file)
						watch(t, fox, s, pages+"/"+r.name+"/", step)
					})
				}
			}
		})
	}
}

func watch(t *testing.T, b browser, s *screen, page string, step func(string)) {
	size := cmp.Or(s.size, "320x240")
	shows := func(want string) {
		t.Helper()
		got := ""
		ok := assert.Eventually(t, func() bool { got = b.eval(t, colour); return alike(got, want) }, patience, 50*time.Millisecond)
		require.True(t, ok, "the picture is %q, want %s", got, want)
	}
	step("picture")
	s.paint("#c83214") // no two channels alike
	b.open(t, page)
	shows(size + " 200,50,20")
	step("change")
	s.paint("#0a78f0")
	shows(size + " 10,120,240")
	look := func() *image.RGBA { return decoded(t, b.eval(t, canvas)) }
	step("pixels")
	for seed := range uint64(3) {
		s.shows(t, full, seed, look)
	}

	step("input")
	before, _ := s.input()
	var x, y int
	_, err := fmt.Sscan(b.eval(t, corner), &x, &y)
	require.NoError(t, err)
	for i := range 20 {
		b.click(t, x+20+10*i, y+100)
	}
	b.keys(t, "hello")
	require.Eventually(t, func() bool { return b.eval(t, said) == "yes" }, patience, 20*time.Millisecond, "the page doesn't say what its user does")
	s.paint("#14c832")
	shows(size + " 20,200,50")
	what, any := s.input()
	assert.False(t, any, "what reached the session: %s, before %s", what, before)

	if s.resize != nil {
		step("resize")
		defer s.resize(320, 240)
		s.resize(s.other[0], s.other[1])
		s.paint("#c83214")
		shows(fmt.Sprintf("%dx%d 200,50,20", s.other[0], s.other[1]))
		s.shows(t, full, 3, look)
	}
	b.open(t, "about:blank")
}

// shows draws a picture and waits until a viewer's is the same.
func (s *screen) shows(t *testing.T, l levels, seed uint64, look func() *image.RGBA) {
	t.Helper()
	s.draw(l, seed)
	want, pointer := s.shot()
	s.alike(t, look, func(got *image.RGBA) (int, string) {
		if got.Rect != want.Rect {
			return 1, fmt.Sprintf("%v instead of %v", got.Rect, want.Rect)
		}
		return l.differ(got, image.Point{}, want, pointer)
	})
}

// alike waits until none of a viewer's pixels differs from the screen's, and keeps the picture of one that goes on
// doing so.
func (s *screen) alike(t *testing.T, look func() *image.RGBA, differ func(*image.RGBA) (int, string)) {
	t.Helper()
	var got *image.RGBA
	n, one := 0, "no picture"
	ok := assert.Eventually(t, func() bool {
		if got = look(); got != nil {
			n, one = differ(got)
		}
		return got != nil && n == 0
	}, patience, 100*time.Millisecond)
	if !ok && got != nil {
		keepPicture(t, got)
	}
	require.True(t, ok, "%d pixels are others: %s", n, one)
}

// A desktop of this name has noVNC, since 1.3.0, ask for pixels of 8 bits with two for each colour: nothing else asks
// for those, nor does without the encodings that it then does without.
func TestPixelsOfAMT(t *testing.T) {
	relay := &rfb.Relay{Name: "Intel(r) AMT KVM"}
	all := os.Getenv(everything) == "1"
	chrome := startChromium(t)
	for _, server := range servers {
		if !slices.Contains([]string{"x11vnc", "Xvnc", "capture"}, server.name) {
			continue // the others have names of their own
		}
		t.Run(server.name, func(t *testing.T) {
			s, pages := open(t, server)
			at, err := url.Parse(pages)
			require.NoError(t, err)
			s.socket = front(t, at.Host, relay, s.dial)
			for _, r := range releases {
				if r.name < "1.3.0" || !all && !r.short {
					continue
				}
				table.cell(t, s, "noVNC "+r.name+", 8 bits", func(t *testing.T, step func(string)) {
					release(t, r.pack, r.file)
					watch8(t, chrome, s, pages+"/"+r.name+"/", step)
				})
			}
		})
	}
}

func watch8(t *testing.T, b browser, s *screen, page string, step func(string)) {
	b.open(t, page)
	look := func() *image.RGBA { return decoded(t, b.eval(t, canvas)) }
	step("pixels")
	for seed := range uint64(3) {
		s.shows(t, rgb222, seed, look)
	}
	step("no more than that")
	s.draw(full, 3)
	s.alike(t, look, func(got *image.RGBA) (n int, one string) {
		for i, v := range got.Pix {
			if v%85 != 0 {
				n, one = n+1, fmt.Sprintf("a channel of %d at %d", v, i/4)
			}
		}
		return n, one
	})
	if s.resize != nil {
		step("resize")
		defer s.resize(320, 240)
		s.resize(s.other[0], s.other[1])
		s.shows(t, rgb222, 4, look)
	}
	b.open(t, "about:blank")
}
