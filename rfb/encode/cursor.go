package encode

import "vda.internal/shadow/rfb"

// A Cursor is the picture of a pointer.
type Cursor struct {
	// Pix are Width·Height pixels of four bytes each: blue, green, red, alpha,
	// the colours multiplied by alpha. XFixesGetCursorImage gives pixels like
	// this. Nothing to see if empty.
	Pix           []byte
	Width, Height int // pixels, at most 256
	HotX, HotY    int // the pixel that points
}

// AppendCursor appends the picture of the pointer, which the viewer then draws
// itself. It reports false, and appends nothing, if the viewer understands
// none of CursorWithAlpha, Cursor and XCursor.
func (e *Encoder) AppendCursor(dst []byte, c Cursor) (out []byte, ok bool) {
	return dst, false
}

// AppendPointerPos appends where the pointer is. It reports false, and appends
// nothing, unless the viewer understands PointerPos.
func (e *Encoder) AppendPointerPos(dst []byte, x, y int) (out []byte, ok bool) {
	if !e.asked[rfb.EncodingPointerPos] {
		return dst, false
	}
	return e.rect(dst, x, y, 0, 0, rfb.EncodingPointerPos), true
}
