package rfb

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A pulse tells a server that has nothing to show from one that has stopped: RFB has no ping,
// and an incremental request may stay unanswered for as long as the screen doesn't change. So
// after a silence one pixel is asked for that has to be sent in any case (RFC 6143 §7.5.3). Its answer
// is the relay's own: the viewer isn't shown it, unless it is compressed, which it may need for what follows.
type pulse struct {
	due     chan struct{} // has a value when the pixel is to be asked for
	asked   atomic.Bool   // it was, and nothing has been heard since
	showing atomic.Bool   // the viewer is being written to, who holds back the server then
}

// watchServer ends the session if the server answers nothing for that time.
func (s *session) watchServer(patience time.Duration) error {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	heard := s.agreed.turn.heard.Load()
	for {
		select {
		case <-s.over:
			return nil
		case <-tick.C:
		}
		switch now := s.agreed.turn.heard.Load(); {
		case now != heard || s.pulse.showing.Load():
			heard = now
			s.pulse.asked.Store(false)
		case s.pulse.asked.Load():
			return &ProtocolError{FromServer, s.server.read, fmt.Errorf("%w: no answer to a request for %v", ErrTimeout, patience)}
		default:
			select {
			case s.pulse.due <- struct{}{}:
			default:
			}
		}
	}
}

// signPlaces is how many pixels are asked for in turn: so that nothing that is drawn is taken for
// an answer.
const signPlaces = 7

// sign asks the server for one pixel, and reports whether it did: not of one that nothing was
// asked of before, or while the pixel format is being changed.
func (f *clientFilter) sign() bool {
	width, height := f.agreed.framebuffer()
	if f.holds() || f.re.watched.clamp(width, height).Empty() {
		return false
	}
	f.re.signs = f.re.signs%signPlaces + 1
	at := func(side uint16) uint16 { return uint16(int(side) * f.re.signs / (signPlaces + 1)) }
	r := Rect{at(width), at(height), 1, 1}
	f.sendRequest(FramebufferUpdateRequest{Rect: r})
	f.agreed.turn.signed(r)
	return true
}

// renew asks again for what the viewer waits for, if a sign of life has taken its place.
func (f *clientFilter) renew() {
	if t := &f.agreed.turn; t.taken.Load() && t.taken.Swap(false) {
		f.re.later = f.re.later.union(f.re.watched)
		if !f.holds() {
			f.sendLater()
		}
	}
}
