package capture

import (
	"encoding/binary"
	"image"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/rfb"
)

// The picture is the screen, pixel by pixel, at first and after changes.
func TestPictureIsTheScreen(t *testing.T) {
	for _, depth := range []int{24, 16, 15, 30} {
		t.Run(strconv.Itoa(depth), func(t *testing.T) {
			d := testhost.Require(t, testhost.Options{Width: 803, Height: 601, Depth: depth})
			_, err := d.Spawn("xclock", "-geometry", "300x300+17+33", "-update", "3600")
			require.NoError(t, err)
			_, err = d.FindWindow(t.Context(), "xclock")
			require.NoError(t, err)
			r := watch(t, d, rawOnly, "--pointer=false")
			assert.Equal(t, image.Pt(803, 601), r.size)
			r.ask(t, false)
			rects := r.update(t)
			area := 0
			for _, rect := range rects {
				area += rect.Dx() * rect.Dy()
			}
			assert.Equal(t, 803*601, area, "the first update is the whole, once")
			r.settled(t, d)

			for _, color := range []string{"#204060", "#fefefe", "#810203"} {
				draw(t, d, "xsetroot -solid "+color)
				r.settled(t, d)
			}
			r.Close()
			assert.Equal(t, 0, r.ends(t), r.stderr.String())
		})
	}
}

// Only what was asked for is sent: nothing without a request, one update for
// any number of them.
func TestNothingUnasked(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	r := watch(t, d, rawOnly, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	draw(t, d, "xsetroot -solid #010203")
	// A request for one corner and another one for the opposite are answered at
	// once: nothing was sent before.
	r.say(t, &rfb.FramebufferUpdateRequest{Incremental: true, Rect: rfb.Rect{X: 0, Y: 0, Width: 1, Height: 1}})
	rects := r.update(t)
	require.Len(t, rects, 1)
	assert.Equal(t, image.Rect(0, 0, 64, 64), rects[0], "the tile of the pixel that was asked for")
	r.settled(t, d)
}

// A colour map that a viewer is sent isn't the update that it waits for.
func TestColorMapIsNoUpdate(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	r := watch(t, d, rawOnly) // the pointer is looked for, so there is something to do on a still screen
	r.ask(t, false)
	r.update(t)
	r.say(t, &rfb.SetPixelFormat{Format: rfb.PixelFormat{BitsPerPixel: 8, Depth: 8}})
	r.ask(t, true)
	head := r.take(t, 6)
	require.EqualValues(t, rfb.ServerSetColorMapEntries, head[0])
	r.take(t, 6*int(binary.BigEndian.Uint16(head[4:])))
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	assert.EqualValues(t, rfb.ServerFramebufferUpdate, r.take(t, 1)[0])
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"--display"}, {"--display", ":1", "extra"}, {"--display", ":1", "--max-fps", "0"}, {"--bogus"}} {
		_, err := parse(args)
		assert.Error(t, err, args)
	}
}
