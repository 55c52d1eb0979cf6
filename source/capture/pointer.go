package capture

import (
	"image"
	"time"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
	"vda.internal/shadow/source/internal/screen"
)

const (
	pollMoving  = time.Second / 30
	pollResting = time.Second / 5
	pollTold    = time.Second     // where the server tells of motion: for what it doesn't tell of
	restAfter   = 2 * time.Second // without motion
)

// A pointer is the user's pointer: painted into the picture or, for a viewer that
// asked for PointerPos, sent beside it.
type pointer struct {
	hidden  bool // not shown at all
	picture screen.Pointer
	at      image.Point // in the frame
	here    bool        // on this screen

	asked time.Duration // when the server was asked where it is
	moved time.Duration // when it last was elsewhere
	shape bool          // the viewer is to be told of the picture
	place bool          // the viewer is to be told of the place
}

// rect is where the pointer's picture is in the frame.
func (p *pointer) rect() image.Rectangle {
	if !p.here {
		return image.Rectangle{}
	}
	return image.Rectangle{Max: p.picture.Size}.Add(p.at.Sub(p.picture.Hot))
}

// separate reports whether the viewer draws the pointer itself.
func (s *server) separate() bool {
	return s.screen.TellsPointer() && s.encoder.Understands(rfb.EncodingPointerPos) &&
		(s.encoder.Understands(rfb.EncodingCursor) || s.encoder.Understands(rfb.EncodingCursorWithAlpha))
}

// pointerDue is when to look for the pointer. It reports false if it isn't shown.
func (s *server) pointerDue() (time.Duration, bool) {
	p := &s.pointer
	if p.hidden || !s.screen.TellsPointer() {
		return 0, false
	}
	if s.screen.PointerMayDiffer() || s.screen.PointerMoved() || p.asked == 0 || p.shape || p.place {
		return 0, true
	}
	switch {
	case s.now()-p.moved < restAfter:
		return p.asked + pollMoving, true
	case s.screen.TellsMotion():
		return p.asked + pollTold, true
	}
	return p.asked + pollResting, true
}

// findPointer looks where the pointer is and notes what has to be painted anew.
func (s *server) findPointer() error {
	p := &s.pointer
	if due, ok := s.pointerDue(); !ok || due > s.now() {
		return nil
	}
	before := p.rect()
	reshaped := s.screen.PointerMayDiffer()
	if reshaped {
		picture, err := s.screen.PointerPicture()
		if err != nil {
			return err
		}
		reshaped = p.asked == 0 || !picture.Equal(&p.picture)
		p.picture = picture
	}
	at, here, err := s.screen.PointerPosition()
	if err != nil {
		return err
	}
	at = at.Sub(s.view.Min)
	now := s.now()
	if at != p.at || here != p.here {
		p.moved = now
	}
	place := at != p.at || here != p.here || p.asked == 0
	p.at, p.here, p.asked = at, here, now
	s.screen.TellMotion(now-p.moved >= restAfter)
	if s.separate() {
		p.shape, p.place = p.shape || reshaped, p.place || place
		return nil
	}
	if reshaped || p.rect() != before {
		s.frame.touch(before)
		s.frame.touch(p.rect())
		s.touched = true
	}
	return nil
}

// paint paints the pointer over pixels that were fetched: those of r, in the
// frame's coordinates.
func (p *pointer) paint(r image.Rectangle, pix []byte, stride int) {
	where := p.rect()
	both := where.Intersect(r)
	for y := both.Min.Y; y < both.Max.Y; y++ {
		at := (y-r.Min.Y)*stride + 4*(both.Min.X-r.Min.X)
		from := 4 * ((y-where.Min.Y)*where.Dx() + both.Min.X - where.Min.X)
		over(pix[at:at+4*both.Dx()], p.picture.Pix[from:from+4*both.Dx()])
	}
}

// over puts pixels with premultiplied alpha over others.
func over(dst, src []byte) {
	for i := 0; i+4 <= len(src); i += 4 {
		switch a := uint32(src[i+3]); a {
		case 0:
		case 255:
			copy(dst[i:i+3], src[i:i+3])
		default:
			for c := range 3 {
				dst[i+c] = byte(min(255, uint32(src[i+c])+(uint32(dst[i+c])*(255-a)+127)/255))
			}
		}
	}
}

// appendPointer tells a viewer of the pointer that draws it itself.
func (s *server) appendPointer() {
	p := &s.pointer
	if p.shape {
		s.out, _ = s.encoder.AppendCursor(s.out, encode.Cursor{
			Pix: p.picture.Pix, Width: p.picture.Size.X, Height: p.picture.Size.Y,
			HotX: p.picture.Hot.X, HotY: p.picture.Hot.Y,
		})
	}
	if at := p.at; p.place && p.here && at.In(s.frame.bounds()) {
		s.out, _ = s.encoder.AppendPointerPos(s.out, at.X, at.Y)
	}
	p.shape, p.place = false, false
}
