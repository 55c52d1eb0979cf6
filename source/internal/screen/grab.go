package screen

import (
	"fmt"
	"image"

	"github.com/BurntSushi/xgb/shm"
	"github.com/BurntSushi/xgb/xproto"
)

const (
	allPlanes = 0xffffffff
	// maxStrip bounds a reply with pixels, for which xgb takes memory anew each time.
	maxStrip = 1 << 20
	// maxAhead is how many images are asked for before the first is looked at.
	maxAhead = 64
)

// Shared reports whether pixels come through shared memory.
func (s *Screen) Shared() bool { return s.shm != nil }

// A piece is a part of the screen whose pixels have been asked for.
type piece struct {
	rect   image.Rectangle
	offset int // of its pixels in the segment
	cookie shm.GetImageCookie
}

// Grab gets the pixels of parts of the screen and has each called with them, in
// pieces of its own making: four bytes a pixel, which are blue, green, red and
// one without a meaning, and stride bytes from a row to the next. They may be
// written to, and are gone when each returns. The error is [ErrResized] if the
// screen has become smaller meanwhile.
func (s *Screen) Grab(rects []image.Rectangle, each func(r image.Rectangle, pix []byte, stride int)) error {
	if s.shm == nil {
		return s.fetch(rects, each)
	}
	var ahead []piece
	used := 0
	for _, r := range rects {
		if !r.In(image.Rectangle{Max: s.size}) {
			return ErrResized
		}
		for !r.Empty() {
			stride := s.layout.stride(r.Dx())
			if rows := (len(s.shm.mem) - used) / stride; rows > 0 && len(ahead) < maxAhead {
				part := r
				part.Max.Y = min(r.Max.Y, r.Min.Y+rows)
				r.Min.Y = part.Max.Y
				ahead = append(ahead, piece{rect: part, offset: used, cookie: shm.GetImage(
					s.conn.Conn, xproto.Drawable(s.root), int16(part.Min.X), int16(part.Min.Y),
					uint16(part.Dx()), uint16(part.Dy()), allPlanes, xproto.ImageFormatZPixmap, s.shm.id, uint32(used))})
				used += (stride*part.Dy() + 63) &^ 63
				continue
			}
			if err := s.collect(ahead, each); err != nil {
				return err
			}
			ahead, used = ahead[:0], 0
		}
	}
	return s.collect(ahead, each)
}

// collect waits for pieces and hands them out. All answers are taken, whatever
// the first says.
func (s *Screen) collect(pieces []piece, each func(r image.Rectangle, pix []byte, stride int)) (err error) {
	for _, p := range pieces {
		if _, e := p.cookie.Reply(); e != nil && err == nil {
			err = grabError(e)
		}
	}
	if err != nil {
		return err
	}
	for _, p := range pieces {
		s.hand(p.rect, s.shm.mem[p.offset:], each)
	}
	return nil
}

// hand calls each with pixels as the server has stored them.
func (s *Screen) hand(r image.Rectangle, data []byte, each func(r image.Rectangle, pix []byte, stride int)) {
	stride := s.layout.stride(r.Dx())
	if s.layout.native {
		each(r, data[:stride*r.Dy()], stride)
		return
	}
	// A band at a time, so that the copy is small.
	width := 4 * r.Dx()
	rows := max(maxStrip/width, 64)
	if need := width * min(rows, r.Dy()); len(s.buffer) < need {
		s.buffer = make([]byte, need)
	}
	for ; !r.Empty(); r.Min.Y += rows {
		band := r
		band.Max.Y = min(r.Max.Y, r.Min.Y+rows)
		for y := range band.Dy() {
			s.layout.convert(s.buffer[y*width:], data, band.Dx())
			data = data[stride:]
		}
		each(band, s.buffer[:width*band.Dy()], width)
	}
}

// fetch is Grab over the connection.
func (s *Screen) fetch(rects []image.Rectangle, each func(r image.Rectangle, pix []byte, stride int)) error {
	for _, r := range rects {
		if !r.In(image.Rectangle{Max: s.size}) {
			return ErrResized
		}
		for rows := max(1, maxStrip/s.layout.stride(r.Dx())); !r.Empty(); r.Min.Y += rows {
			part := r
			part.Max.Y = min(r.Max.Y, r.Min.Y+rows)
			reply, err := xproto.GetImage(s.conn.Conn, xproto.ImageFormatZPixmap, xproto.Drawable(s.root),
				int16(part.Min.X), int16(part.Min.Y), uint16(part.Dx()), uint16(part.Dy()), allPlanes).Reply()
			if err != nil {
				return grabError(err)
			}
			if len(reply.Data) < s.layout.stride(part.Dx())*part.Dy() {
				return fmt.Errorf("%d bytes for %v of the picture", len(reply.Data), part)
			}
			s.hand(part, reply.Data, each)
		}
	}
	return nil
}

// grabError tells a screen that has shrunk from what can't be helped.
func grabError(err error) error {
	if _, ok := err.(xproto.MatchError); ok {
		return ErrResized
	}
	return fmt.Errorf("the pixels: %w", err)
}
