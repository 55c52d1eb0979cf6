package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow"
)

// Dial is a [shadow.Source] for RFB servers that run already: it connects to Network and
// Address whatever the session. The server must offer security type None; keep
// it where only this host's root can reach it.
type Dial struct {
	Network string        // "tcp" or "unix"
	Address string        // "127.0.0.1:5900", or a path
	Timeout time.Duration // for connecting; 0 means 5 s

	// Sessions are the host's. The server shows what it shows, whichever session
	// is asked for, so with more than one user's session Check refuses: one
	// user's Yes must not show another's screen. Nil leaves that to the caller.
	Sessions shadow.Resolver
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
	return nil, fmt.Errorf("source: dial address %q is neither tcp:HOST:PORT nor unix:/PATH", s)
}

// Validate says what is wrong with d, or returns nil.
func (d *Dial) Validate() error {
	switch {
	case d.Network == "" || d.Address == "":
		return errors.New("source: the dial source has no address")
	case d.Network != "tcp" && d.Network != "unix":
		return fmt.Errorf("source: the dial source's network is %q, and neither tcp nor unix", d.Network)
	case d.Timeout < 0:
		return errors.New("source: the dial source's timeout is negative")
	}
	return nil
}

// Check reports whether d has an address, and whether there is but one session
// that its server can be showing. Whether a server answers is seen by Open.
func (d *Dial) Check(ctx context.Context, _ *shadow.Session) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if d.Sessions == nil {
		return nil
	}
	all, err := d.Sessions.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("source: the sessions that %s may show: %w", d.Address, err)
	}
	var screens []string
	for _, s := range all {
		if r := s.Refusal(); r != nil && (r.Reason == shadow.NoUser || r.Reason == shadow.SessionEnded) {
			continue
		}
		if !slices.Contains(screens, s.Screen()) {
			screens = append(screens, s.Screen())
		}
	}
	if len(screens) > 1 {
		return fmt.Errorf("source: %s shows one of %d sessions, nobody knows which: with several sessions the source must be x11", d.Address, len(screens))
	}
	return nil
}

// Open connects.
func (d *Dial) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	if err := d.Check(ctx, s); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: d.Timeout}
	if d.Timeout == 0 {
		dialer.Timeout = 5 * time.Second
	}
	conn, err := dialer.DialContext(ctx, d.Network, d.Address)
	if err != nil {
		return nil, fmt.Errorf("source: no RFB server: %w", err)
	}
	return conn, nil
}
