package capture

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"runtime/debug"
	"time"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
	"vda.internal/shadow/source/internal/screen"
)

const (
	// settle is how long after the first of some changes they are looked at: what
	// is drawn together is seen together.
	settle = 4 * time.Millisecond
	// minGap is the shortest time from one look to the next.
	minGap = 16 * time.Millisecond
	// anewGap is the shortest time between two pictures that are sent whether
	// anything has changed or not.
	anewGap = 50 * time.Millisecond
	// blindGap is how often a server is looked at that doesn't tell of changes,
	// slowGap one whose pixels come over the connection.
	blindGap = time.Second / 10
	slowGap  = time.Second / 5
	// colorGap is how often a colour map is looked at.
	colorGap = time.Second
	// retryGap is how long to wait when the screen had another size than thought, and the shortest
	// time from one look at its size and monitors to the next; resizeGap is what it is
	// in the long run.
	retryGap  = 50 * time.Millisecond
	resizeGap = time.Second / 4
	// sharpAfter is how long a part must be still that was sent as JPEG before it
	// is sent without loss.
	sharpAfter = time.Second
)

// never is later than anything.
const never = time.Duration(1<<63 - 1)

var (
	errGone = errors.New("the display has gone")
	errLeft = errors.New("the viewer has left")
)

// A server shows one screen, or a part of it, to one viewer.
type server struct {
	screen  *screen.Screen
	viewer  *viewer
	encoder encode.Encoder
	choice  choice          // of a monitor
	view    image.Rectangle // the part of the screen that is shown
	frame   *frame
	scroll  *scroller
	pointer pointer
	pace    pace
	resizes pace         // of looks at the screen's size
	changed func(string) // is called when another part of the screen is shown
	desktop string       // what the display is called

	requested bool              // the viewer waits for an update
	area      image.Rectangle   // that it may be about, whole tiles
	exact     []image.Rectangle // and parts of tiles that are to be sent whatever is in them
	touched   bool              // some tile may be dirty
	anew      bool              // some tile is to be sent whatever is in it
	sizeDue   bool              // the viewer is to be told of the frame's size
	nameDue   bool              // the viewer is to be told what the desktop is called
	padded    bool              // the viewer can't be told: the frame keeps its size
	told      image.Point       // the size that the viewer knows

	anewSent  time.Duration // when such tiles were last sent
	colorsAt  time.Duration // when the colour map was last looked at
	retryAt   time.Duration // not before then is anything looked at
	sharpAt   time.Duration // when the oldest JPEG will have been still for long enough; never: there is none
	out       []byte        // the update
	changes   []image.Rectangle
	shifts    []shift
	looked    int // tiles, in this update
	different int // of them
}

func (s *server) now() time.Duration { return time.Since(epoch) }

// epoch is when the process's clock began; a second ago, so that 0 is long ago.
var epoch = time.Now().Add(-time.Second)

// serve answers the viewer until it has left (errLeft) or the X server has gone
// (errGone).
func (s *server) serve() error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := s.take(); err != nil {
			return err
		}
		due := s.due()
		if due <= s.now() {
			if err := s.update(); err != nil {
				return err
			}
			continue
		}
		var alarm <-chan time.Time
		if due != never {
			timer.Reset(due - s.now())
			alarm = timer.C
		}
		select {
		case <-s.viewer.asked:
		case <-s.screen.Changed():
		case <-alarm:
		case <-s.viewer.gone:
			return cmp.Or(s.viewer.err, errLeft)
		case <-s.screen.Gone():
			return errGone
		}
	}
}

// take takes what the viewer asks for.
func (s *server) take() error {
	a := s.viewer.take()
	if a.format != nil {
		if err := s.encoder.SetPixelFormat(*a.format); err != nil {
			return fmt.Errorf("the viewer's pixel format: %w", err)
		}
	}
	if a.encodings != nil {
		s.setEncodings(a.encodings)
	}
	if !a.requested {
		return nil
	}
	s.requested = true
	s.area = s.area.Union(s.wholeTiles(a.area))
	for _, r := range a.anew {
		s.renew(r)
	}
	return nil
}

// renew notes that r is to be sent whatever the viewer has: that, and not the rest of tiles of which r
// is but a part. Who asks for a pixel to see that all before it has been answered knows it by that.
func (s *server) renew(r image.Rectangle) {
	r = r.Intersect(s.frame.bounds())
	whole := s.frame.tilesIn(r)
	if !whole.Empty() {
		s.frame.forget(whole)
		s.area = s.area.Union(whole)
		s.touched, s.anew = true, true
	}
	for _, part := range around(r, whole) {
		s.exact = addAnew(s.exact, part)
	}
}

// around is r without inner, which is in it, or empty.
func around(r, inner image.Rectangle) []image.Rectangle {
	if inner.Empty() {
		return nonEmpty([]image.Rectangle{r})
	}
	return nonEmpty([]image.Rectangle{
		image.Rect(r.Min.X, r.Min.Y, r.Max.X, inner.Min.Y),
		image.Rect(r.Min.X, inner.Min.Y, inner.Min.X, inner.Max.Y),
		image.Rect(inner.Max.X, inner.Min.Y, r.Max.X, inner.Max.Y),
		image.Rect(r.Min.X, inner.Max.Y, r.Max.X, r.Max.Y),
	})
}

