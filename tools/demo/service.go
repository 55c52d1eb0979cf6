package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/printed"
	"vda.internal/shadow/internal/host/testhost"
)

// A service is one of our programs, which runs until the demo ends.
type service struct {
	name    string // of the program
	process *child.Process
	log     printed.Tail
}

// built is the path of a program, which has to be there.
func built(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built; do: make build (%w)", filepath.Base(path), err)
	}
	return path, nil
}

// start starts the program and returns when it is ready.
func (s *service) start(ctx context.Context, path string, args []string, ready func(context.Context) bool) error {
	s.name = filepath.Base(path)
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.WaitDelay = time.Second
	var err error
	if s.process, err = child.Start(cmd, child.Own()); err != nil {
		return fmt.Errorf("starting %s: %w", s.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return testhost.Until(ctx, s.name+" to answer", func() (bool, error) {
		select {
		case <-s.process.Done():
			return false, s.failure("doesn't start")
		default:
		}
		return ready(ctx), nil
	})
}

func (s *service) done() <-chan struct{} { return s.process.Done() }

// failure is an error with the last that the program logged.
func (s *service) failure(what string) error {
	return fmt.Errorf("%s %s with exit code %d; its last words:\n%s", s.name, what, s.process.ExitCode(), s.log.String())
}

// end ends the program, as its service manager would.
func (s *service) end() error {
	if s.process == nil {
		return nil
	}
	s.process.Stop(0, 10*time.Second)
	if code := s.process.ExitCode(); code != 0 {
		return s.failure("ended")
	}
	return nil
}
