package rfb

import "fmt"

// tileAt is a place in a Hextile rectangle: 16 x 16 pixels a tile, less at the
// right and lower edge, row by row.
type tileAt struct {
	x, y    int // of the tile, from the rectangle's corner
	subrect int // bytes of one of its subrectangles
}

// The bits of a tile's mask (RFC 6143 §7.7.4).
const (
	tileRaw        = 1
	tileBackground = 2
	tileForeground = 4
	tileSubrects   = 8
	tileColored    = 16
	tileBits       = 31
	tilePacked     = 32 | 64 // ZlibHex: deflated, as pixels or as the rest of a tile
)

// tileSize is the size of the current tile, tilePixels its pixels, and rawTile
// their length.
func (w *walker) tileSize() (width, height int) {
	return min(16, int(w.rect.Width)-w.tile.x), min(16, int(w.rect.Height)-w.tile.y)
}

func (w *walker) tilePixels() int {
	width, height := w.tileSize()
	return width * height
}

func (w *walker) rawTile() int { return w.tilePixels() * w.pixel }

// nextTile goes on to the next tile, or to the next rectangle.
func (w *walker) nextTile() {
	if w.tile.x += 16; w.tile.x >= int(w.rect.Width) {
		w.tile.x = 0
		if w.tile.y += 16; w.tile.y >= int(w.rect.Height) {
			w.nextRect()
			return
		}
	}
	if w.enc == EncodingTRLE {
		w.expect(inRuns, 1)
	} else {
		w.expect(inTile, 1)
	}
}

// tileMask begins a tile.
func (w *walker) tileMask(mask byte) error {
	if w.enc != EncodingHextile && mask&tilePacked != 0 && mask&^(tileBits|tilePacked) == 0 {
		w.expect(inPackedTile, 2)
		return nil
	}
	if mask&^tileBits != 0 {
		return fmt.Errorf("%w: Hextile mask %#x", ErrMalformed, mask)
	}
	if mask&tileRaw != 0 {
		w.skip = uint64(w.rawTile())
		w.nextTile()
		return nil
	}
	colors, subrect := tileHead(mask, w.pixel)
	if mask&tileSubrects != 0 {
		w.tile.subrect = subrect
		w.expect(inSubrects, colors+1)
		return nil
	}
	w.skip = uint64(colors)
	w.nextTile()
	return nil
}

// tileHead is the length of the colours that a mask announces, and of a
// subrectangle.
func tileHead(mask byte, pixel int) (colors, subrect int) {
	if mask&tileBackground != 0 {
		colors += pixel
	}
	if mask&tileForeground != 0 {
		colors += pixel
	}
	subrect = 2
	if mask&tileColored != 0 {
		subrect += pixel
	}
	return colors, subrect
}

// tiles passes over the tiles that lie in p as a whole, which is nearly all of
// them, and returns their length. What is cut off or wrong is left to read.
func (w *walker) tiles(p []byte) int {
	width, height, pixel := int(w.rect.Width), int(w.rect.Height), w.pixel
	x, y, i := w.tile.x, w.tile.y, 0
	for i < len(p) && p[i]&^tileBits == 0 {
		mask := int(p[i])
		n := i + 1
		if mask&tileRaw != 0 {
			n += min(16, width-x) * min(16, height-y) * pixel
		} else {
			n += (mask>>1&1 + mask>>2&1) * pixel // as tileHead
			if mask&tileSubrects != 0 {
				if n >= len(p) {
					break
				}
				n += 1 + int(p[n])*(2+mask>>4*pixel)
			}
		}
		if n > len(p) {
			break
		}
		i = n
		if x += 16; x >= width {
			x = 0
			if y += 16; y >= height {
				w.nextRect()
				return i
			}
		}
	}
	w.tile.x, w.tile.y = x, y
	return i
}
