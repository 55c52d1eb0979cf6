package websockify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"vda.internal/shadow/cmd/websockify/internal/token"
	"vda.internal/shadow/cmd/websockify/internal/wrap"
)

// makeProgram prepares the wrapped program, if there is one. self is how this
// one was called.
func (s *server) makeProgram(self string) error {
	if s.o.wrap == nil {
		return nil
	}
	warned := false
	o := wrap.Options{
		Command: s.o.wrap,
		Port:    s.o.listen.port,
		Unix:    s.o.unixTarget != "",
		Rebind:  wrap.FindRebind(self),
		OnStart: func() { s.log.Info("Starting '" + strings.Join(s.o.wrap, " ") + "'") },
		OnEnd: func(status int, ran time.Duration) {
			warned = false
			text := fmt.Sprintf("Wrapped command exited (or daemon). Returned %d", status)
			if status == 0 {
				s.log.Debug(text)
				return
			}
			if hint := s.program.FailureHint(status, ran); hint != "" {
				text += ": " + hint
			}
			s.log.Warn(text)
		},
		OnPause: func() {
			if !warned {
				s.log.Warn("Command respawning too fast")
			}
			warned = true
		},
	}
	p, err := wrap.Prepare(o)
	if errors.Is(err, wrap.ErrNoRebind) || errors.Is(err, wrap.ErrNoPort) {
		return fmt.Errorf("%w. Write {port} in the command where its port goes, or give a socket of the program's with --unix-target", err)
	}
	s.program = p
	return err
}

// describeProgram is the wrapped program as messages have it.
func (s *server) describeProgram() string {
	command := "'" + strings.Join(s.o.wrap, " ") + "'"
	if s.program.Port() == 0 {
		return fmt.Sprintf("%s (unix socket %s)", command, s.o.unixTarget)
	}
	return fmt.Sprintf("%s (port %d)", command, s.program.Port())
}

// reachProgram dials the wrapped program until it listens, for as long as it
// may still begin to: a desktop takes its time to start. Until then, and when it has ended, somebody
// else may listen there, who gets nothing.
func (s *server) reachProgram(ctx context.Context, t token.Target) (net.Conn, error) {
	const first, most = 20 * time.Millisecond, 500 * time.Millisecond
	for wait := first; ; wait = min(2*wait, most) {
		conn, err := dialTarget(ctx, new(net.Dialer), t)
		if err == nil {
			if err = s.program.Verify(conn); err != nil {
				conn.Close()
				return nil, err
			}
		}
		notYet := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
		if !notYet || !s.program.Lives() || s.program.TookPort(s.own) {
			return conn, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; tried until %w", err, context.Cause(ctx))
		}
	}
}

// startProgram runs the wrapped program until the function that it returns is
// called.
func (s *server) startProgram(ctx context.Context, running *sync.WaitGroup) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	if s.program == nil {
		return cancel
	}
	if w := s.program.Warning(); w != "" {
		s.log.Warn(w)
	}
	running.Go(func() {
		status, err := s.program.Run(ctx, s.o.wrapMode)
		if ctx.Err() == nil {
			s.end(ending{status: status, text: "In exit", drain: s.o.drain, err: err})
		}
	})
	return cancel
}
