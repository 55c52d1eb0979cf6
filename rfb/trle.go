package rfb

import "fmt"

// runs are where a walker is in a tile of TRLE that has runs, and what it must
// know of the tile before.
type runs struct {
	left    int  // pixels of the tile
	run     int  // pixels of the current run
	palette int  // colours of the last palette; zero: there was none
	plain   bool // runs have pixels, not indices
}

// The kinds of a tile (RFC 6143 §7.7.5).
const (
	trleRaw       = 0
	trlePalette   = 16  // up to here the number of colours of a packed palette
	trleReuse     = 127 // a packed palette, that of the tile before
	trlePlain     = 128 // runs of pixels
	trleReuseRuns = 129 // runs of indices into the palette of the tile before
)

// run takes the byte, or the pixel, that a state of a TRLE tile asked for.
func (w *walker) run(b byte) error {
	switch w.state {
	case inRuns:
		return w.trleTile(int(b))
	case inRunPixel:
		w.runs.run = 1
		w.expect(inRunLength, 1)
	case inRunIndex:
		if int(b&0x7f) >= w.runs.palette {
			return fmt.Errorf("%w: TRLE index %d of %d colours", ErrMalformed, b&0x7f, w.runs.palette)
		}
		if w.runs.run = 1; b&0x80 != 0 {
			w.expect(inRunLength, 1)
			return nil
		}
		w.nextRun()
	case inRunLength:
		if w.runs.run += int(b); w.runs.run > w.runs.left {
			return fmt.Errorf("%w: TRLE run beyond its tile", ErrMalformed)
		}
		if b != 255 {
			w.nextRun()
		}
	}
	return nil
}

// nextRun goes on to the next run, or to the next tile.
func (w *walker) nextRun() {
	switch w.runs.left -= w.runs.run; {
	case w.runs.left == 0:
		w.nextTile()
	case w.runs.plain:
		w.expect(inRunPixel, w.cpixel)
	default:
		w.expect(inRunIndex, 1)
	}
}

// trleTile begins a tile.
func (w *walker) trleTile(kind int) error {
	r := &w.runs
	r.left = w.tilePixels()
	switch {
	case kind == trleRaw:
		w.skip = uint64(r.left * w.cpixel)
		w.nextTile()
	case kind == 1:
		w.skip = uint64(w.cpixel)
		w.nextTile()
	case kind <= trlePalette:
		r.palette = kind
		w.skip = uint64(kind * w.cpixel)
		return w.packed()
	case kind == trleReuse:
		return w.packed()
	case kind < trleReuse:
		return fmt.Errorf("%w: TRLE tile of kind %d", ErrMalformed, kind)
	case kind == trlePlain:
		r.plain = true
		w.expect(inRunPixel, w.cpixel)
	default:
		if r.plain = false; kind != trleReuseRuns {
			r.palette = kind - trlePlain
			w.skip = uint64(r.palette * w.cpixel)
		}
		if r.palette == 0 {
			return fmt.Errorf("%w: TRLE tile without a palette to reuse", ErrMalformed)
		}
		w.expect(inRunIndex, 1)
	}
	return nil
}

// packed passes over indices of one, two or four bits, rows padded to bytes.
func (w *walker) packed() error {
	bits := 4
	switch n := w.runs.palette; {
	case n < 2 || n > trlePalette:
		return fmt.Errorf("%w: TRLE tile with a packed palette of %d colours", ErrMalformed, n)
	case n == 2:
		bits = 1
	case n <= 4:
		bits = 2
	}
	width, height := w.tileSize()
	w.skip += uint64((width*bits + 7) / 8 * height)
	w.nextTile()
	return nil
}
