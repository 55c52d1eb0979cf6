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
	across := (width + 15) / 16
	all := across * ((height + 15) / 16)
	at := w.tile.y/16*across + w.tile.x/16
	i := 0
	for at < all && i < len(p) && p[i]&^tileBits == 0 {
		mask := int(p[i])
		n := i + 1 + (mask>>1&1+mask>>2&1)*pixel // as tileHead
		switch {
		case mask&tileRaw != 0:
			n = i + 1 + min(16, width-at%across*16)*min(16, height-at/across*16)*pixel
		case mask&tileSubrects == 0:
			// Such a tile is seldom alone. The processor can guess that the next
			// one is the same; what it has to read from it first it waits for.
			for size := n - i; at+1 < all && n+size <= len(p) && int(p[n]) == mask; at++ {
				n += size
			}
		case n < len(p):
			n += 1 + int(p[n])*(2+mask>>4*pixel)
		default:
			n = len(p) + 1
		}
		if n > len(p) {
			break
		}
		i = n
		at++
	}
	if at == all {
		w.nextRect()
	} else {
		w.tile.x, w.tile.y = at%across*16, at/across*16
	}
	return i
}
