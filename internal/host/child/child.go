// Package child runs programs as a session's user, so that nothing which talks
// to a session runs as root and nothing outlives the daemon.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// An Identity is whom a child runs as.
type Identity struct {
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary groups
}

// A Process is a running child. It is reaped whether or not anybody waits.
type Process struct {
	pid  int
	done chan struct{}
	err  error // of Wait, readable once done is closed
	stop sync.Once
}

// Start starts cmd as id, in a session and process group of its own, in the
// directory / and with exactly the environment cmd.Env (a nil one is empty).
// The kernel kills it if this process dies. Without root id must be the
// caller's own.
func Start(cmd *exec.Cmd, id Identity) (*Process, error) {
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	switch uid := uint32(os.Getuid()); {
	case uid == 0:
		attr.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID, Groups: id.Groups}
	case uid != id.UID:
		return nil, fmt.Errorf("child: starting %s as uid %d needs root; this process runs as uid %d", cmd.Path, id.UID, uid)
	}
	cmd.SysProcAttr = attr
	cmd.Dir = "/"
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts cmd and waits for it on one locked thread: the death signal is
// sent when the starting thread ends, not when the process does.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if err == nil {
		p.pid = cmd.Process.Pid
	}
	started <- err
	if err != nil {
		return
	}
	p.err = cmd.Wait()
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // it ended well; only somebody it started still holds a pipe
	}
	// The leader is gone; whatever it left behind in its group goes too.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	close(p.done)
}

// PID is the child's process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the child has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended, as [exec.Cmd.Wait] tells it: nil for status 0. It
// is valid once Done is closed.
func (p *Process) Err() error { return p.err }

// ExitCode is the child's exit code, or -1 if a signal ended it. It is valid
// once Done is closed.
func (p *Process) ExitCode() int {
	if p.err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// Stop ends the child and returns when it has been reaped: it waits own for an
// end of its own accord, sends SIGTERM to its group, waits term, and sends
// SIGKILL.
func (p *Process) Stop(own, term time.Duration) {
	p.stop.Do(func() {
		if p.wait(own) {
			return
		}
		_ = syscall.Kill(-p.pid, syscall.SIGTERM)
		if p.wait(term) {
			return
		}
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	})
	<-p.done
}

func (p *Process) wait(d time.Duration) bool {
	if d <= 0 {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}
