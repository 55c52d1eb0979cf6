package source

import (
	"context"
	"errors"
	"fmt"
	"net"

	"vda.internal/shadow"

	"vda.internal/shadow/internal/named"
)

// Auto is a [shadow.Source] that uses X11, or X11vnc for displays that X11 can't capture if x11vnc
// is installed. It refuses a display that neither can capture, such as Xwayland's, one that
// doesn't answer or refuses the connection, and one whose X server breaks the capture: no other program is
// sent to that.
type Auto struct {
	X11    X11    // is tried first
	X11vnc X11vnc // is tried where X11 can't show a display
}

// Check returns nil if X11 or X11vnc can capture s.
func (a *Auto) Check(ctx context.Context, s *shadow.Session) error {
	_, _, err := a.choose(ctx, s)
	return err
}

// Open opens the one that can capture s. If that is X11vnc, the audit records why.
func (a *Auto) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	from, why, err := a.choose(ctx, s)
	if err != nil {
		return nil, err
	}
	conn, err := from.Open(ctx, s)
	if p, ok := conn.(*process); ok && why != nil {
		p.detail = "x11vnc shows it, for x11 can't: " + named.Text(why)
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
	if _, unfit := errors.AsType[*unfitError](why); !unfit {
		return nil, nil, why
	}
	if err := a.X11vnc.Check(ctx, s); err != nil {
		return nil, nil, fmt.Errorf("%w; and in its place: %w", why, err)
	}
	return &a.X11vnc, why, nil
}

// Sweep calls X11vnc's Sweep.
func (a *Auto) Sweep() (segments int, err error) { return a.X11vnc.Sweep() }
