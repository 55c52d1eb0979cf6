package capture

import (
	"errors"
	"image"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
	"vda.internal/shadow/source/internal/screen"
)

const (
	// openFrom is from how many pixels on an update is written piece by piece.
	openFrom  = 1 << 18
	pieceSize = 1 << 18 // bytes
	// maxSharp is how many tiles are sent without loss in one update: where nothing
	// else is to be sent, and beside other things.
	maxSharp       = 64
	maxSharpBeside = 8
)

// look finds out what has changed.
func (s *server) look() error {
	s.changes, s.shifts, s.looked, s.different = s.changes[:0], s.shifts[:0], 0, 0
	if err := s.findDamage(); err != nil {
		return err
	}
	if err := s.findPointer(); err != nil {
		return err
	}
	if !s.touched && len(s.exact) == 0 {
		return nil
	}
	now := s.now()
	err := s.lookAt(s.dirty(), s.compare)
	if exact := s.exact; err == nil && len(exact) > 0 {
		if err = s.lookAt(s.inFrame(exact), s.takeOver); err == nil {
			s.exact, s.anewSent = nil, now
		}
	}
	s.pace.took(now, s.looked, s.different)
	if errors.Is(err, screen.ErrResized) {
		s.retryAt = max(now+retryGap, s.resizes.next())
		s.screen.Reconsider()
		return nil
	}
	return err
}

// dirty is what has to be compared.
func (s *server) dirty() []image.Rectangle {
	rects := s.frame.dirty(s.area)
	if s.touched = s.frame.anyDirty(s.frame.bounds()); s.anew {
		s.anew, s.anewSent = s.touched, s.now()
	}
	return rects
}

// inFrame is what of rects the frame has.
func (s *server) inFrame(rects []image.Rectangle) []image.Rectangle {
	var kept []image.Rectangle
	for _, r := range rects {
		kept = append(kept, r.Intersect(s.frame.bounds()))
	}
	return nonEmpty(kept)
}

// lookAt has each called with the screen's pixels at rects, and makes black what the screen
// doesn't have.
func (s *server) lookAt(rects []image.Rectangle, each func(r image.Rectangle, pix []byte, stride int)) error {
	var fetch []image.Rectangle
	for _, r := range rects {
		there := r.Add(s.view.Min).Intersect(s.view)
		if !there.Empty() {
			fetch = append(fetch, there)
		}
		if s.padded {
			s.blacken(r, there.Sub(s.view.Min))
		}
	}
	err := s.screen.Grab(fetch, each)
	for _, r := range rects {
		if err == nil {
			s.frame.each(s.frame.tilesIn(r), func(t *tile) { t.unknown = false })
		} else {
			s.frame.touch(r) // what was asked for and not seen is asked for once more
			s.touched = true
		}
	}
	return err
}

// findDamage notes what the server says has changed.
func (s *server) findDamage() error {
	if s.screen.ColorsMayChange() && s.now() >= s.colorsAt+colorGap {
		s.colorsAt = s.now()
		changed, err := s.screen.RefreshColors()
		if err != nil {
			return err
		}
		if changed {
			s.frame.touch(s.frame.bounds())
			s.touched = true
		}
	}
	if !s.screen.TellsDamage() && s.now() < s.pace.last+blindGap {
		return nil
	}
	rects, err := s.screen.Damage()
	if err != nil {
		return err
	}
	for _, r := range rects {
		s.frame.touch(r.Sub(s.view.Min))
		s.touched = true
	}
	return nil
}

// paint puts the pointer into pixels of the screen, and returns where they are in the frame.
func (s *server) paint(r image.Rectangle, pix []byte, stride int) image.Rectangle {
	r = r.Sub(s.view.Min)
	if !s.pointer.hidden && !s.separate() {
		s.pointer.paint(r, pix, stride)
	}
	return r
}

// takeOver is called with pixels of the screen that are to be sent whatever the viewer has.
func (s *server) takeOver(r image.Rectangle, pix []byte, stride int) {
	r = s.paint(r, pix, stride)
	s.frame.put(r, pix, stride, r.Min)
	s.changes = append(s.changes, r)
}

// compare is called with pixels of the screen. It takes over what is new.
func (s *server) compare(r image.Rectangle, pix []byte, stride int) {
	r = s.paint(r, pix, stride)
	origin := r.Min
	changed, known := s.differences(r, pix, stride, origin)
	if s.encoder.Understands(rfb.EncodingCopyRect) && known.tiles >= minTiles {
		shifts := s.scroll.find(s.frame, known.around, pix, stride, origin)
		for _, m := range shifts {
			s.frame.move(m.rect, m.dy)
			if s.frame.anyLossy(m.rect.Add(image.Pt(0, m.dy))) {
				s.frame.setLossy(m.rect, true, s.now())
				s.sharpAt = min(s.sharpAt, s.now()+sharpAfter)
			}
		}
		if len(shifts) > 0 {
			s.shifts = append(s.shifts, shifts...)
			changed, _ = s.differences(r, pix, stride, origin)
		}
	}
	for _, c := range changed {
		s.frame.put(c, pix, stride, origin)
	}
	s.changes = append(s.changes, changed...)
}

// extent is how far changes go.
type extent struct {
	tiles  int
	around image.Rectangle
}

