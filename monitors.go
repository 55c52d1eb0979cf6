package shadow

import (
	"context"
	"sync"
	"time"
)

// A Monitor is a part of a session's display that is on a screen of its own.
type Monitor struct {
	Name    string // "DP-1": text from the session's X server
	X, Y    int    // pixels of the display
	Width   int
	Height  int
	Primary bool
}

// A MonitorLister is a [Source] that knows a session's monitors, in the order in which
// Request.Monitor counts them: the primary one first, then from left to right.
type MonitorLister interface {
	Monitors(ctx context.Context, s *Session) ([]Monitor, error)
}

const (
	monitorTime = 2 * time.Second // all displays have
	monitorPeak = 4               // displays that are looked at at the same time
)

// findMonitors fills in the monitors of the sessions that can be shadowed, as far as they
// can be found out in time. The sessions are copied.
func (m *Manager) findMonitors(ctx context.Context, list []*Session) []*Session {
	lister, ok := m.cfg.Source.(carefulSource).Source.(MonitorLister)
	if !ok {
		return list
	}
	ctx, cancel := context.WithTimeout(ctx, monitorTime)
	defer cancel()
	found := make([]*Session, len(list))
	places := make(chan struct{}, monitorPeak)
	var wg sync.WaitGroup
	for i, s := range list {
		found[i] = s
		if s.Refusal() != nil {
			continue
		}
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if monitors, err := listMonitors(ctx, lister, s); err == nil {
				with := *s
				with.Monitors = monitors
				found[i] = &with
			}
		})
	}
	wg.Wait()
	return found
}

func listMonitors(ctx context.Context, lister MonitorLister, s *Session) (list []Monitor, err error) {
	defer caught("the source", &err)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return lister.Monitors(ctx, s)
}
