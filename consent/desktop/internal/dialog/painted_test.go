package dialog

import (
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The screen is compared with the banner as a picture, not as numbers: it may shine through, and be
// darker, but something else is not it.
func TestCorrelation(t *testing.T) {
	v := layoutBanner(notice(`CORP\alice`), testLibrary(t, "en"), 1, 640)
	f := format{depth: 24, size: 4, pad: 4, r: newChannel(0xff0000), g: newChannel(0xff00), b: newChannel(0xff)}
	size := v.img.Rect.Size()
	own := f.brightness(f.encode(v.img, v.img.Rect), size)
	assert.InDelta(t, 1, correlation(own, own), 1e-9)
	through, plain, other := make([]float64, len(own)), make([]float64, len(own)), make([]float64, len(own))
	for i := range own {
		other[i] = float64(i / size.X % 20 * 30)
		through[i], plain[i] = own[i]*0.7+other[i]*0.3, own[0]
	}
	assert.Greater(t, correlation(through, own), likeness)
	assert.Less(t, correlation(other, own), likeness)
	assert.Less(t, correlation(plain, own), likeness, "nor what has the same colour")
	assert.Zero(t, correlation(nil, nil))
	assert.Nil(t, f.brightness(make([]byte, 3), image.Pt(1, 1)))

	small := format{depth: 16, size: 2, pad: 4, big: true, r: newChannel(0xf800), g: newChannel(0x7e0), b: newChannel(0x1f)}
	assert.Greater(t, correlation(own, small.brightness(small.encode(v.img, v.img.Rect), size)), 0.99)
}
