package rfb

import "fmt"

// nextRect goes on to the next rectangle of the update, or to the next message.
func (w *walker) nextRect() {
	if w.outer.pixel != 0 {
		w.pixel, w.tpixel, w.cpixel = w.outer.pixel, w.outer.tpixel, w.outer.cpixel
		w.outer = format{}
	}
	if w.rects--; w.rects > 0 {
		w.expect(atRect, rectangleHeadLen)
		return
	}
	w.expect(atMessage, 1)
}

// pass passes over the last n bytes of a rectangle.
func (w *walker) pass(n uint64) {
	w.skip = n
	w.nextRect()
}

// picture reports whether rectangles with e are pixels of the framebuffer, so
// that they must lie in it.
func (e Encoding) picture() bool {
	return e >= 0 && e <= EncodingH264 && !e.many() || e == EncodingTightPNG
}

// many reports whether rectangles with e stand for many, so that their numbers
// have other meanings.
func (e Encoding) many() bool { return e == EncodingXZ || e == EncodingXZYW }

// represents is how many rectangles of its update one with this header stands for,
// and how long its body is, if its encoding is one of many.
func (r Rect) represents() (rects, length uint64) {
	return uint64(r.X)<<16 | uint64(r.Y), uint64(r.Width)<<16 | uint64(r.Height)
}

// rectangle begins the body of a rectangle. Only what was asked for may come,
// and only where the framebuffer is.
func (w *walker) rectangle(r Rect, enc Encoding) error {
	bit := encodingBit(enc)
	if bit == 0 || !w.agreed.allows(bit) {
		return fmt.Errorf("%w: rectangle with encoding %v, which was not asked for", ErrForbidden, enc)
	}
	w.rect, w.enc = r, enc
	if !enc.picture() {
		w.clear(true)
		return w.pseudo()
	}
	if width, height := w.agreed.framebuffer(); !r.inside(width, height) {
		return fmt.Errorf("%w: rectangle %v outside the framebuffer of %dx%d", ErrMalformed, r, width, height)
	}
	if !w.inspect {
		w.pixelsAt(r)
	}
	return w.picture()
}

// picture begins the body of a rectangle with pixels.
func (w *walker) picture() error {
	switch w.enc {
	case EncodingRaw:
		w.pass(w.area() * uint64(w.pixel))
		return nil
	case EncodingCopyRect:
		w.pass(4)
		return nil
	}
	// Readers disagree on what an empty rectangle has of a body.
	if w.rect.Empty() {
		return fmt.Errorf("%w: empty rectangle with encoding %v", ErrMalformed, w.enc)
	}
	switch w.enc {
	case EncodingRRE, EncodingCoRRE:
		w.expect(inRRE, 4+w.pixel)
	case EncodingHextile, EncodingZlibHex, EncodingZstdHex:
		w.tile = tileAt{}
		w.expect(inTile, 1)
	case EncodingZlib, EncodingZRLE, EncodingZYWRLE, EncodingUltra, EncodingUltra2,
		EncodingZstd, EncodingZstdRLE, EncodingZstdYWRLE:
		w.expect(inLength, 4)
	case EncodingTight, EncodingTightPNG, EncodingTightZstd:
		w.expect(inTight, 1)
	case EncodingTRLE:
		w.tile, w.runs = tileAt{}, runs{}
		w.expect(inRuns, 1)
	case EncodingJPEG:
		w.pixels = 0
		w.expect(inMarker, 2)
	case EncodingH264:
		w.expect(inH264, 8)
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
	case EncodingCursor, EncodingXCursor, EncodingVMwareCursor, EncodingCursorWithAlpha:
		return w.cursor()
	case EncodingLEDState:
		w.pass(1)
	case EncodingVMwareCursorState, EncodingVMwareMachineState, EncodingUltraCache:
		w.pass(2)
	case EncodingVMwareLEDState:
		w.pass(4)
	case EncodingVMwareKeyRepeat:
		w.pass(10)
	case EncodingVMwareDisplayMode:
		if err := checkSize(r.Width, r.Height); err != nil {
			return err
		}
		w.expect(inDisplayMode, pixelFormatLen)
	case EncodingDesktopName:
		w.expect(inName, 4)
	case EncodingExtendedDesktopSize:
		w.expect(inScreens, 4)
	case EncodingSupportedEncodings:
		if r.Width%4 != 0 {
			return fmt.Errorf("%w: %d bytes of encodings", ErrMalformed, r.Width)
		}
		w.pass(uint64(r.Width))
	case EncodingSupportedMessages, EncodingServerIdentity:
		w.pass(uint64(r.Width))
	case EncodingReplitAudio:
		w.expect(inCodecs, 4)
	case EncodingUltraZip, EncodingUltraCacheZip, EncodingUltraSolMonoZip, EncodingUltraQueueZstd:
		w.expect(inLength, 4)
	case EncodingXZ, EncodingXZYW:
		return w.manyRects()
	default: // a header only
		w.pass(0)
	}
	return nil
}

