package shadow

import (
	"context"
	"net"
)

// A Source gives the picture of a session as an RFB server. It must be safe
// for concurrent use.
type Source interface {
	// Check reports whether Open can work for s. It is called
	// before the user is asked, so that nobody is asked in vain. An error that is a
	// [*End] gives its own reason; any other refuses with [SourceFailed].
	Check(ctx context.Context, s *Session) error
	// Open starts or dials an RFB server for one viewer of s. Closing the
	// connection ends the server and returns when it has ended. The connection
	// may be an [Ender], a [Detailer] and a [Noter]. A Source that has greeted the server, as
	// it must where there is a password, returns an *[rfb.ServerConn]. An error is as Check's.
	Open(ctx context.Context, s *Session) (net.Conn, error)
}

// A Fitter is a [Source] whose server may come to show another session's screen while it is watched, as one
// does that shows whatever is on the console.
type Fitter interface {
	// Fits reports whether what a server that Open was asked for shows can only be s's. The Manager calls it every two
	// seconds from the question to the end. An error that is a [*End] ends the shadow at once, for its
	// reason; any other, which means that nobody can tell, does so after five in a row or half a minute
	// ([SourceFailed]).
	Fits(ctx context.Context, s *Session) error
}

// An Ender is a Source's connection that knows that its server ended, and why.
type Ender interface {
	// Ended is closed when the server has ended.
	Ended() <-chan struct{}
	// Err says why, once Ended is closed: [ErrSessionEnded] if the session
	// did, any other error if the server failed, nil if it ended well.
	Err() error
}

// A Detailer is a Source's connection with something to say that the audit should have:
// with the event [EventGranted].
type Detailer interface {
	Detail() string // empty: nothing
}

// A Fresher is a Source's connection whose server may begin Tight's zlib streams anew with each rectangle, as
// [vda.internal/shadow/rfb.EncodingFreshStreams] asks. Without it a view goes on without Tight after a pause.
type Fresher interface {
	FreshStreams() bool
}

// A Noter is a Source's connection, and an [Ender], that has something to say while it is watched.
type Noter interface {
	// Notes are received while a viewer is there. Sending them must hold up nothing. Nil: there are none.
	Notes() <-chan Note
}

// A Note is something that a source has to say.
type Note struct {
	Text    string // one line for people, in lower case, without a full stop
	Changed bool   // another part of the screen is shown now: [EventChanged] says so; if not, the log has it
}

// ErrSessionEnded is why a Source ends when its session does.
var ErrSessionEnded = pkg.New("the session ended")
