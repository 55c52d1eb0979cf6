package source

import (
	"context"
	"fmt"
	"net"
	"strings"

	"vda.internal/shadow"
)

// Auto is the [shadow.Source] that shows displays with X11 where that can, and with
// X11vnc where it can't and x11vnc is installed.
type Auto struct {
	X11    X11
	X11vnc X11vnc
}

// Check reports whether either can show s.
func (a *Auto) Check(ctx context.Context, s *shadow.Session) error {
	_, _, err := a.choose(ctx, s)
	return err
}

// Open opens the one that can show s. If that is X11vnc, the audit says why.
func (a *Auto) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	from, why, err := a.choose(ctx, s)
	if err != nil {
		return nil, err
	}
	conn, err := from.Open(ctx, s)
	if p, ok := conn.(*process); ok && why != nil {
		p.detail = "x11vnc shows it, for x11 can't: " + strings.TrimPrefix(why.Error(), "source: ")
	}
	return conn, err
}

// Monitors implements [shadow.MonitorLister].
func (a *Auto) Monitors(ctx context.Context, s *shadow.Session) ([]shadow.Monitor, error) {
	return a.X11.Monitors(ctx, s)
}

// choose is the one that can show s, and why it isn't X11.
func (a *Auto) choose(ctx context.Context, s *shadow.Session) (from shadow.Source, why, err error) {
	if why = a.X11.Check(ctx, s); why == nil {
		return &a.X11, nil, nil
	}
	if err := a.X11vnc.Check(ctx, s); err != nil {
		return nil, nil, fmt.Errorf("%w; and in its place: %w", why, err)
	}
	return &a.X11vnc, why, nil
}

// Sweep is that of X11vnc.
func (a *Auto) Sweep() (segments int, err error) { return a.X11vnc.Sweep() }
