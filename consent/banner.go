package consent

import (
	"context"
	"errors"
	"time"
)

// A Banner tells a session's user who is viewing the session, for as long as somebody
// does, and lets the user stop it.
type Banner interface {
	// Show puts the banner up and returns when it is down again:
	//
	//   - with [ErrStopped] some time after the user has stopped the viewing. stopped is
	//     called at the moment the user does; then the user is shown for a few seconds that
	//     it has ended, unless ended is closed;
	//   - with nil some time after ended has yielded why viewing has ended, which the user
	//     is shown for a few seconds, or soon after ended was closed, before that or while
	//     it is shown. A reason of the shadow package ("viewer_left") is shown in the user's
	//     language, anything else as it is, cleaned. With a reason that is there from the
	//     beginning nothing else is shown. Nil before ended says anything is as bad as an
	//     error: the user then can't know who is viewing;
	//   - with ctx's cause soon after ctx has ended, without any words;
	//   - with another error, ErrDisplay or ErrGone among them, when there is no banner
	//     and there will be none. The user then can't know who is viewing.
	//
	// It must be safe for concurrent use.
	Show(ctx context.Context, r Request, ended <-chan string, stopped func()) error
}

// A View is what a banner is to tell of a viewing that goes on. The zero View is that somebody is
// viewing.
type View struct {
	State ViewState
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
var ErrStopped = errors.New("consent: stopped by the user")
