package viewers

import (
	"cmp"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
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

	step("input")
	before, _ := s.input()
	for i := range 20 {
		b.click(t, 20+10*i, 100)
	}
	b.keys(t, "hello")
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
	}
	b.open(t, "about:blank")
}
