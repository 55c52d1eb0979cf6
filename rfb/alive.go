package rfb

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A pulse tells a server that has nothing to show from one that has stopped: RFB has no ping,
// and an incremental request may stay unanswered for as long as the screen doesn't change. So
// after a silence one pixel is asked for that has to be sent in any case (RFC 6143 §7.5.3).
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

// sign asks the server for one pixel, and reports whether it did: not of one that nothing was
// asked of before, or while the pixel format is being changed.
func (f *clientFilter) sign() bool {
	r := Rect{Width: 1, Height: 1}
	if f.holds() || f.re.watched.Empty() || r.clamp(f.agreed.framebuffer()).Empty() {
		return false
	}
	f.sendRequest(FramebufferUpdateRequest{Rect: r})
	return true
}
