package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/host"
)

// An engine has sessions that are made up, of users who aren't there.
type engine struct {
	mu       sync.Mutex
	sessions []*shadow.Session
	more     chan shadow.Event
}

func newEngine(host, sessions int) *engine {
	e := &engine{more: make(chan shadow.Event, 1)}
	for range sessions {
		e.add(host)
	}
	return e
}

// add adds a session.
func (e *engine) add(host int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.sessions) + 1
	e.sessions = append(e.sessions, &shadow.Session{
		ID: fmt.Sprint("s", n), User: fmt.Sprintf("user%d-%d", host, n), UID: uint32(1000 + n), Display: fmt.Sprint(":", n), Type: "x11", Class: "user", State: "active",
	})
	select {
	case e.more <- shadow.Event{Type: shadow.EventRequested}:
	default:
	}
}

func (e *engine) Shadow(context.Context, shadow.Request) (*shadow.Grant, error) {
	return nil, &shadow.End{Reason: shadow.NoUser}
}

func (e *engine) Judge(context.Context, shadow.Request) (policy.Verdict, error) {
	return policy.Verdict{}, errors.New("there are no rules")
}
func (e *engine) List() []shadow.Status                             { return nil }
func (e *engine) Stop(context.Context, string, shadow.Reason) error { return shadow.ErrNotFound }
func (e *engine) Rules() policy.Rules                               { return nil }
func (e *engine) Subscribe(context.Context) <-chan shadow.Event     { return e.more }
func (e *engine) Sessions(context.Context) ([]*shadow.Session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions[:len(e.sessions):len(e.sessions)], nil
}

// A spool has as many lines as it was told.
type spool struct {
	id   string
	more chan int
	mu   sync.Mutex
	left int
}

func (s *spool) Peek(ctx context.Context) (string, []byte, error) {
	for {
		s.mu.Lock()
		left := s.left
		s.mu.Unlock()
		if left > 0 {
			line := fmt.Sprint(s.id, "-", left)
			return line, fmt.Appendf(nil, `{"id":%q,"type":"granted","admin":"alice","purpose":"%0100d"}`, line, left), nil
		}
		select {
		case n := <-s.more:
			s.mu.Lock()
			s.left = n
			s.mu.Unlock()
		case <-ctx.Done():
			return "", nil, context.Cause(ctx)
		}
	}
}

func (s *spool) Ack(string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left--
	return nil
}

// runHosts is the process of the hosts: their credentials are in a file, and what they are to do is on standard input
// until that ends.
func runHosts(file string, sessions int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all []*enrol.Credentials
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var engines []*engine
	var spools []*spool
	for i, c := range all {
		e, s := newEngine(i, sessions), &spool{id: c.ID, more: make(chan int)}
		h, err := host.New(host.Config{Engine: e, Credentials: c, Version: "simulated", Spool: s, Logger: zerolog.Nop()})
		if err != nil {
			return err
		}
		engines, spools = append(engines, e), append(spools, s)
		running.Go(func() { _ = h.Run(ctx) })
		time.Sleep(time.Millisecond) // hosts don't start all at once
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var n int
		switch what := lines.Text(); {
		case strings.HasPrefix(what, "change"):
			engines[0].add(0)
		case strings.HasPrefix(what, "audit"):
			if _, err := fmt.Sscanf(what, "audit %d", &n); err != nil {
				return err
			}
			for _, s := range spools {
				s.more <- n
			}
		}
	}
	return nil
}