// setEncodings notes what the viewer understands.
func (s *server) setEncodings(list []rfb.Encoding) {
	extended, separate := s.encoder.Understands(rfb.EncodingExtendedDesktopSize), s.separate()
	s.encoder.SetEncodings(list)
	if s.padded && s.tells() {
		s.fit()
	}
	if !extended && s.encoder.Understands(rfb.EncodingExtendedDesktopSize) {
		s.sizeDue = true // it expects to be told once
	}
	if s.separate() != separate {
		s.frame.touch(s.pointer.rect()) // it is painted from now on, or no longer
		s.touched = true
		s.pointer.shape, s.pointer.place = s.separate(), s.separate()
	}
}

// wholeTiles is r and what else is in the tiles that it touches.
func (s *server) wholeTiles(r image.Rectangle) image.Rectangle {
	n := s.frame.tileRange(r)
	return image.Rectangle{Min: n.Min.Mul(tileSize), Max: n.Max.Mul(tileSize)}.Intersect(s.frame.bounds())
}

// due is when there may be something to do for the viewer.
func (s *server) due() time.Duration {
	switch {
	case !s.requested:
		return never
	case s.sizeDue:
		return s.retryAt
	}
	due := s.lookDue()
	if s.screen.Resized() {
		due = min(due, s.resizeDue())
	}
	return due
}

// resizeDue is when the screen's size may be looked at, which every client of the X server can have
// changed, or seem to.
func (s *server) resizeDue() time.Duration { return max(s.retryAt, s.resizes.next()) }

// lookDue is when there may be something to send.
func (s *server) lookDue() time.Duration {
	due := never
	soon := func(t time.Duration) { due = min(due, t) }
	if s.nameDue && s.encoder.Understands(rfb.EncodingDesktopName) {
		soon(0)
	}
	if at, ok := s.screen.DamagedSince(); ok {
		soon(at.Sub(epoch) + settle)
	}
	if s.touched && s.frame.anyDirty(s.area) {
		if s.anew {
			soon(s.anewSent + anewGap)
		} else {
			soon(0)
		}
	}
	if len(s.exact) > 0 {
		soon(s.anewSent + anewGap)
	}
	if at, ok := s.pointerDue(); ok {
		soon(at)
	}
	if !s.screen.TellsDamage() {
		soon(s.pace.last + blindGap)
	}
	if s.screen.ColorsMayChange() {
		soon(s.colorsAt + colorGap)
	}
	soon(s.sharpAt)
	if due == never {
		return never
	}
	return max(due, s.pace.next(), s.retryAt)
}

// update does what is due: it looks at the screen's size, tells it, or looks at the screen and
// sends what has changed, if anything has.
func (s *server) update() error {
	if s.screen.Resized() && s.resizeDue() <= s.now() {
		return s.resize()
	}
	if s.sizeDue {
		return s.sendSize()
	}
	if err := s.look(); err != nil {
		return err
	}
	return s.send()
}

// sendSize sends the frame's size, and nothing beside it: a viewer may forget
// what it has, or be sent, until it knows its new size. It isn't the update that the viewer waits
// for: other servers send it unasked, and viewers and the relay expect it so. A viewer that no longer wants to be
// told keeps the size that it knows.
func (s *server) sendSize() error {
	s.sizeDue = false
	s.out = s.encoder.BeginUpdate(s.out[:0])
	var ok bool
	s.out, ok = s.encoder.AppendDesktopSize(s.out, s.frame.size.X, s.frame.size.Y, nil)
	s.out = s.encoder.EndUpdate(s.out)
	if ok {
		s.told = s.frame.size
	} else if s.frame.size != s.told {
		s.fit()
	}
	if len(s.out) == 0 {
		return nil
	}
	return s.write()
}

// write sends what has been put together. A viewer that takes nothing holds up
// nothing but itself.
func (s *server) write() error {
	_, err := s.viewer.Write(s.out)
	s.out = s.out[:0]
	if err == nil {
		return nil
	}
	if hungUp(err) {
		return errLeft
	}
	return fmt.Errorf("the viewer's connection: %w", err)
}

// resize finds out what there is to be shown now.
func (s *server) resize() error {
	s.resizes.took(s.now(), 0, 0)
	if err := s.screen.Refresh(); err != nil {
		return err
	}
	lost := s.choice.lost
	view, err := s.choice.view(s.screen, s.changed)
	if err != nil {
		return err
	}
	s.nameDue = s.nameDue || s.choice.lost != lost
	if view == s.view {
		return nil
	}
	s.view = view
	s.fit()
	return nil
}

// tells reports whether the viewer can be told another size.
func (s *server) tells() bool {
	return s.encoder.Understands(rfb.EncodingDesktopSize) || s.encoder.Understands(rfb.EncodingExtendedDesktopSize)
}

// fit gives the frame the view's size, or that which the viewer knows if it can't be told
// another. The viewer gets the whole anew.
func (s *server) fit() {
	size := s.view.Size()
	if !s.tells() {
		size = s.told
	}
	s.padded = size != s.view.Size()
	s.sizeDue = s.sizeDue || size != s.told
	if size == s.frame.size {
		s.frame.forget(s.frame.bounds())
	} else {
		all := s.area == s.frame.bounds()
		s.setFrame(size)
		if s.area = s.wholeTiles(s.area); all {
			s.area = s.frame.bounds()
		}
	}
	s.sharpAt = never
	s.touched = true
	s.pointer.asked = 0
}

// setFrame makes a frame of which the viewer has nothing. The one before goes first, for either
// may have a gigabyte.
func (s *server) setFrame(size image.Point) {
	if s.frame != nil {
		s.frame = nil
		debug.FreeOSMemory()
	}
	debug.SetMemoryLimit(maxHeap + 4*int64(size.X)*int64(size.Y))
	s.frame = newFrame(size)
}
