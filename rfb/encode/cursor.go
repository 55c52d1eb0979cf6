package encode

import "vda.internal/shadow/rfb"

// A Cursor is the picture of a pointer.
type Cursor struct {
	// Pix are Width·Height pixels of four bytes each: blue, green, red, alpha,
	// the colours multiplied by alpha. XFixesGetCursorImage gives pixels like
	// this.
	Pix           []byte
	Width, Height int // pixels; zero: nothing to see
	HotX, HotY    int // the pixel that points
}

// maxCursor is how wide and high a cursor is sent: viewers needn't take larger
// ones.
const maxCursor = 256

// AppendCursor appends the picture of the pointer, which the viewer then draws
// itself where its own pointer is. More than 256 x 256 pixels are cut off. It
// reports false, and appends nothing, unless the viewer understands
// CursorWithAlpha or Cursor.
func (e *Encoder) AppendCursor(dst []byte, c Cursor) (out []byte, ok bool) {
	e.ready()
	alpha := e.asked[rfb.EncodingCursorWithAlpha]
	if !alpha && !e.asked[rfb.EncodingCursor] {
		return dst, false
	}
	left, width := cutCursor(c.HotX, c.Width)
	top, height := cutCursor(c.HotY, c.Height)
	hotX, hotY := min(max(c.HotX-left, 0), max(width-1, 0)), min(max(c.HotY-top, 0), max(height-1, 0))
	img := Image{Pix: c.Pix, Stride: 4 * c.Width, Width: c.Width, Height: c.Height}.Sub(left, top, width, height)
	if alpha {
		return e.appendAlphaCursor(dst, hotX, hotY, &img), true
	}
	return e.appendMaskCursor(dst, hotX, hotY, &img), true
}

// cutCursor is which part of size pixels is sent: around the one that points.
func cutCursor(hot, size int) (from, length int) {
	if size <= maxCursor {
		return 0, size
	}
	return min(max(hot-maxCursor/2, 0), size-maxCursor), maxCursor
}

// appendAlphaCursor appends a CursorWithAlpha, which is red, green, blue, alpha
// whatever the pixel format (rfbproto, "Cursor With Alpha Pseudo-Encoding").
func (e *Encoder) appendAlphaCursor(dst []byte, hotX, hotY int, img *Image) []byte {
	dst = e.rect(dst, hotX, hotY, img.Width, img.Height, rfb.EncodingCursorWithAlpha)
	dst = appendU32(dst, uint32(rfb.EncodingRaw))
	for y := range img.Height {
		for row := img.row(y); len(row) >= 4; row = row[4:] {
			dst = append(dst, row[2], row[1], row[0], row[3])
		}
	}
	return dst
}

// appendMaskCursor appends a Cursor: opaque colours, and which pixels there are
// (RFC 6143 §7.8.1).
func (e *Encoder) appendMaskCursor(dst []byte, hotX, hotY int, img *Image) []byte {
	dst = e.rect(dst, hotX, hotY, img.Width, img.Height, rfb.EncodingCursor)
	for y := range img.Height {
		for row := img.row(y); len(row) >= 4; row = row[4:] {
			dst = e.layout.appendPixel(dst, opaque(row))
		}
	}
	for y := range img.Height {
		row := img.row(y)
		for x := 0; x < img.Width; x += 8 {
			var mask byte
			for i := x; i < min(x+8, img.Width); i++ {
				mask |= row[4*i+3] >> 7 << (7 - i&7)
			}
			dst = append(dst, mask)
		}
	}
	return dst
}

// opaque is a pixel's colour without its transparency.
func opaque(p []byte) uint32 {
	alpha := uint32(p[3])
	if alpha == 0 {
		return 0
	}
	level := func(v byte) uint32 { return min(uint32(v)*255/alpha, 255) }
	return level(p[2])<<16 | level(p[1])<<8 | level(p[0])
}

// AppendPointerPos appends where the user's pointer is, for a viewer that draws
// it there. It reports false, and appends nothing, unless the viewer understands
// PointerPos.
func (e *Encoder) AppendPointerPos(dst []byte, x, y int) (out []byte, ok bool) {
	if !e.asked[rfb.EncodingPointerPos] {
		return dst, false
	}
	return e.rect(dst, x, y, 0, 0, rfb.EncodingPointerPos), true
}
