package screen

import (
	"fmt"
	"image"

	"github.com/BurntSushi/xgb/xfixes"
	"github.com/BurntSushi/xgb/xproto"
)

// A Pointer is the picture of the pointer: four bytes a pixel, blue, green, red
// and alpha, the colours multiplied by alpha.
type Pointer struct {
	Pix  []byte
	Size image.Point
	Hot  image.Point // the pixel that points
}

// maxPointer is the most pixels a side that are taken for a pointer's picture.
const maxPointer = 256

// TellsPointer reports whether the server tells of the pointer's picture.
func (s *Screen) TellsPointer() bool { return s.damage.cursors }

// PointerMayDiffer reports whether the pointer's picture may have changed since
// [Screen.PointerPicture].
func (s *Screen) PointerMayDiffer() bool { return s.shaped.Load() }

// PointerPicture is what the pointer looks like; nothing, if it has no pixels or
// is beyond 256 pixels a side.
func (s *Screen) PointerPicture() (Pointer, error) {
	s.shaped.Store(false)
	reply, err := xfixes.GetCursorImage(s.conn.Conn).Reply()
	if err != nil {
		return Pointer{}, fmt.Errorf("the pointer's picture: %w", err)
	}
	w, h := int(reply.Width), int(reply.Height)
	if w == 0 || h == 0 || w > maxPointer || h > maxPointer || len(reply.CursorImage) < w*h {
		return Pointer{}, nil
	}
	p := Pointer{
		Pix: make([]byte, 0, 4*w*h), Size: image.Pt(w, h),
		Hot: image.Pt(min(int(reply.Xhot), w-1), min(int(reply.Yhot), h-1)),
	}
	for _, v := range reply.CursorImage[:w*h] {
		p.Pix = append(p.Pix, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return p, nil
}

// PointerPosition is where the pointer is. It reports false if that is on another
// screen.
func (s *Screen) PointerPosition() (at image.Point, here bool, err error) {
	s.moved.Store(false)
	reply, err := xproto.QueryPointer(s.conn.Conn, s.root).Reply()
	if err != nil {
		return at, false, fmt.Errorf("where the pointer is: %w", err)
	}
	return image.Pt(int(reply.RootX), int(reply.RootY)), reply.SameScreen, nil
}