// manyRects passes over a rectangle that stands for many.
func (w *walker) manyRects() error {
	rects, length := w.rect.represents()
	if rects == 0 || rects > uint64(w.rects) {
		return fmt.Errorf("%w: %v for %d rectangles where %d are left", ErrMalformed, w.enc, rects, w.rects)
	}
	w.rects -= int(rects) - 1
	return w.bounded(w.enc.String(), length, maxMany, w.pass)
}

// cursor begins the body of a pointer's picture.
func (w *walker) cursor() error {
	r := w.rect
	if r.Width > maxCursorSide || r.Height > maxCursorSide {
		return fmt.Errorf("%w: cursor of %d x %d", ErrLimit, r.Width, r.Height)
	}
	mask := (uint64(r.Width) + 7) / 8 * uint64(r.Height)
	switch {
	case w.enc == EncodingCursor:
		w.pass(w.area()*uint64(w.pixel) + mask)
	case w.enc == EncodingVMwareCursor:
		w.expect(inVMwareCursor, 2)
	case w.enc == EncodingCursorWithAlpha:
		w.expect(inAlpha, 4)
	case r.Empty():
		w.pass(0)
	default:
		w.pass(6 + 2*mask)
	}
	return nil
}

// area is the number of the rectangle's pixels.
func (w *walker) area() uint64 { return uint64(w.rect.Width) * uint64(w.rect.Height) }

// body takes the bytes that a rectangle's state asked for.
func (w *walker) body(b []byte) error {
	switch w.state {
	case inLength:
		return w.bounded(w.enc.String(), uint64(be32(b)), packedLimit(w.enc, w.area(), w.pixel), w.pass)
	case inRRE:
		return w.rre(uint64(be32(b)))
	case inName:
		w.text = !w.inspect
		return w.bounded("desktop name", uint64(be32(b)), maxName, w.pass)
	case inTile:
		return w.tileMask(b[0])
	case inSubrects:
		w.skip = uint64(b[len(b)-1]) * uint64(w.tile.subrect)
		w.nextTile()
	case inPackedTile:
		w.skip = uint64(be16(b))
		w.nextTile()
	case inTight:
		return w.tight(b[0])
	case inTightFilter:
		return w.tightFilter(b[0])
	case inPalette:
		w.tightPalette(int(b[0]) + 1)
	case inTightLength:
		return w.tightLength(b[0])
	case inRuns, inRunPixel, inRunIndex, inRunLength:
		return w.run(b[0])
	case inMarker, inSegment, inScanMarker:
		return w.jpeg(b)
	case inH264:
		return w.bounded("H.264", uint64(be32(b)), maxH264, w.pass)
	default:
		return w.pseudoBody(b)
	}
	return nil
}

// pseudoBody takes the bytes that a pseudo-encoding's state asked for.
func (w *walker) pseudoBody(b []byte) error {
	switch w.state {
	case inScreens:
		r := w.rect
		if r.X != 1 || r.Y == 0 { // else an error, and the size has no meaning
			if err := checkSize(r.Width, r.Height); err != nil {
				return err
			}
			w.agreed.resize(r.Width, r.Height)
		}
		w.pass(screenLen * uint64(b[0]))
	case inAlpha:
		w.enc = Encoding(be32(b))
		if w.enc != EncodingRaw && !w.enc.picture() || w.enc == EncodingCopyRect || encodingBit(w.enc) == 0 || !w.agreed.allows(encodingBit(w.enc)) {
			return fmt.Errorf("%w: CursorWithAlpha with encoding %v", ErrMalformed, w.enc)
		}
		w.outer = format{w.pixel, w.tpixel, w.cpixel}
		w.setFormat(alphaFormat)
		return w.picture()
	case inVMwareCursor:
		switch b[0] {
		case 0:
			w.pass(2 * w.area() * uint64(w.pixel))
		case 1:
			w.pass(4 * w.area())
		default:
			return fmt.Errorf("%w: VMware cursor of kind %d", ErrMalformed, b[0])
		}
	case inDisplayMode:
		var f PixelFormat
		if err := f.UnmarshalBinary(b); err != nil {
			return err
		}
		if err := f.Check(); err != nil {
			return err
		}
		w.setFormat(f)
		w.agreed.resize(w.rect.Width, w.rect.Height)
		w.pass(0)
	case inCodecs:
		w.pass(2 * uint64(be16(b[2:])))
	default:
		panic("rfb: walker in a state without a meaning")
	}
	return nil
}

// packedLimit is how long a packed rectangle may be.
func packedLimit(e Encoding, area uint64, pixel int) uint64 {
	switch e {
	case EncodingUltraZip, EncodingUltraCacheZip, EncodingUltraSolMonoZip, EncodingUltraQueueZstd: // their size has other meanings
		return maxMany
	}
	return area*uint64(pixel) + maxSlack
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
