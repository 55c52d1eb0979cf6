package curtain

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// The picture covers all of the framebuffer, in whatever format, in one update.
func TestDraw(t *testing.T) {
	for _, size := range [][2]uint16{{1, 1}, {40, 30}, {1024, 768}, {200, 2500}} {
		for _, list := range [][]rfb.Encoding{nil, {rfb.EncodingHextile}} {
			b := Draw(size[0], size[1], encode.Format(), list)
			m, n, err := rfb.ParseServerMessage(b)
			require.NoError(t, err)
			y := uint16(0)
			for range m.(*rfb.FramebufferUpdate).Rectangles {
				r, used, err := rfb.ParseRectangle(b[n:], encode.Format())
				require.NoError(t, err)
				assert.Equal(t, rfb.Rect{Y: y, Width: size[0], Height: min(band, size[1]-y)}, r.Rect)
				if list != nil && size != [2]uint16{1, 1} { // a pixel is Raw
					assert.Equal(t, rfb.EncodingHextile, r.Encoding)
					assert.Less(t, len(b), 200_000)
				}
				y += r.Rect.Height
				n += used
			}
			assert.Equal(t, size[1], y)
			assert.Len(t, b, n, "nothing comes behind it")
		}
	}
}

// It says something, in the middle.
func TestPicture(t *testing.T) {
	m := picture(640, 480, 0, 480)
	lit := 0
	for i := 0; i < len(m.Pix); i += 4 {
		if [3]byte(m.Pix[i:i+3]) == ink {
			lit++
			x, y := i/4%640, i/4/640
			assert.True(t, x > 100 && x < 540 && y > 120 && y < 360, "%d,%d", x, y)
		}
	}
	assert.Greater(t, lit, 1000)
	for _, r := range says {
		assert.True(t, r == ' ' || letters[r] != [7]uint8{}, "%q has no letter", r)
	}
}
