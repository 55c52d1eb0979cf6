package rfb

import "fmt"

// A Tight rectangle begins with a control byte, whose upper half says what
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
