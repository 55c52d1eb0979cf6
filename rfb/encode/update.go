package encode

import (
	"encoding/binary"

	"vda.internal/shadow/rfb"
)

// maxRects is how many rectangles an update can have: 65535 means that LastRect
// ends it.
const maxRects = 0xfffe

// BeginUpdate appends the header of a FramebufferUpdate to dst, and before it a
// colour map if one is due. The Append methods add rectangles to it, and
// [Encoder.EndUpdate] writes their number into the header: dst must be kept
// together until then.
func (e *Encoder) BeginUpdate(dst []byte) []byte {
	e.ready()
	if e.mapDue {
		dst = appendColorMap(dst)
		e.mapDue = false
	}
	e.open, e.lossy = false, e.lossy[:0]
	return e.head(dst, 0)
}

// BeginOpenUpdate is [Encoder.BeginUpdate] for an update that needn't be kept
// together: what has been appended may be written to the viewer at any time. It
// reports false, and appends nothing, unless the viewer understands LastRect.
func (e *Encoder) BeginOpenUpdate(dst []byte) (out []byte, ok bool) {
	if !e.asked[rfb.EncodingLastRect] {
		return dst, false
	}
	dst = e.BeginUpdate(dst)
	e.open = true
	binary.BigEndian.PutUint16(dst[e.start+2:], 0xffff)
	return dst, true
}

// EndUpdate ends the update. One without rectangles is taken back, unless it is
// an open one.
func (e *Encoder) EndUpdate(dst []byte) []byte {
	switch {
	case e.open:
		dst = appendHead(dst, 0, 0, 0, 0, rfb.EncodingLastRect)
	case e.rects == 0:
		dst = dst[:e.start]
	default:
		binary.BigEndian.PutUint16(dst[e.start+2:], uint16(e.rects))
	}
	e.open = false
	return dst
}

// head appends the header of an update.
func (e *Encoder) head(dst []byte, rects int) []byte {
	e.start, e.rects = len(dst), 0
	dst = append(dst, byte(rfb.ServerFramebufferUpdate), 0)
	return appendU16(dst, rects)
}

// rect appends the header of a rectangle and counts it. What is too much for one
// update goes into another.
func (e *Encoder) rect(dst []byte, x, y, width, height int, encoding rfb.Encoding) []byte {
	if e.rects == maxRects && !e.open {
		dst = e.head(e.EndUpdate(dst), 0)
	}
	e.rects++
	return appendHead(dst, x, y, width, height, encoding)
}

// AppendRect appends the pixels of img at x, y of the framebuffer, in one
// rectangle or several, none if img is empty. It reports whether the viewer now
// has something other than these pixels in its format: only JPEG makes it so,
// only viewers with Tight and a quality are sent JPEG, and lossless forbids it.
// [Encoder.Lossy] tells which parts. JPEG keeps the mean of the colours of 2 x 2 pixels, and no
// block of 8 x 8 samples is off by more than rounding its coefficients to the quality's steps
// explains.
//
// Whole screens and single tiles are welcome alike: the encoder finds what is
// text and what is a photograph by itself, in tiles of 64 x 64 pixels. A single pixel is Raw, which
// takes the fewest bytes and leaves nothing in a stream.
func (e *Encoder) AppendRect(dst []byte, x, y int, img Image, lossless bool) (out []byte, lossy bool) {
	e.ready()
	if img.Width <= 0 || img.Height <= 0 {
		return dst, false
	}
	encoding := e.encoding
	if img.Width == 1 && img.Height == 1 {
		encoding = rfb.EncodingRaw
	}
	switch encoding {
	case rfb.EncodingTight:
		return e.appendTight(dst, x, y, img, lossless)
	case rfb.EncodingZRLE:
		return e.appendZRLE(dst, x, y, &img), false
	case rfb.EncodingHextile:
		return e.appendHextile(dst, x, y, &img), false
	default:
		dst = e.rect(dst, x, y, img.Width, img.Height, rfb.EncodingRaw)
		return e.layout.append(dst, &img), false
	}
}

// Lossy are the parts of the framebuffer that went out as JPEG since the update
// began, and so are to be sent again, without loss, once they are still. The
// slice is good until the next update begins.
func (e *Encoder) Lossy() []rfb.Rect { return e.lossy }

// AppendCopyRect appends that r shows what was at x, y before this rectangle. It
// reports false, and appends nothing, unless the viewer understands CopyRect.
func (e *Encoder) AppendCopyRect(dst []byte, r rfb.Rect, x, y int) (out []byte, ok bool) {
	if !e.asked[rfb.EncodingCopyRect] {
		return dst, false
	}
	dst = e.rect(dst, int(r.X), int(r.Y), int(r.Width), int(r.Height), rfb.EncodingCopyRect)
	dst = appendU16(dst, x)
	return appendU16(dst, y), true
}
