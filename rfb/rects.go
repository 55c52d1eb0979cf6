package rfb

import (
	"encoding/binary"
	"fmt"
)

// nextRect goes on to the next rectangle of the update, or to the next message.
func (w *walker) nextRect() {
	if w.rects--; w.rects > 0 {
		w.expect(atRect, 12)
		return
	}
	w.expect(atMessage, 1)
}

// pass passes over the last n bytes of a rectangle.
func (w *walker) pass(n uint64) {
	w.skip = n
	w.nextRect()
}

// rectangle begins the body of a rectangle. Only what was asked for may come,
// and only where the framebuffer is.
func (w *walker) rectangle(r Rect, enc Encoding) error {
	bit := encodingBit(enc)
	if bit == 0 || !w.agreed.allows(bit) {
		return fmt.Errorf("%w: rectangle with encoding %v, which was not asked for", ErrForbidden, enc)
	}
	w.rect, w.enc = r, enc
	if enc < 0 {
		return w.pseudo()
	}
	if !r.inside(w.agreed.framebuffer()) {
		width, height := w.agreed.framebuffer()
		return fmt.Errorf("%w: rectangle %v outside the framebuffer of %dx%d", ErrMalformed, r, width, height)
	}
	switch enc {
	case EncodingRaw:
		w.pass(w.area() * uint64(w.pixel))
		return nil
	case EncodingCopyRect:
		w.pass(4)
		return nil
	}
	// Readers disagree on what an empty rectangle has of a body.
	if r.Empty() {
		return fmt.Errorf("%w: empty rectangle with encoding %v", ErrMalformed, enc)
	}
	switch enc {
	case EncodingRRE, EncodingCoRRE:
		w.expect(inRRE, 4+w.pixel)
	case EncodingHextile:
		w.tile = tileAt{}
		w.expect(inTile, 1)
	case EncodingZlib, EncodingZRLE:
		w.expect(inLength, 4)
	case EncodingTight:
		w.expect(inTight, 1)
	}
	return nil
}

// pseudo begins the body of a pseudo-encoding's rectangle.
func (w *walker) pseudo() error {
	r := w.rect
	switch w.enc {
	case EncodingDesktopSize:
		if err := checkSize(r.Width, r.Height); err != nil {
			return err
		}
		w.agreed.resize(r.Width, r.Height)
		w.pass(0)
	case EncodingLastRect:
		w.rects = 1
		w.pass(0)
	case EncodingPointerPos:
		w.pass(0)
	case EncodingCursor, EncodingXCursor:
		if r.Width > maxCursorSide || r.Height > maxCursorSide {
			return fmt.Errorf("%w: cursor of %d x %d", ErrLimit, r.Width, r.Height)
		}
		mask := (uint64(r.Width) + 7) / 8 * uint64(r.Height)
		switch {
		case w.enc == EncodingCursor:
			w.pass(w.area()*uint64(w.pixel) + mask)
		case r.Empty():
			w.pass(0)
		default:
			w.pass(6 + 2*mask)
		}
	case EncodingLEDState:
		w.pass(1)
	case EncodingDesktopName:
		w.expect(inName, 4)
	}
	return nil
}

// area is the number of the rectangle's pixels.
func (w *walker) area() uint64 { return uint64(w.rect.Width) * uint64(w.rect.Height) }

// body takes the bytes that a rectangle's state asked for.
func (w *walker) body(b []byte) error {
	switch w.state {
	case inLength:
		return w.bounded(w.enc.String(), uint64(binary.BigEndian.Uint32(b)), w.area()*uint64(w.pixel)+maxSlack, w.pass)
	case inRRE:
		return w.rre(uint64(binary.BigEndian.Uint32(b)))
	case inName:
		w.text = true
		return w.bounded("desktop name", uint64(binary.BigEndian.Uint32(b)), maxName, w.pass)
	case inTile:
		return w.tileMask(b[0])
	case inSubrects:
		w.skip = uint64(b[len(b)-1]) * uint64(w.tile.subrect)
		w.nextTile()
		return nil
	case inTight:
		return w.tight(b[0])
	case inTightFilter:
		return w.tightFilter(b[0])
	case inPalette:
		w.tightPalette(int(b[0]) + 1)
		return nil
	case inTightLength:
		return w.tightLength(b[0])
	}
	panic("rfb: walker in a state without a meaning")
}

