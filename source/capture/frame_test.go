package capture

import (
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// random is a picture with some order in it: bands that repeat, and noise.
func random(rng *rand.Rand, size image.Point) []byte {
	pix := make([]byte, 4*size.X*size.Y)
	for y := range size.Y {
		seed := byte(rng.IntN(3))
		for x := range size.X {
			at := 4 * (y*size.X + x)
			pix[at], pix[at+1], pix[at+2] = seed, byte(rng.IntN(2)), byte(x/7)
		}
	}
	return pix
}

// look does to a frame and a viewer's copy of it what a server does.
func look(f *frame, s *scroller, viewer, pix []byte) (copied int) {
	r, stride := f.bounds(), f.stride
	srv := &server{frame: f}
	_, known := srv.differences(r, pix, stride, image.Point{})
	if known.tiles > 0 {
		for _, m := range s.find(f, known.around, pix, stride, image.Point{}) {
			f.move(m.rect, m.dy)
			was := append([]byte{}, viewer...)
			for y := m.rect.Min.Y; y < m.rect.Max.Y; y++ {
				copy(viewer[y*stride+4*m.rect.Min.X:y*stride+4*m.rect.Max.X], was[(y+m.dy)*stride+4*m.rect.Min.X:])
			}
			copied += area(m.rect)
		}
	}
	changed, _ := srv.differences(r, pix, stride, image.Point{})
	for _, c := range changed {
		f.put(c, pix, stride, image.Point{})
		for y := c.Min.Y; y < c.Max.Y; y++ {
			copy(viewer[y*stride+4*c.Min.X:y*stride+4*c.Max.X], pix[y*stride+4*c.Min.X:])
		}
	}
	f.each(r, func(t *tile) { t.unknown = false })
	return copied
}

// Whatever moves, where to and how far, the viewer has the screen's pixels.
func TestCopiesAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		size := image.Pt(1+rng.IntN(300), 1+rng.IntN(300))
		f, s := newFrame(size), newScroller()
		viewer, screen := make([]byte, len(f.pix)), random(rng, size)
		for range 6 {
			look(f, s, viewer, screen)
			require.Equal(t, screen, viewer)
			require.Equal(t, screen, f.pix)
			// A part moves up or down, and something else changes.
			part := image.Rect(rng.IntN(size.X), rng.IntN(size.Y), rng.IntN(size.X+1), rng.IntN(size.Y+1))
			dy := rng.IntN(2*size.Y) - size.Y
			was := append([]byte{}, screen...)
			for y := part.Min.Y; y < part.Max.Y; y++ {
				if from := y + dy; from >= part.Min.Y && from < part.Max.Y {
					copy(screen[4*(y*size.X+part.Min.X):4*(y*size.X+part.Max.X)], was[4*(from*size.X+part.Min.X):])
				}
			}
			screen[4*rng.IntN(size.X*size.Y)] ^= 0x40
		}
	}
}

// What the viewer doesn't have isn't copied, though the frame, which is black there, may say that it is the same.
func TestUnknownIsNotCopied(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	size := image.Pt(256, 512)
	f, s := newFrame(size), newScroller()
	f.each(f.bounds(), func(t *tile) { t.unknown = false })
	was := random(rng, size)
	copy(f.pix, was)
	f.forget(image.Rect(64, 256, 128, 320))
	is := append(append([]byte{}, was[40*f.stride:]...), was[:40*f.stride]...) // came up
	var copied image.Rectangle
	for _, m := range s.find(f, f.bounds(), is, f.stride, image.Point{}) {
		copied = copied.Union(m.rect)
		assert.False(t, f.anyUnknown(m.rect.Add(image.Pt(0, m.dy))), "%v", m)
	}
	assert.False(t, copied.Empty(), "nothing was found")
}

// What has moved is found, both ways, also where each row is there twice.
func TestShiftsAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, scale := range []int{1, 2} {
		for _, dy := range []int{-100, -13, 1, 14, 200} {
			size := image.Pt(500, 400)
			rows := make([][]byte, 1000)
			for y := range rows {
				if y%scale == 0 {
					rows[y] = random(rng, image.Pt(size.X, 1))
				} else {
					rows[y] = rows[y-1]
				}
			}
			at := func(from int) (pix []byte) {
				for y := range size.Y {
					pix = append(pix, rows[300+from+y]...)
				}
				return pix
			}
			f, s := newFrame(size), newScroller()
			viewer := make([]byte, len(f.pix))
			look(f, s, viewer, at(0))
			copied := look(f, s, viewer, at(dy))
			assert.Equal(t, at(dy), viewer)
			assert.Greater(t, copied, size.X*(size.Y-max(dy, -dy))*8/10, "scale %d, dy %d", scale, dy)
		}
	}
}

// Where nothing moves it is looked for ever less often, and found again at once.
func TestSearchBacksOff(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	size := image.Pt(128, 128)
	f, s := newFrame(size), newScroller()
	looks := 0
	for range 1000 {
		if s.skip == 0 {
			looks++
		}
		s.find(f, f.bounds(), random(rng, size), f.stride, image.Point{})
	}
	assert.Less(t, looks, 30)
}

