package shadow

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Monitor is a part of a session's display that is on a screen of its own.
type Monitor struct {
	Name    string // "DP-1": text from the session's X server
	X, Y    int    // pixels of the display
	Width   int    // pixels
	Height  int    // pixels
	Primary bool   // it is the one that the session calls so
}

// A MonitorLister is a [Source] that knows a session's monitors, in the order in which
// Request.Monitor counts them: the primary one first, then from left to right.
type MonitorLister interface {
	Monitors(ctx context.Context, s *Session) ([]Monitor, error)
}

const (
	monitorPatience = 2 * time.Second // all displays have
	monitorPeak     = 4               // displays that are looked at at the same time

	maxMonitors    = 64  // in a list
	maxMonitorName = 128 // bytes
)

// findMonitors fills in the monitors of the sessions that can be shadowed, as far as they
// can be found out in time. One display of a user's is looked at after the other: a user whose displays
// hang takes no more than one place. The sessions are copied.
func (m *Manager) findMonitors(ctx context.Context, list []*Session) []*Session {
	lister, ok := m.cfg.Source.(carefulSource).Source.(MonitorLister)
	if !ok {
		return list
	}
	ctx, cancel := context.WithTimeout(ctx, m.monitorTime)
	defer cancel()
	found := slices.Clone(list)
	byUser := map[uint32][]int{}
	for i, s := range list {
		if s.Refusal() == nil {
			byUser[s.UID] = append(byUser[s.UID], i)
		}
	}
	places := make(chan struct{}, monitorPeak)
	var wg sync.WaitGroup
	for _, own := range byUser {
		wg.Go(func() {
			for _, i := range own {
				places <- struct{}{}
				monitors, err := m.listMonitors(ctx, lister, list[i])
				<-places
				if err == nil {
					with := *list[i]
					with.Monitors = bounded(monitors)
					found[i] = &with
				}
			}
		})
	}
	wg.Wait()
	return found
}

// bounded is list as far as others are told of it: its names are text from the user's own X server.
func bounded(list []Monitor) []Monitor {
	list = slices.Clone(list[:min(len(list), maxMonitors)])
	for i, m := range list {
		if len(m.Name) > maxMonitorName {
			list[i].Name = strings.ToValidUTF8(m.Name[:maxMonitorName], "")
		}
	}
	return list
}

// nameMonitor makes the number of a monitor its name: the same is to be shown after a pause, or to a
// viewer that returns, and numbers may change meanwhile.
func (l *life) nameMonitor() {
	lister, ok := l.m.cfg.Source.(carefulSource).Source.(MonitorLister)
	n, err := strconv.Atoi(l.session.Monitor)
	if !ok || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.m.monitorTime)
	defer cancel()
	list, err := l.m.listMonitors(ctx, lister, l.session)
	if err != nil || slices.ContainsFunc(list, func(m Monitor) bool { return m.Name == l.session.Monitor }) {
		return // the source finds it, or says why not
	}
	if n >= 1 && n <= len(list) && list[n-1].Name != "" {
		l.session.Monitor = list[n-1].Name
	}
}

func (m *Manager) listMonitors(ctx context.Context, lister MonitorLister, s *Session) ([]Monitor, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return ask(ctx, m, ofUser("the source's monitors", s), func(ctx context.Context) ([]Monitor, error) { return lister.Monitors(ctx, s) }, nil)
}
