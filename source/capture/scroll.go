package capture

import (
	"hash/maphash"
	"image"
)

const (
	stripWidth  = tileSize // columns that are looked at as one
	minScroll   = 32       // rows that must have moved together
	minTiles    = 4        // changed ones, before it is worth looking
	maxFailures = 6        // after so many powers of two it isn't looked more seldom
)

// A scroller finds areas that have moved up or down. Where it finds nothing
// again and again it looks ever more seldom.
type scroller struct {
	seed     maphash.Seed
	was, is  []uint64 // hashes of a strip's rows
	index    table
	failures int
	skip     int
}

func newScroller() *scroller { return &scroller{seed: maphash.MakeSeed()} }

// A shift is an area that shows what was dy rows further down.
type shift struct {
	rect image.Rectangle
	dy   int
}

// find returns what has moved within r, between the frame and pix. The areas
// and where they come from lie in r and don't overlap one another's: they can
// be copied in any order.
func (s *scroller) find(f *frame, r image.Rectangle, pix []byte, stride int, origin image.Point) []shift {
	if r.Dy() < 2*minScroll {
		return nil
	}
	if s.skip > 0 {
		s.skip--
		return nil
	}
	var found []shift
	for x := r.Min.X; x < r.Max.X; x += stripWidth {
		strip := image.Rect(x, r.Min.Y, min(x+stripWidth, r.Max.X), r.Max.Y)
		if f.anyUnknown(strip) {
			continue // the viewer doesn't have what would be copied
		}
		m, ok := s.strip(f, strip, pix, stride, origin)
		if !ok {
			continue
		}
		if n := len(found) - 1; n >= 0 && found[n].dy == m.dy && found[n].rect.Max.X == m.rect.Min.X {
			rows := found[n].rect
			rows.Min.Y, rows.Max.Y = max(rows.Min.Y, m.rect.Min.Y), min(rows.Max.Y, m.rect.Max.Y)
			// The strips have rows in common, nearly always all of them.
			if 4*rows.Dy() > 3*max(found[n].rect.Dy(), m.rect.Dy()) {
				rows.Max.X = m.rect.Max.X
				found[n].rect = rows
				continue
			}
		}
		found = append(found, m)
	}
	if found == nil {
		s.failures = min(s.failures+1, maxFailures)
		s.skip = 1<<s.failures - 1
		return nil
	}
	s.failures = 0
	return found
}

// strip finds the one shift of a strip: the distance that most of its rows which
// are like no other have moved, and the longest run of rows that have.
func (s *scroller) strip(f *frame, r image.Rectangle, pix []byte, stride int, origin image.Point) (shift, bool) {
	n := r.Dy()
	s.was, s.is = s.was[:0], s.is[:0]
	changed := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := (y-origin.Y)*stride + 4*(r.Min.X-origin.X)
		was := maphash.Bytes(s.seed, f.row(r.Min.X, y, r.Dx()))
		is := maphash.Bytes(s.seed, pix[at:at+4*r.Dx()])
		if was != is {
			changed++
		}
		s.was, s.is = append(s.was, was), append(s.is, is)
	}
	if changed < minScroll/2 {
		return shift{}, false
	}
	dy := s.distance(n)
	if dy == 0 {
		return shift{}, false
	}
	from, to := s.longest(dy)
	if to-from < minScroll {
		return shift{}, false
	}
	return shift{image.Rect(r.Min.X, r.Min.Y+from, r.Max.X, r.Min.Y+to), dy}, true
}

// distance is how far most rows have come up, negative if they went down; 0 if
// that can't be said.
func (s *scroller) distance(n int) int {
	s.index.reset(n)
	for y := range n - 2 {
		s.index.add(three(s.was, y), y)
	}
	votes := make(map[int]int, 8)
	best, most := 0, 0
	for y := range n - 2 {
		if s.is[y] == s.was[y] {
			continue // it may not have moved
		}
		if from, ok := s.index.only(three(s.is, y)); ok {
			votes[from-y]++
			if votes[from-y] > most {
				best, most = from-y, votes[from-y]
			}
		}
	}
	if most < minScroll/4 {
		return 0
	}
	return best
}

// three stands for three rows: where each row is there twice, as on screens that
// are scaled, none is like no other.
func three(rows []uint64, y int) uint64 {
	const odd = 0x9e3779b97f4a7c15
	return ((rows[y]*odd)^rows[y+1])*odd ^ rows[y+2]
}

// longest is the longest run of rows that show what was dy further down.
func (s *scroller) longest(dy int) (from, to int) {
	start := 0
	for y := range s.is {
		if y+dy < 0 || y+dy >= len(s.was) || s.is[y] != s.was[y+dy] {
			start = y + 1
		} else if y+1-start > to-from {
			from, to = start, y+1
		}
	}
	return from, to
}

// A table finds the row that a hash stands for.
type table struct {
	keys []uint64
	rows []int32 // row + 1; 0: free; -1: several rows
	mask uint64
}

// reset empties the table and makes it fit for n rows.
func (t *table) reset(n int) {
	size := 64
	for size < 2*n {
		size *= 2
	}
	if len(t.keys) != size {
		t.keys, t.rows = make([]uint64, size), make([]int32, size)
		t.mask = uint64(size - 1)
		return
	}
	clear(t.rows)
}

func (t *table) slot(h uint64) uint64 {
	i := h & t.mask
	for t.rows[i] != 0 && t.keys[i] != h {
		i = (i + 1) & t.mask
	}
	return i
}

func (t *table) add(h uint64, row int) {
	i := t.slot(h)
	if t.rows[i] != 0 {
		t.rows[i] = -1
		return
	}
	t.keys[i], t.rows[i] = h, int32(row+1)
}

// only is the one row with that hash.
func (t *table) only(h uint64) (row int, ok bool) {
	n := t.rows[t.slot(h)]
	return int(n) - 1, n > 0
}
