package rfb

import "sync/atomic"

// agreed is what each direction of a session must know of the other: how large
// the framebuffer is, which the server's stream tells, and which encodings
// rectangles may have, which follows from what was asked for. It is safe for
// concurrent use.
type agreed struct {
	size      atomic.Uint32 // width<<16 | height
	encodings atomic.Uint32 // an encodingSet
}

func newAgreed(width, height uint16) *agreed {
	a := new(agreed)
	a.resize(width, height)
	a.allow(encodingBit(EncodingRaw)) // a server may always use it
	return a
}

func (a *agreed) resize(width, height uint16) { a.size.Store(uint32(width)<<16 | uint32(height)) }

func (a *agreed) framebuffer() (width, height uint16) {
	s := a.size.Load()
	return uint16(s >> 16), uint16(s)
}

// allow adds to the encodings. None is ever taken away: an update may be under
// way when a viewer changes its mind.
func (a *agreed) allow(set encodingSet) { a.encodings.Or(uint32(set)) }

func (a *agreed) allows(bit encodingSet) bool {
	return encodingSet(a.encodings.Load())&bit != 0
}