// Bytes without a meaning are no difference.
func TestMeaninglessBytes(t *testing.T) {
	f := newFrame(image.Pt(130, 70))
	pix := append([]byte{}, f.pix...)
	for i := 3; i < len(pix); i += 4 {
		pix[i] = 0xff
	}
	assert.Empty(t, f.differ(f.bounds(), pix, f.stride, image.Point{}))
	for _, at := range []image.Point{{0, 0}, {129, 69}, {64, 10}, {63, 10}} {
		pix[at.Y*f.stride+4*at.X] ^= 1
		assert.Equal(t, image.Rect(at.X, at.Y, at.X+1, at.Y+1), f.differ(f.bounds(), pix, f.stride, image.Point{}))
		pix[at.Y*f.stride+4*at.X] ^= 1
	}
}

// Dirty tiles are fetched once each, by rectangles that don't overlap.
func TestDirtyRectangles(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		f := newFrame(image.Pt(1+rng.IntN(3000), 1+rng.IntN(2000)))
		f.dirty(f.bounds())
		require.False(t, f.anyDirty(f.bounds()))
		want := map[int]bool{}
		for range rng.IntN(40) {
			i := rng.IntN(len(f.tiles))
			f.tiles[i].dirty = true
			want[i] = true
		}
		rects := f.dirty(f.bounds())
		assert.False(t, f.anyDirty(f.bounds()))
		for i, r := range rects {
			assert.True(t, r.In(f.bounds()))
			for _, q := range rects[:i] {
				assert.False(t, r.Overlaps(q), "%v %v", r, q)
			}
		}
		for i := range want {
			covered := false
			for _, r := range rects {
				covered = covered || f.tileRect(i%f.cols, i/f.cols).In(r)
			}
			assert.True(t, covered)
		}
	}
}

// Of what is to be sent anew the whole tiles are one rectangle, and what is around them are others: all of it once.
func TestTilesIn(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for range 2000 {
		f := newFrame(image.Pt(1+rng.IntN(400), 1+rng.IntN(300)))
		at := image.Pt(rng.IntN(f.size.X), rng.IntN(f.size.Y))
		r := image.Rectangle{Min: at, Max: at.Add(image.Pt(1+rng.IntN(300), 1+rng.IntN(300)))}
		if rng.IntN(3) == 0 { // from the beginning of a tile
			r.Min = image.Pt(at.X&^(tileSize-1), at.Y&^(tileSize-1))
		}
		r = r.Intersect(f.bounds())
		whole := f.tilesIn(r)
		for row := range f.rows {
			for col := range f.cols {
				tile := f.tileRect(col, row)
				require.Equal(t, tile.In(r), tile.In(whole), "%v of %v: %v, tile %v", r, f.size, whole, tile)
				require.True(t, tile.In(whole) || !tile.Overlaps(whole), "%v of %v: %v, tile %v", r, f.size, whole, tile)
			}
		}
		sum := area(whole)
		for _, part := range around(r, whole) {
			require.True(t, part.In(r) && !part.Overlaps(whole))
			sum += area(part)
		}
		require.Equal(t, area(r), sum)
	}
}

// A tile of which a part was sent again without loss is as lossy as it was.
func TestLossyTiles(t *testing.T) {
	f := newFrame(image.Pt(200, 200))
	f.setLossy(image.Rect(0, 0, 128, 64), true, 1)
	assert.Equal(t, 2, f.lossy)
	f.setLossy(image.Rect(0, 0, 64, 63), false, 2)
	assert.Equal(t, 2, f.lossy)
	assert.True(t, f.anyLossy(image.Rect(0, 63, 1, 64)))
	f.setLossy(image.Rect(0, 0, 64, 64), false, 3)
	assert.Equal(t, 1, f.lossy)
	assert.False(t, f.anyLossy(image.Rect(0, 0, 64, 64)))
}

// In the long run there are no more looks than max_fps allows, after a rest the first
// come sooner, and where all is in vain they come seldom.
func TestPace(t *testing.T) {
	p := pace{interval: time.Second / 30, gap: minGap}
	now, looks := 10*time.Second, 0
	assert.LessOrEqual(t, p.next(), now, "at once after a rest")
	for began := now; now < began+10*time.Second; now = max(now, p.next()) {
		p.took(now, 1, 1)
		looks++
	}
	assert.InDelta(t, 300, looks, 5)
	assert.Equal(t, minGap, (&pace{last: 5 * time.Second, gap: minGap}).next()-5*time.Second)

	looks = 0
	for began := now; now < began+10*time.Second; now = max(now, p.next()) {
		p.took(now, 500, 3)
		looks++
	}
	assert.Less(t, looks, 150)
	require.True(t, p.slow)
	p.took(now, 0, 0) // as when only what had been JPEG is sent again
	assert.True(t, p.slow)
	p.took(now, 500, 400)
	assert.False(t, p.slow)
}
