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
	// retryGap is how long to wait when the screen had another size than thought.
	retryGap = 50 * time.Millisecond
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
	changed func(string) // is called when another part of the screen is shown
	desktop string       // what the display is called

	requested bool            // the viewer waits for an update
	area      image.Rectangle // that it may be about, whole tiles
	touched   bool            // some tile may be dirty
	anew      bool            // some tile is to be sent whatever is in it
	sizeDue   bool            // the viewer is to be told of the frame's size
	nameDue   bool            // the viewer is to be told what the desktop is called
	padded    bool            // the viewer can't be told: the frame keeps its size
	told      image.Point     // the size that the viewer knows

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
	if !a.anew.Empty() {
		s.frame.forget(a.anew)
		s.touched, s.anew = true, true
	}
	return nil
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

// due is when there may be something to send.
func (s *server) due() time.Duration {
	if !s.requested {
		return never
	}
	if s.sizeDue || s.screen.Resized() {
		return s.retryAt
	}
	if s.nameDue && s.encoder.Understands(rfb.EncodingDesktopName) {
		return s.retryAt
	}
	due := never
	soon := func(t time.Duration) { due = min(due, t) }
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

// update looks at the screen and sends what has changed, if anything has.
func (s *server) update() error {
	if s.screen.Resized() {
		if err := s.resize(); err != nil {
			return err
		}
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
// what it has, or be sent, until it knows its new size. A viewer that no longer wants to be
// told keeps the size that it knows.
func (s *server) sendSize() error {
	s.sizeDue = false
	s.out = s.encoder.BeginUpdate(s.out[:0])
	var ok bool
	s.out, ok = s.encoder.AppendDesktopSize(s.out, s.frame.size.X, s.frame.size.Y, nil)
	s.out = s.encoder.EndUpdate(s.out)
	if ok {
		s.told = s.frame.size
		s.requested, s.area = false, image.Rectangle{}
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
	if err := s.screen.Refresh(); err != nil {
		return err
	}
	lost := s.choice.lost
	view, err := s.choice.view(s.screen, s.changed)
	if err != nil {
		return err
	}
	s.nameDue = s.nameDue || s.choice.lost != lost
	if view == s.view && !s.padded {
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
		s.setFrame(size)
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
