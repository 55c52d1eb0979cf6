package shadow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
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

// Dial is a Source for RFB servers that run already: it connects to Network and
// Address whatever the session. The server must offer security type None; keep
// it where only this host's root can reach it.
type Dial struct {
	Network string        // "tcp" or "unix"
	Address string        // "127.0.0.1:5900", or a path
	Timeout time.Duration // for connecting; 0 means 5 s

	// Sessions are the host's. The server shows what it shows, whichever session
	// is asked for, so with more than one user's session Check refuses: one
	// user's Yes must not show another's screen. Nil leaves that to the caller.
	Sessions Resolver
}

// ParseDial reads the configuration's form, "tcp:127.0.0.1:5900" or
// "unix:/path".
func ParseDial(s string) (*Dial, error) {
	network, address, ok := strings.Cut(s, ":")
	if ok && network == "tcp" {
		if _, _, err := net.SplitHostPort(address); err == nil {
			return &Dial{Network: network, Address: address}, nil
		}
	}
	if ok && network == "unix" && strings.HasPrefix(address, "/") {
		return &Dial{Network: network, Address: address}, nil
	}
	return nil, fmt.Errorf("shadow: dial address %q is neither tcp:HOST:PORT nor unix:/PATH", s)
}

// Check reports whether d has an address, and whether there is but one session
// that its server can be showing. Whether a server answers is seen by Open.
func (d *Dial) Check(ctx context.Context) error {
	if d.Network == "" || d.Address == "" {
		return errors.New("shadow: the dial source has no address")
	}
	if d.Sessions == nil {
		return nil
	}
	all, err := d.Sessions.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("shadow: the sessions that %s may show: %w", d.Address, err)
	}
	var screens []string
	for _, s := range all {
		if r := s.Refusal(); r != nil && (r.Reason == NoUser || r.Reason == SessionEnded) {
			continue
		}
		if !slices.Contains(screens, s.screen()) {
			screens = append(screens, s.screen())
		}
	}
	if len(screens) > 1 {
		return fmt.Errorf("shadow: %s shows one of %d sessions, nobody knows which: with several sessions the source must be x11vnc", d.Address, len(screens))
	}
	return nil
}

// Open connects.
func (d *Dial) Open(ctx context.Context, _ *Session) (net.Conn, error) {
	if err := d.Check(ctx); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: d.Timeout}
	if d.Timeout == 0 {
		dialer.Timeout = 5 * time.Second
	}
	conn, err := dialer.DialContext(ctx, d.Network, d.Address)
	if err != nil {
		return nil, fmt.Errorf("shadow: no RFB server: %w", err)
	}
	return conn, nil
}