// rre passes over subrectangles: a pixel and four coordinates each, of two
// bytes in RRE and one in CoRRE.
func (w *walker) rre(n uint64) error {
	if n > w.area() {
		return fmt.Errorf("%w: %v with %d subrectangles in %v", ErrMalformed, w.enc, n, w.rect)
	}
	size := uint64(w.pixel) + 8
	if w.enc == EncodingCoRRE {
		size = uint64(w.pixel) + 4
	}
	w.pass(n * size)
	return nil
}

// A tight rectangle begins with a control byte, whose upper half says what
// follows.
const (
	tightFill   = 0x8 // one pixel
	tightJPEG   = 0x9 // length and a JPEG picture
	tightBasic  = 0x7 // up to here: bit 2 says that a filter follows
	tightFilter = 0x4
)

// The filters of Tight's basic compression.
const (
	filterCopy     = 0
	filterPalette  = 1
	filterGradient = 2
)

// tightRaw is how many bytes are at least compressed; fewer stand as they are.
const tightRaw = 12

func (w *walker) tight(control byte) error {
	switch c := control >> 4; {
	case c == tightFill:
		w.pass(uint64(w.tpixel))
	case c == tightJPEG:
		w.pixels = w.area() * uint64(w.pixel)
		w.expectTightLength()
	case c <= tightBasic && c&tightFilter != 0:
		w.expect(inTightFilter, 1)
	case c <= tightBasic:
		w.tightData(w.area() * uint64(w.tpixel))
	default:
		return fmt.Errorf("%w: Tight control byte %#x", ErrMalformed, control)
	}
	return nil
}

func (w *walker) tightFilter(filter byte) error {
	switch filter {
	case filterCopy, filterGradient:
		w.tightData(w.area() * uint64(w.tpixel))
	case filterPalette:
		w.expect(inPalette, 1)
	default:
		return fmt.Errorf("%w: Tight filter %d", ErrMalformed, filter)
	}
	return nil
}

// tightPalette passes over a palette and begins the indices into it: a bit a
// pixel for two colours, rows padded to bytes, otherwise a byte.
func (w *walker) tightPalette(colors int) {
	n := w.area()
	if colors <= 2 {
		n = (uint64(w.rect.Width) + 7) / 8 * uint64(w.rect.Height)
	}
	w.tightData(n)
	w.skip += uint64(colors * w.tpixel)
}

// tightData begins n bytes of data, compressed or not.
func (w *walker) tightData(n uint64) {
	if n < tightRaw {
		w.pass(n)
		return
	}
	w.pixels = n
	w.expectTightLength()
}

func (w *walker) expectTightLength() {
	w.length, w.shift = 0, 0
	w.expect(inTightLength, 1)
}

// tightLength takes a byte of a length: seven bits, seven bits, eight bits,
// lowest first, the top bit of the first two saying that there is more.
func (w *walker) tightLength(b byte) error {
	if w.shift < 14 {
		w.length |= uint32(b&0x7f) << w.shift
		if w.shift += 7; b&0x80 != 0 {
			return nil
		}
	} else {
		w.length |= uint32(b) << w.shift
	}
	return w.bounded("Tight data", uint64(w.length), w.pixels+maxSlack, w.pass)
}

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
)

// rawTile is the length of the current tile's pixels.
func (w *walker) rawTile() int {
	return min(16, int(w.rect.Width)-w.tile.x) * min(16, int(w.rect.Height)-w.tile.y) * w.pixel
}

// nextTile goes on to the next tile, or to the next rectangle.
func (w *walker) nextTile() {
	if w.tile.x += 16; w.tile.x >= int(w.rect.Width) {
		w.tile.x = 0
		if w.tile.y += 16; w.tile.y >= int(w.rect.Height) {
			w.nextRect()
			return
		}
	}
	w.expect(inTile, 1)
}

// tileMask begins a tile.
func (w *walker) tileMask(mask byte) error {
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
	i := 0
	for i < len(p) && w.state == inTile {
		mask := p[i]
		n := 1
		switch {
		case mask&^tileBits != 0:
			return i
		case mask&tileRaw != 0:
			n += w.rawTile()
		default:
			colors, subrect := tileHead(mask, w.pixel)
			n += colors
			if mask&tileSubrects != 0 {
				if i+n >= len(p) {
					return i
				}
				n += 1 + int(p[i+n])*subrect
			}
		}
		if i+n > len(p) {
			return i
		}
		i += n
		w.nextTile()
	}
	return i
}
