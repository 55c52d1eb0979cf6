// Package runner runs the commands and children that ask a session's user.
package runner

import (
	"context"
	"fmt"
	"os/exec"

	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/host/child"
)

// Run starts cmd as the session's user and returns when it has ended and was
// reaped: of its own accord, soon after answered is closed (nil never is), or by
// force once ctx ends.
func Run(ctx context.Context, cmd *exec.Cmd, id child.Identity, answered <-chan struct{}) (*child.Process, error) {
	// Whoever inherits the pipes from a child that has exited holds up nothing.
	cmd.WaitDelay = process.TermTime
	p, err := child.Start(cmd, id)
	if err != nil {
		return nil, fmt.Errorf("starting the prompt: %w", err)
	}
	select {
	case <-p.Done():
	case <-answered:
		err = p.Stop(process.LeaveTime, process.TermTime)
	case <-ctx.Done():
		err = p.Stop(0, process.TermTime)
	}
	if err != nil {
		return nil, fmt.Errorf("the prompt doesn't end: %w", err)
	}
	return p, nil
}
