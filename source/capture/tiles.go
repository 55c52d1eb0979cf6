package capture

import (
	"image"
	"time"
)

// tileSize is the side of a tile in pixels: what is compared and remembered as one.
const tileSize = 64

// A tile is what is known of one square of the frame.
type tile struct {
	dirty   bool // its pixels may have changed since they were looked at
	unknown bool // the viewer doesn't have it, or asked to have it anew
	lossy   bool // the viewer has a JPEG of it
	sent    time.Duration
}

// A frame is the picture as the viewer has it, but for what JPEG took away.
type frame struct {
	size   image.Point
	pix    []byte // four bytes a pixel: blue, green, red, and one without a meaning
	stride int
	cols   int
	rows   int
	tiles  []tile
	lossy  int // tiles
}

// newFrame is a frame of which the viewer has nothing.
func newFrame(size image.Point) *frame {
	f := &frame{
		size: size, stride: 4 * size.X, pix: make([]byte, 4*size.X*size.Y),
		cols: (size.X + tileSize - 1) / tileSize, rows: (size.Y + tileSize - 1) / tileSize,
	}
	f.tiles = make([]tile, f.cols*f.rows)
	f.forget(f.bounds())
	return f
}

func (f *frame) bounds() image.Rectangle { return image.Rectangle{Max: f.size} }

// row is width pixels of row y from x on.
func (f *frame) row(x, y, width int) []byte {
	at := y*f.stride + 4*x
	return f.pix[at : at+4*width]
}

// tileRange is the tiles that r touches, in tiles.
func (f *frame) tileRange(r image.Rectangle) image.Rectangle {
	r = r.Intersect(f.bounds())
	if r.Empty() {
		return image.Rectangle{}
	}
	return image.Rect(r.Min.X/tileSize, r.Min.Y/tileSize, (r.Max.X-1)/tileSize+1, (r.Max.Y-1)/tileSize+1)
}

// tilesIn is the pixels of the tiles that lie in r wholly.
func (f *frame) tilesIn(r image.Rectangle) image.Rectangle {
	n := f.tileRange(r)
	if n.Empty() {
		return image.Rectangle{}
	}
	if n.Min.X*tileSize < r.Min.X {
		n.Min.X++
	}
	if n.Min.Y*tileSize < r.Min.Y {
		n.Min.Y++
	}
	if min(n.Max.X*tileSize, f.size.X) > r.Max.X {
		n.Max.X--
	}
	if min(n.Max.Y*tileSize, f.size.Y) > r.Max.Y {
		n.Max.Y--
	}
	if n.Empty() {
		return image.Rectangle{}
	}
	return f.tileRect(n.Min.X, n.Min.Y).Union(f.tileRect(n.Max.X-1, n.Max.Y-1))
}

// each calls do with the tiles that r touches.
func (f *frame) each(r image.Rectangle, do func(t *tile)) {
	n := f.tileRange(r)
	for y := n.Min.Y; y < n.Max.Y; y++ {
		for x := n.Min.X; x < n.Max.X; x++ {
			do(&f.tiles[y*f.cols+x])
		}
	}
}

// tileRect is the pixels of a tile.
func (f *frame) tileRect(col, row int) image.Rectangle {
	r := image.Rect(col*tileSize, row*tileSize, (col+1)*tileSize, (row+1)*tileSize)
	return r.Intersect(f.bounds())
}

// touch notes that the pixels of r may have changed.
func (f *frame) touch(r image.Rectangle) { f.each(r, func(t *tile) { t.dirty = true }) }

// forget notes that the viewer is to have r anew, whatever it has.
func (f *frame) forget(r image.Rectangle) {
	f.each(r, func(t *tile) { t.dirty, t.unknown = true, true })
}

// setLossy notes that the viewer was sent r, as JPEG or not. A tile of which the
// viewer was sent but a part without loss is as lossy as it was.
func (f *frame) setLossy(r image.Rectangle, lossy bool, now time.Duration) {
	n := f.tileRange(r)
	for row := n.Min.Y; row < n.Max.Y; row++ {
		for col := n.Min.X; col < n.Max.X; col++ {
			t := &f.tiles[row*f.cols+col]
			t.sent = now
			switch {
			case lossy && !t.lossy:
				t.lossy = true
				f.lossy++
			case !lossy && t.lossy && f.tileRect(col, row).In(r):
				t.lossy = false
				f.lossy--
			}
		}
	}
}

