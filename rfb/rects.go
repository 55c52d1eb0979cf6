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
