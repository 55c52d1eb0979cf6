package desktop

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
)

// like compares a picture with the one that is kept under a name, or keeps it. So many of
// its squares may look different. before is done to both, if any.
func like(t *testing.T, name string, img *image.RGBA, block, most int, before func(all ...*image.RGBA)) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(pictures, 0o755))
		keep(t, filepath.Join(pictures, name+".png"), img)
		return
	}
	kept, failed := kept(t, name), filepath.Join(os.TempDir(), "consent-"+name+".png")
	same := crop(img, img.Rect)
	if before != nil && kept.Rect == same.Rect {
		before(kept, same)
	}
	if off := difference(same, kept, block); off > most {
		keep(t, failed, img)
		assert.Fail(t, "it looks different", "%s: %d squares, and %d are tolerated; see %s", name, off, most, failed)
	}
}

// kept is the picture of a name.
func kept(t *testing.T, name string) *image.RGBA {
	t.Helper()
	f, err := os.Open(filepath.Join(pictures, name+".png"))
	require.NoError(t, err, "make the pictures with: go test ./consent/desktop -run Picture -update")
	defer f.Close()
	img, err := png.Decode(f)
	require.NoError(t, err)
	return crop(img, img.Bounds())
}

// same compares a question with its picture.
func (d *desk) same(name string, r consent.Request, scale int) {
	d.t.Helper()
	img := d.question(r, scale, false)
	like(d.t, name, img, 4*scale, few, func(all ...*image.RGBA) { timeless(img.Rect, scale, all...) })
}

// sameScreen compares a screen with a question on it with its picture.
func (d *desk) sameScreen(name string, r consent.Request, most int) {
	d.t.Helper()
	img := d.question(r, 1, true)
	like(d.t, name, img, 4, most, func(all ...*image.RGBA) { timeless(d.part(img, true), 1, all...) })
}

func keep(t *testing.T, path string, img image.Image) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	require.NoError(t, enc.Encode(f, img))
	require.NoError(t, f.Close())
}

// How many squares may look different: other releases of a font draw letters a little
// differently, and the seconds go by. A missing word or one of another language is more.
const (
	few  = 16  // of our windows
	some = 150 // of a screen, where a window manager writes titles and the time of day
)

// difference is how many squares, so many pixels wide, are clearly brighter in one picture
// than in another. Pictures of different sizes differ altogether.
func difference(a, b image.Image, block int) int {
	size := a.Bounds().Size()
	if other := b.Bounds().Size(); max(size.X-other.X, other.X-size.X, size.Y-other.Y, other.Y-size.Y) > block/2 {
		return size.X * size.Y
	}
	const clearly = 32 // of 255
	off := 0
	for y := 0; y+block <= size.Y; y += block {
		for x := 0; x+block <= size.X; x += block {
			if d := brightness(a, x, y, block) - brightness(b, x, y, block); max(d, -d) > clearly {
				off++
			}
		}
	}
	return off
}

// brightness is the mean of a square, from 0 to 255.
func brightness(img image.Image, x, y, block int) int {
	at := img.Bounds().Min.Add(image.Pt(x, y))
	sum := 0
	for dy := range block {
		for dx := range block {
			sum += int(color.GrayModel.Convert(img.At(at.X+dx, at.Y+dy)).(color.Gray).Y)
		}
	}
	return sum / (block * block)
}
