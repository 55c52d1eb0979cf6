package consent

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Banner tells a session's user who is viewing the session, for as long as somebody
// does, and lets the user stop it.
type Banner interface {
	// Show puts the banner up and returns when it is down again: with [ErrStopped] if the user
	// has stopped the viewing, with nil after s was told to End or to Close, with ctx's cause soon
	// after ctx has ended, and with another error, ErrDisplay or ErrGone among them, if there is no
	// banner or it fails. It calls s.Stop at the moment when the user stops the viewing, and heeds
	// s.Why and s.Closing. It must be safe for concurrent use.
	Show(ctx context.Context, r Request, s *Showing) error
}

// A Showing is one banner, from Start until it is down. Start, Stopped, End, Close, Done and Err are for
// whoever wants it shown; Stop, Why and Closing are for the [Banner] that shows it. None of them waits for
// anything, and all may be called concurrently. [NewShowing] makes one.
type Showing struct {
	start, stop, end, leave sync.Once

	stopped chan struct{} // closed by Stop
	why     chan string   // has a place for End's
	given   atomic.Bool   // End's was put there
	closing chan struct{} // closed by Close
	done    chan struct{} // closed when the banner is down; err is set then
	err     error
}

// NewShowing returns a Showing that hasn't started.
func NewShowing() *Showing {
	return &Showing{
		stopped: make(chan struct{}), why: make(chan string, 1), closing: make(chan struct{}), done: make(chan struct{}),
		err: pkg.New("the banner ended its goroutine"),
	}
}

// Start has b show the banner, on a goroutine of its own. It is taken down, without any words, soon
// after ctx has ended. That b panics, or ends its goroutine, is an error. Only the first call counts.
func (s *Showing) Start(ctx context.Context, b Banner, r Request) {
	s.start.Do(func() { go s.run(ctx, b, r) })
}

func (s *Showing) run(ctx context.Context, b Banner, r Request) {
	defer close(s.done)
	defer func() {
		if r := recover(); r != nil {
			s.err = pkg.Errorf("the banner panicked: %v", r)
		}
	}()
	s.err = b.Show(ctx, r, s)
}

// Stopped returns a channel that is closed at the moment when the user stops the viewing. The user is then
// shown for a few seconds that it has ended, unless Close takes that down.
func (s *Showing) Stopped() <-chan struct{} { return s.stopped }

// End makes the banner say for a few seconds why viewing has ended, and then go. A reason of the
// shadow package ("viewer_left") is shown in the user's language, anything else as it is, cleaned; an
// empty one is Close. Called before Start, nothing but the reason is shown. Only the first call counts.
func (s *Showing) End(reason string) {
	if reason == "" {
		s.Close()
		return
	}
	s.end.Do(func() {
		s.why <- reason
		s.given.Store(true)
	})
}

// Close takes the banner down soon, whatever it is showing, without any words.
func (s *Showing) Close() { s.leave.Do(func() { close(s.closing) }) }

// Done returns a channel that is closed when the banner is down.
func (s *Showing) Done() <-chan struct{} { return s.done }

// Err returns how it went, once Done is closed, and nil before:
//
//   - [ErrStopped] if the user has stopped the viewing;
//   - nil after End or Close. Nil before End or Close is treated as an error: the user would no longer
//     know who is viewing;
//   - another error, [ErrDisplay] or [ErrGone] among them, if there was no banner or it failed. See Told
//     for what the user knows then.
func (s *Showing) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Told reports whether the banner has taken End's reason.
func (s *Showing) Told() bool { return s.given.Load() && len(s.why) == 0 }

// Stop says that the user has stopped the viewing. Only the first call counts.
func (s *Showing) Stop() { s.stop.Do(func() { close(s.stopped) }) }

// Why returns a channel that yields, once, End's reason.
func (s *Showing) Why() <-chan string { return s.why }

// Closing returns a channel that is closed by Close.
func (s *Showing) Closing() <-chan struct{} { return s.closing }

// A View is what a banner is to tell of a viewing that goes on. The zero View is that somebody is
// viewing.
type View struct {
	State ViewState // how it goes
	Until time.Time // of Away: when the viewer can't return any more
}

// A ViewState is how a viewing goes.
type ViewState uint8

// The states.
const (
	Viewing ViewState = iota // the viewer sees the screen
	Paused                   // it is there, and sees nothing of it
	Away                     // it was cut off, and may return
)

// A Wish is what a user wants of a viewing, besides that it ends.
type Wish uint8

// The wishes.
const (
	Pause  Wish = iota // the viewer is to see nothing for now
	Resume             // it may go on
)

// ErrStopped is the user's wish to be viewed no longer.
var ErrStopped = pkg.New("stopped by the user")
