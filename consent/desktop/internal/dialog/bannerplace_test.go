package dialog

import (
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Of a banner that no monitor has room for Stop is on the screen, wherever it is to be.
func TestStopOfABannerThatIsTooLarge(t *testing.T) {
	left, right := image.Rect(0, 0, 320, 240), image.Rect(320, 0, 620, 200)
	for name, c := range map[string]struct{ size, stop image.Point }{
		"wide": {image.Pt(700, 60), image.Pt(610, 17)}, "high": {image.Pt(300, 600), image.Pt(210, 287)}, "both": {image.Pt(900, 700), image.Pt(810, 337)},
	} {
		stop := image.Rect(0, 0, 80, 26).Add(c.stop)
		b := &banner{view: &bannerView{img: image.NewRGBA(image.Rectangle{Max: c.size}), stop: stop}}
		for _, monitors := range [][]image.Rectangle{{left}, {right}, {left, right}} {
			for _, at := range []image.Point{{}, {-500, -500}, {310, 190}, {5000, 5000}} {
				to := b.onto(at, monitors)
				assert.False(t, sticksOut(stop.Add(to), monitors), "%s: %v of %v at %v", name, stop.Add(to), monitors, at)
				rest := b.onto(to, monitors) // the other monitor may show more of it there
				assert.False(t, sticksOut(stop.Add(rest), monitors), "%s: %v of %v at %v", name, stop.Add(rest), monitors, at)
				assert.Equal(t, rest, b.onto(rest, monitors), "%s: it moves for ever", name)
			}
		}
	}
	b := &banner{view: &bannerView{img: image.NewRGBA(image.Rect(0, 0, 300, 60)), stop: image.Rect(210, 17, 290, 43)}}
	assert.Equal(t, image.Pt(20, 180), b.onto(image.Pt(100, 230), []image.Rectangle{left}), "one that fits is moved no further than need be")
}
