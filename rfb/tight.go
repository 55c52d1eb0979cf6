package rfb

import "fmt"

// A Tight rectangle begins with a control byte, whose upper half says what
// follows.
const (
	tightFill   = 0x8 // one pixel
	tightJPEG   = 0x9 // length and a JPEG picture
	tightPNG    = 0xa // TightPNG: length and a PNG picture
	tightPlain  = 0xa // Tight, if TightNoZlib was asked for: pixels as they are, 0xe with a filter
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
	c := control >> 4
	png := w.enc == EncodingTightPNG
	w.plain = c > tightBasic
	switch {
	case c == tightFill:
		w.pass(uint64(w.tpixel))
	case c == tightJPEG, c == tightPNG && png:
		w.pixels = w.area() * uint64(w.pixel)
		w.expectTightLength()
	case png, w.plain && (c&^tightFilter != tightPlain || !w.inspect):
		return fmt.Errorf("%w: %v control byte %#x", ErrMalformed, w.enc, control)
	case c&tightFilter != 0:
		w.expect(inTightFilter, 1)
	default:
		w.tightData(w.area() * uint64(w.tpixel))
	}
	return nil
}

// fills passes over rectangles of one colour that lie in p as a whole, all but
// the update's last, and returns their length: there can be very many.
func (w *walker) fills(p []byte) int {
	size := rectangleHeadLen + 1 + w.tpixel
	if !w.agreed.allows(tightBit) {
		return 0
	}
	width, height := w.agreed.framebuffer()
	i := 0
	for w.rects > 1 && len(p)-i >= size {
		b := p[i : i+rectangleHeadLen+1]
		r := parseRect(b)
		if be32(b[8:]) != uint32(EncodingTight) || b[12]>>4 != tightFill || r.Empty() || !r.inside(width, height) {
			break
		}
		i += size
		w.rects--
	}
	return i
}

var tightBit = encodingBit(EncodingTight)

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
	if n < tightRaw || w.plain {
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