// differences is what of r differs between the frame and pix or isn't known to
// the viewer, tile by tile, neighbours joined. Known is what differs of the rest.
func (s *server) differences(r image.Rectangle, pix []byte, stride int, origin image.Point) (changed []image.Rectangle, known extent) {
	f := s.frame
	n := f.tileRange(r)
	for row := n.Min.Y; row < n.Max.Y; row++ {
		first := len(changed)
		for col := n.Min.X; col < n.Max.X; col++ {
			s.looked++
			part := f.tileRect(col, row).Intersect(r)
			d := part
			if !f.tiles[row*f.cols+col].unknown {
				if d = f.differ(part, pix, stride, origin); d.Empty() {
					continue
				}
				known.tiles++
				known.around = known.around.Union(d)
			}
			s.different++
			changed = appendJoined(changed, first, d)
		}
	}
	return changed, known
}

// appendJoined appends d, or makes it one with the last after first if that is
// its neighbour and little is added by it.
func appendJoined(rects []image.Rectangle, first int, d image.Rectangle) []image.Rectangle {
	const little = 1024 // pixels
	if n := len(rects) - 1; n >= first {
		both := rects[n].Union(d)
		if area(both) <= area(rects[n])+area(d)+little {
			rects[n] = both
			return rects
		}
	}
	return append(rects, d)
}

// blacken makes what of r isn't there black: the screen is smaller than the frame
// of a viewer that can't be told.
func (s *server) blacken(r, there image.Rectangle) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if !image.Pt(x, y).In(there) {
				clear(s.frame.row(x, y, 1))
			}
		}
	}
	if there != r {
		s.changes = append(s.changes, r)
	}
}

// send sends what was found, and what is to be made sharp.
func (s *server) send() error {
	pixels := 0
	for _, r := range s.changes {
		pixels += area(r)
	}
	open := false
	if pixels >= openFrom {
		s.out, open = s.encoder.BeginOpenUpdate(s.out[:0])
	}
	if !open {
		s.out = s.encoder.BeginUpdate(s.out[:0])
	}
	begun := len(s.out)
	for _, m := range s.shifts {
		s.out, _ = s.encoder.AppendCopyRect(s.out, wireRect(m.rect), m.rect.Min.X, m.rect.Min.Y+m.dy)
	}
	now := s.now()
	for _, r := range s.changes {
		var lossy bool
		before := len(s.encoder.Lossy())
		s.out, lossy = s.encoder.AppendRect(s.out, r.Min.X, r.Min.Y, s.image(r), false)
		s.frame.setLossy(r, false, now)
		if lossy {
			for _, part := range s.encoder.Lossy()[before:] {
				s.frame.setLossy(rectangle(part), true, now)
			}
			s.sharpAt = min(s.sharpAt, now+sharpAfter)
		}
		if open && len(s.out) > pieceSize {
			if err := s.write(); err != nil {
				return err
			}
		}
	}
	s.sharpen()
	if s.nameDue {
		var told bool
		s.out, told = s.encoder.AppendDesktopName(s.out, s.choice.of(s.desktop))
		s.nameDue = !told // a viewer may learn to understand it
	}
	if s.separate() && !s.pointer.hidden {
		s.appendPointer()
	}
	if open || len(s.out) > begun {
		s.requested, s.area = false, image.Rectangle{}
	} // else the viewer still waits, though a colour map may have been due
	if s.out = s.encoder.EndUpdate(s.out); len(s.out) == 0 {
		return nil
	}
	return s.write()
}

// sharpen sends tiles without loss that were sent as JPEG and have been still
// since.
func (s *server) sharpen() {
	now := s.now()
	if now < s.sharpAt {
		return
	}
	s.sharpAt = never
	most := maxSharp
	if len(s.changes) > 0 {
		most = maxSharpBeside
	}
	f := s.frame
	for i := range f.tiles {
		t := &f.tiles[i]
		if !t.lossy {
			continue
		}
		r := f.tileRect(i%f.cols, i/f.cols)
		switch at := t.sent + sharpAfter; {
		case !r.In(s.area):
			s.sharpAt = min(s.sharpAt, now+sharpAfter)
			continue
		case most == 0 || at > now:
			s.sharpAt = min(s.sharpAt, at)
			continue
		}
		s.out, _ = s.encoder.AppendRect(s.out, r.Min.X, r.Min.Y, s.image(r), true)
		f.setLossy(r, false, now)
		most--
	}
	s.pace.took(now, 0, 0)
}

// image is r of the frame.
func (s *server) image(r image.Rectangle) encode.Image {
	f := s.frame
	whole := encode.Image{Pix: f.pix, Stride: f.stride, Width: f.size.X, Height: f.size.Y}
	return whole.Sub(r.Min.X, r.Min.Y, r.Dx(), r.Dy())
}

func rectangle(r rfb.Rect) image.Rectangle {
	return image.Rect(int(r.X), int(r.Y), int(r.X)+int(r.Width), int(r.Y)+int(r.Height))
}

func wireRect(r image.Rectangle) rfb.Rect {
	return rfb.Rect{X: uint16(r.Min.X), Y: uint16(r.Min.Y), Width: uint16(r.Dx()), Height: uint16(r.Dy())}
}
