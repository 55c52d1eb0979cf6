package viewers

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Levels are how many values above 0 each of a pixel's channels has: what a picture is compared in.
type levels [3]int

var (
	full   = levels{255, 255, 255}
	bgr233 = levels{7, 7, 3}
	rgb222 = levels{3, 3, 3}
	rgb111 = levels{1, 1, 1}
)

// of is the level of a channel's value.
func (l levels) of(channel int, v uint8) int { return (int(v)*l[channel] + 127) / 255 }

// picture makes one, which nobody else makes: fine, with sharp edges, and of few colours, for JPEG, which viewers ask
// for, loses nothing where servers don't use it. Whoever rounds a channel in whatever way comes to the same level.
func (l levels) picture(r image.Rectangle, seed uint64) *image.RGBA {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var colours []color.RGBA
	for len(colours) < min(6, (l[0]+1)*(l[1]+1)*(l[2]+1)) {
		var c [3]uint8
		for i, m := range l {
			c[i] = uint8((rnd.IntN(m+1)*255 + m - 1) / m)
		}
		colours = append(colours, color.RGBA{c[0], c[1], c[2], 255})
	}
	m := image.NewRGBA(r)
	any := func() *image.Uniform { return image.NewUniform(colours[rnd.IntN(len(colours))]) }
	draw.Draw(m, r, any(), image.Point{}, draw.Src)
	for range 300 {
		at := image.Pt(rnd.IntN(r.Dx()), rnd.IntN(r.Dy()))
		draw.Draw(m, image.Rectangle{at, at.Add(image.Pt(1+rnd.IntN(40), 1+rnd.IntN(30)))}, any(), image.Point{}, draw.Src)
	}
	for range 4000 { // letters have such pixels
		m.SetRGBA(rnd.IntN(r.Dx()), rnd.IntN(r.Dy()), colours[rnd.IntN(len(colours))])
	}
	return m
}

// differ counts pixels of got, from at on, that aren't want's, leaving out a part of want, and returns one of them.
func (l levels) differ(got *image.RGBA, at image.Point, want *image.RGBA, out image.Rectangle) (n int, one string) {
	for y := range want.Rect.Dy() {
		for x := range want.Rect.Dx() {
			p := image.Pt(x, y)
			if p.In(out) {
				continue
			}
			a, b := got.RGBAAt(at.X+x, at.Y+y), want.RGBAAt(x, y)
			if l.of(0, a.R) != l.of(0, b.R) || l.of(1, a.G) != l.of(1, b.G) || l.of(2, a.B) != l.of(2, b.B) {
				if n++; n == 1 {
					one = fmt.Sprintf("%v at %v instead of %v", a, p, b)
				}
			}
		}
	}
	return n, one
}

// find looks for a picture on a viewer's screen and returns where it begins.
func (l levels) find(on, want *image.RGBA, out image.Rectangle) (at image.Point, found bool) {
	var some []image.Point
	for rnd := rand.New(rand.NewPCG(1, 1)); len(some) < 40; {
		if p := image.Pt(rnd.IntN(want.Rect.Dx()), rnd.IntN(want.Rect.Dy())); !p.In(out) {
			some = append(some, p)
		}
	}
	for y := range on.Rect.Dy() - want.Rect.Dy() + 1 {
		for x := range on.Rect.Dx() - want.Rect.Dx() + 1 {
			at, same := image.Pt(x, y), 0
			for _, p := range some {
				a, b := on.RGBAAt(x+p.X, y+p.Y), want.RGBAAt(p.X, p.Y)
				if l.of(0, a.R) != l.of(0, b.R) || l.of(1, a.G) != l.of(1, b.G) || l.of(2, a.B) != l.of(2, b.B) {
					break
				}
				same++
			}
			if same == len(some) {
				return at, true
			}
		}
	}
	return at, false
}

// canvas is JavaScript for the canvas as a PNG.
const canvas = `(() => { const c = document.querySelector("canvas"); return window.ended || !c ? "" : c.toDataURL("image/png"); })()`

// decoded is the picture in a data URL; nil: there is none.
func decoded(t *testing.T, url string) *image.RGBA {
	t.Helper()
	_, coded, ok := strings.Cut(url, "base64,")
	if !ok {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(coded)
	require.NoError(t, err)
	m, err := png.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	rgba := image.NewRGBA(m.Bounds())
	draw.Draw(rgba, rgba.Rect, m, m.Bounds().Min, draw.Src)
	return rgba
}

// A pictures' test goes by rounding whichever way.
func TestLevels(t *testing.T) {
	for _, l := range []levels{full, bgr233, rgb222, rgb111, {31, 63, 31}} {
		m := l.picture(image.Rect(0, 0, 64, 48), 1)
		for i := 0; i < len(m.Pix); i += 4 {
			for c, most := range l {
				v := int(m.Pix[i+c])
				level := l.of(c, uint8(v))
				assert.Equal(t, level, v*most/255, "%v, %d cut", l, v)
				assert.Equal(t, level, l.of(c, uint8((level*255+most/2)/most)), "%v, %d and back", l, v)
			}
		}
		n, _ := l.differ(m, image.Point{}, m, image.Rectangle{})
		assert.Zero(t, n)
		screen := image.NewRGBA(image.Rect(0, 0, 100, 80))
		draw.Draw(screen, image.Rect(7, 9, 100, 80), m, image.Point{}, draw.Src)
		at, ok := l.find(screen, m, image.Rectangle{})
		assert.True(t, ok)
		assert.Equal(t, image.Pt(7, 9), at)
		screen.SetRGBA(7+20, 9+20, color.RGBA{m.RGBAAt(20, 20).R ^ 255, 1, 2, 255})
		n, _ = l.differ(screen, at, m, image.Rectangle{})
		assert.Equal(t, 1, n)
		n, _ = l.differ(screen, at, m, image.Rect(20, 20, 21, 21))
		assert.Zero(t, n)
	}
}
