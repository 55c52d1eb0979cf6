package screen

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"time"

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

const (
	maxPointer = 256         // pixels a side that are taken for a pointer's picture
	noPicture  = time.Second // after a picture that can't be had, until the next is asked for
)

// arrow is what is shown of a pointer whose picture is nobody's: the X server doesn't tell what it looks like when the
// program that has made it, as xsetroot, has ended.
var arrow = drawn(
	"#",
	"##",
	"#.#",
	"#..#",
	"#...#",
	"#....#",
	"#.....#",
	"#......#",
	"#.......#",
	"#........#",
	"#.....#####",
	"#..#..#",
	"#.# #..#",
	"##  #..#",
	"#    #..#",
	"     #..#",
	"      ##",
)

// drawn is a pointer of black and white pixels that points with its first.
func drawn(rows ...string) Pointer {
	p := Pointer{Size: image.Pt(0, len(rows))}
	for _, row := range rows {
		p.Size.X = max(p.Size.X, len(row))
	}
	p.Pix = make([]byte, 4*p.Size.X*p.Size.Y)
	for y, row := range rows {
		for x, c := range row {
			at := 4 * (y*p.Size.X + x)
			switch c {
			case '#':
				p.Pix[at+3] = 0xff
			case '.':
				copy(p.Pix[at:], "\xff\xff\xff\xff")
			}
		}
	}
	return p
}

// Equal reports whether both look the same.
func (p *Pointer) Equal(q *Pointer) bool {
	return p.Size == q.Size && p.Hot == q.Hot && bytes.Equal(p.Pix, q.Pix)
}

// TellsPointer reports whether the server tells of the pointer's picture.
func (s *Screen) TellsPointer() bool { return s.damage.cursors }

// PointerMayDiffer reports whether the pointer's picture may have changed since
// [Screen.PointerPicture]; for a second after one that couldn't be had, it doesn't.
func (s *Screen) PointerMayDiffer() bool { return s.shaped.Load() && !time.Now().Before(s.shapeAt) }

// PointerPicture is what the pointer looks like; nothing, if it has no pixels or
// is beyond 256 pixels a side, and an arrow, if the X server doesn't tell.
func (s *Screen) PointerPicture() (Pointer, error) {
	s.shaped.Store(false)
	reply, err := xfixes.GetCursorImage(s.conn.Conn).Reply()
	var much xproto.AllocError // what it said was too long to be read
	var nobodys xproto.AccessError
	switch {
	case errors.As(err, &much) || err == nil && max(reply.Width, reply.Height) > maxPointer:
		s.shapeAt = time.Now().Add(noPicture)
		return Pointer{}, nil
	case errors.As(err, &nobodys):
		s.shapeAt = time.Now().Add(noPicture)
		s.shaped.Store(true) // somebody else may get the place of who made it, of which nothing is told
		return arrow, nil
	case err != nil:
		return Pointer{}, fmt.Errorf("the pointer's picture: %w", err)
	}
	w, h := int(reply.Width), int(reply.Height)
	if w == 0 || h == 0 || len(reply.CursorImage) < w*h {
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