// anyDirty reports whether any tile of r is dirty.
func (f *frame) anyDirty(r image.Rectangle) bool {
	n := f.tileRange(r)
	for row := n.Min.Y; row < n.Max.Y; row++ {
		for _, t := range f.tiles[row*f.cols+n.Min.X : row*f.cols+n.Max.X] {
			if t.dirty {
				return true
			}
		}
	}
	return false
}

// anyLossy reports whether the viewer has a JPEG of any of r.
func (f *frame) anyLossy(r image.Rectangle) (any bool) {
	if f.lossy > 0 {
		f.each(r, func(t *tile) { any = any || t.lossy })
	}
	return any
}

// anyUnknown reports whether the viewer doesn't have all of r.
func (f *frame) anyUnknown(r image.Rectangle) (any bool) {
	f.each(r, func(t *tile) { any = any || t.unknown })
	return any
}

// dirty is the dirty tiles in within, as few rectangles of pixels: tiles that
// lie side by side are one, and rows of them that lie one upon the other, and
// rectangles that cost less together than apart. The tiles that lie in within
// wholly are dirty no longer.
func (f *frame) dirty(within image.Rectangle) []image.Rectangle {
	var done, open []image.Rectangle // open ones end at the row above
	n := f.tileRange(within)
	for row := n.Min.Y; row < n.Max.Y; row++ {
		var next []image.Rectangle
		for col := n.Min.X; col < n.Max.X; col++ {
			t := &f.tiles[row*f.cols+col]
			if !t.dirty {
				continue
			}
			r := f.tileRect(col, row)
			t.dirty = !r.In(within)
			r = r.Intersect(within)
			if last := len(next) - 1; last >= 0 && next[last].Max.X == r.Min.X {
				next[last].Max.X = r.Max.X
			} else {
				next = append(next, r)
			}
		}
		for i, r := range next {
			for j, o := range open {
				if o.Min.X == r.Min.X && o.Max.X == r.Max.X && o.Max.Y == r.Min.Y {
					next[i].Min.Y = o.Min.Y
					open[j] = image.Rectangle{}
				}
			}
		}
		done, open = append(done, nonEmpty(open)...), next
	}
	return join(append(done, nonEmpty(open)...))
}

func nonEmpty(rects []image.Rectangle) (kept []image.Rectangle) {
	for _, r := range rects {
		if !r.Empty() {
			kept = append(kept, r)
		}
	}
	return kept
}

// requestCost is how many pixels can be copied in the time that one more request
// takes.
const requestCost = 1 << 17

// maxRects is beyond how many rectangles their surroundings are fetched instead.
const maxRects = 64

// join puts rectangles together that cost less so.
func join(rects []image.Rectangle) []image.Rectangle {
	if len(rects) > maxRects {
		all := image.Rectangle{}
		for _, r := range rects {
			all = all.Union(r)
		}
		return []image.Rectangle{all}
	}
	for i := 0; i < len(rects); i++ {
		for j := i + 1; j < len(rects); j++ {
			both := rects[i].Union(rects[j])
			if area(both) < area(rects[i])+area(rects[j])+requestCost {
				rects[i] = both
				rects = append(rects[:j], rects[j+1:]...)
				j = i // it is larger now, so the others are looked at again
			}
		}
	}
	return separate(rects)
}

// separate joins rectangles that have come to overlap.
func separate(rects []image.Rectangle) []image.Rectangle {
	for i := 0; i < len(rects); i++ {
		for j := 0; j < len(rects); j++ {
			if i != j && rects[i].Overlaps(rects[j]) {
				rects[i] = rects[i].Union(rects[j])
				rects = append(rects[:j], rects[j+1:]...)
				return separate(rects)
			}
		}
	}
	return rects
}

func area(r image.Rectangle) int { return r.Dx() * r.Dy() }
