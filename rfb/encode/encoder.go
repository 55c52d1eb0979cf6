package encode

import (
	"vda.internal/shadow/rfb"
)

// An Encoder encodes pixels for one viewer. The zero Encoder sends Raw in the
// format [Format], as RFC 6143 has it before a viewer has said anything. An
// Encoder is not safe for concurrent use.
type Encoder struct {
	layout   *layout
	mapDue   bool // the colour map hasn't been sent
	asked    map[rfb.Encoding]bool
	encoding rfb.Encoding // of pixels
	hints    hints
	tight    tightEncoder
	zrle     zrleEncoder
	hextile  hextileEncoder

	start int        // of the update's header in the caller's buffer
	rects int        // in this update
	open  bool       // the update says that LastRect ends it
	lossy []rfb.Rect // of this update
}

// hints are what a viewer asks for by number.
type hints struct {
	quality  int  // of JPEG, 0 to 9; -1: none
	compress int  // 0 to 9; -1: ours
	fresh    bool // each of Tight's rectangles begins its zlib stream anew
}

// SetPixelFormat makes f the format of the rectangles to come: what a viewer's
// SetPixelFormat asks for. The error wraps [rfb.ErrMalformed] if f contradicts
// RFC 6143 §7.4, and the format stays what it was.
//
// A format without true colour must have 8 bits. The colour map is a cube of six
// levels of red, green and blue; the next [Encoder.BeginUpdate] sends it.
func (e *Encoder) SetPixelFormat(f rfb.PixelFormat) error {
	l, err := newLayout(f)
	if err != nil {
		return err
	}
	e.layout, e.mapDue = l, !f.TrueColor
	return nil
}

// SetEncodings makes list, the preferred one first, what the viewer understands:
// what a viewer's SetEncodings says. Pixels are sent in the first encoding of
// the list that is Tight, ZRLE, Hextile or Raw; Raw if none is. Tight sends JPEG
// if the list has a quality, and CompressLevels 0 to 9 are zlib's levels 1 to 6. With FreshStreams
// each rectangle of Tight begins its zlib stream anew.
func (e *Encoder) SetEncodings(list []rfb.Encoding) {
	if e.asked == nil {
		e.asked = make(map[rfb.Encoding]bool)
	}
	clear(e.asked)
	e.encoding, e.hints = -1, hints{quality: -1, compress: -1}
	for _, enc := range list {
		switch {
		case enc >= rfb.EncodingQuality0 && enc <= rfb.EncodingQuality9:
			e.hints.quality = int(enc - rfb.EncodingQuality0)
		case enc >= rfb.EncodingCompress0 && enc <= rfb.EncodingCompress9:
			e.hints.compress = int(enc - rfb.EncodingCompress0)
		case enc == rfb.EncodingFreshStreams:
			e.hints.fresh = true
		case e.encoding < 0 && served(enc):
			e.encoding = enc
		}
		if known(enc) {
			e.asked[enc] = true
		}
	}
	e.encoding = max(e.encoding, rfb.EncodingRaw)
}

// served reports whether pixels can be sent in enc.
func served(enc rfb.Encoding) bool {
	switch enc {
	case rfb.EncodingRaw, rfb.EncodingHextile, rfb.EncodingZRLE, rfb.EncodingTight:
		return true
	}
	return false
}

// known reports whether it matters if a viewer understands enc.
func known(enc rfb.Encoding) bool {
	switch enc {
	case rfb.EncodingCopyRect, rfb.EncodingDesktopSize, rfb.EncodingExtendedDesktopSize, rfb.EncodingLastRect,
		rfb.EncodingDesktopName, rfb.EncodingCursor, rfb.EncodingCursorWithAlpha, rfb.EncodingPointerPos:
		return true
	}
	return served(enc)
}

// Understands reports whether the viewer asked for enc, if enc is one that an
// Encoder can send.
func (e *Encoder) Understands(enc rfb.Encoding) bool { return e.asked[enc] }

// Encoding is what pixels are sent in.
func (e *Encoder) Encoding() rfb.Encoding { return e.encoding }

// jpegQuality is JPEG's quality for the viewer's: what TigerVNC and libvncserver
// make of it.
func (h *hints) jpegQuality() int {
	return [...]int{15, 29, 41, 42, 62, 77, 79, 86, 92, 100}[h.quality]
}

// ready gives the zero Encoder its format.
func (e *Encoder) ready() {
	if e.layout == nil {
		e.layout, _ = newLayout(Format())
	}
}
