package shadow

import (
	"context"
	"errors"
	"net"
)

// A Source gives the picture of a session as an RFB server. It must be safe
// for concurrent use.
type Source interface {
	// Check reports whether Open can work on this host at all. It is called
	// before the user is asked, so that nobody is asked in vain.
	Check(ctx context.Context) error
	// Open starts or dials an RFB server for one viewer of s. Closing the
	// connection ends the server and returns when it has ended. The connection
	// may be an [Ender].
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

// ErrSessionEnded is why a Source ends when its session does.
var ErrSessionEnded = errors.New("shadow: the session ended")
