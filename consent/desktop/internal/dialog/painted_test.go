package dialog

import (
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The screen is compared with the banner as a picture, not as numbers: it may shine through, and be
// darker, but something else is not it.
func TestAlike(t *testing.T) {
	v := layoutBanner(notice(`CORP\alice`), testLibrary(t, "en"), 1, 640)
	f := format{depth: 24, size: 4, pad: 4, r: newChannel(0xff0000), g: newChannel(0xff00), b: newChannel(0xff)}
	size := v.img.Rect.Size()
	own := f.brightness(f.encode(v.img, v.img.Rect), size)
	assert.True(t, alike(own, own))
	through, plain, other, faint, negative := make([]float64, len(own)), make([]float64, len(own)), make([]float64, len(own)), make([]float64, len(own)), make([]float64, len(own))
	for i := range own {
		other[i] = float64(i / size.X % 20 * 30)
		through[i], plain[i] = own[i]*0.7+other[i]*0.3, own[0]
		faint[i], negative[i] = own[i]*0.05+300, 765-own[i]
	}
	assert.True(t, alike(through, own))
	assert.True(t, alike(negative, own), "it can be read")
	assert.False(t, alike(other, own))
	assert.False(t, alike(plain, own), "nor what has the same colour")
	assert.False(t, alike(faint, own), "nor what can hardly be told from what is behind it")
	assert.False(t, alike(nil, nil))
	assert.Nil(t, f.brightness(make([]byte, 3), image.Pt(1, 1)))

	small := format{depth: 16, size: 2, pad: 4, big: true, r: newChannel(0xf800), g: newChannel(0x7e0), b: newChannel(0x1f)}
	assert.True(t, alike(own, small.brightness(small.encode(v.img, v.img.Rect), size)))
}

// What a pixel has besides its colours may be anything.
func TestSameColours(t *testing.T) {
	f := format{depth: 24, size: 4, pad: 4, r: newChannel(0xff0000), g: newChannel(0xff00), b: newChannel(0xff)}
	for _, f.big = range []bool{false, true} {
		pad := 3
		if f.big {
			pad = 0
		}
		for i := range 4 {
			a, b := make([]byte, 8), make([]byte, 8)
			a[4+i] = 1
			assert.Equal(t, i == pad, f.same(a, b))
		}
	}
	assert.False(t, f.same(nil, make([]byte, 4)))
}
