package shadow

import (
	"context"
	"errors"
	"net"
)

// A Source gives the picture of a session as an RFB server. It must be safe
// for concurrent use.
type Source interface {
	// Check reports whether Open can work for s. It is called
	// before the user is asked, so that nobody is asked in vain. An error that is a
	// [*Refusal] gives its own reason; any other refuses with [SourceFailed].
	Check(ctx context.Context, s *Session) error
	// Open starts or dials an RFB server for one viewer of s. Closing the
	// connection ends the server and returns when it has ended. The connection
	// may be an [Ender] and a [Detailer]. A Source that has greeted the server, as
	// it must where there is a password, returns an *[rfb.ServerConn].
	Open(ctx context.Context, s *Session) (net.Conn, error)
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

// ErrSessionEnded is why a Source ends when its session does.
var ErrSessionEnded = errors.New("shadow: the session ended")
