package main

import (
	"errors"
	"sync"
	"time"

	"vda.internal/shadow"
)

const (
	maxBacklog   = 4096 // lines that the spool has refused; half of them may be of requests, of which anybody makes many
	backlogEvery = 5 * time.Second
)

var errBacklog = errors.New("it has refused too many lines already")

// A backlog has the lines that the fleet's spool has refused, in their order. This host's own audit has them.
type backlog struct {
	mu    sync.Mutex
	lines []shadow.Event
	again *time.Timer // nil: nothing waits
	lost  int         // since the first was refused
}

// line puts an event into the spool, behind those that wait for it. After an error it waits with them, if there
// is room.
func (m *member) line(e shadow.Event) error {
	b := &m.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	err := m.flush()
	if err == nil {
		if err = m.spool(m.spooled.Load(), e); err == nil {
			return nil
		}
		m.logger.Error().Err(err).Msg("the fleet's spool takes no lines: some wait for it in memory, and this host's own audit has them")
	}
	most := maxBacklog
	if e.Type == shadow.EventRequested || e.Type == shadow.EventRefused {
		most /= 2
	}
	if len(b.lines) >= most {
		b.lost++
		return errors.Join(errBacklog, err)
	}
	b.lines = append(b.lines, e)
	m.tryAgain()
	return err
}

// flush puts what waits into the spool; backlog.mu is held.
func (m *member) flush() error {
	b := &m.backlog
	if len(b.lines) == 0 {
		return nil
	}
	for len(b.lines) > 0 {
		if err := m.spool(m.spooled.Load(), b.lines[0]); err != nil {
			return err
		}
		b.lines = b.lines[1:]
	}
	m.logger.Warn().Int("lost", b.lost).Msg("the fleet's spool takes lines again")
	b.lines, b.lost = nil, 0
	return nil
}

// tryAgain has what waits tried in a while; backlog.mu is held.
func (m *member) tryAgain() {
	b := &m.backlog
	if b.again != nil {
		return
	}
	b.again = time.AfterFunc(backlogEvery, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.again = nil; m.flush() != nil {
			m.tryAgain()
		}
	})
}

// giveUp tries what waits for the last time, before the fleet is left.
func (m *member) giveUp() {
	b := &m.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := m.flush(); err != nil {
		m.logger.Error().Err(err).Int("lost", b.lost+len(b.lines)).Msg("the fleet misses lines of the audit, which this host's own has")
	}
	b.lines, b.lost = nil, 0
}
