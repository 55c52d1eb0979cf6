//go:build !linux

// Package child runs programs as a session's user, on Linux. Elsewhere it says
// that it can't, so that what doesn't need it can be built.
package child

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	"vda.internal/shadow/internal/host/selfexec"
)

// Self, as the Path of a command, is this program.
const Self = selfexec.Path

// ErrHeld reports a child that was killed and that the kernel doesn't give back.
var ErrHeld = errors.New("killed, but still held by a debugger or the kernel")

// An Identity is the user a child runs as.
type Identity struct {
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary groups
	Root   bool     // UID 0 is meant
}

// User returns the identity of an account.
func User(name string, uid, gid uint32, groups []uint32) Identity {
	return Identity{UID: uid, GID: gid, Groups: groups, Root: name == "root"}
}

// Own returns no identity.
func Own() Identity { return Identity{} }

// A Process is a running child, of which there are none.
type Process struct{}

// Start returns an error that wraps [errors.ErrUnsupported].
func Start(cmd *exec.Cmd, _ Identity, _ ...func(pid int)) (*Process, error) {
	return nil, fmt.Errorf("starting %s: %w", cmd.Path, errors.ErrUnsupported)
}

// StartAlone is Start.
func StartAlone(cmd *exec.Cmd, id Identity, _ ...func(pid int)) (*Process, error) {
	return Start(cmd, id)
}

// PID returns 0.
func (p *Process) PID() int { return 0 }

// Done returns nil.
func (p *Process) Done() <-chan struct{} { return nil }

// Err returns nil.
func (p *Process) Err() error { return nil }

// ExitCode returns -1.
func (p *Process) ExitCode() int { return -1 }

// Stop does nothing.
func (p *Process) Stop(time.Duration, time.Duration) error { return nil }

// Held returns 0.
func Held() int { return 0 }
