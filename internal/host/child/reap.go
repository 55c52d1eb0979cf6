//go:build linux

package child

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// lookInterval is how often a child is looked at that gives no other notice.
const lookInterval = time.Second

// watch waits for the child's death, ends what it left in its group, and reaps
// it. For a child that is held it may never return.
func (p *Process) watch() {
	if p.pidfd != nil {
		defer p.pidfd.Close()
	}
	p.awaitDeath()
	// The dead child still holds the number, unless somebody else's wait took it.
	p.signal(unix.SIGKILL)
	p.tellDead()
	deadline := time.Now().Add(killTime)
	for pause := time.Millisecond; ; pause = min(2*pause, lookInterval) {
		reaped, err := p.reap()
		if reaped {
			if !p.finish(err) {
				held.Add(-1)
			}
			return
		}
		if time.Now().After(deadline) {
			p.finish(ErrHeld) // a debugger has its end
		}
		time.Sleep(pause)
	}
}

// tellDead calls what is to be called before the child is reaped.
func (p *Process) tellDead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holdsNumber() {
		for _, f := range p.dead {
			f(p.pid)
		}
	}
}

// awaitDeath returns when the child has died. The pidfd says so of a traced
// child, too; without one (before Linux 5.3) a traced child's death shows only when
// its tracer lets go.
func (p *Process) awaitDeath() {
	if p.pidfd != nil {
		raw, err := p.pidfd.SyscallConn()
		if err == nil && raw.Read(func(fd uintptr) bool { return readable(int(fd)) }) == nil {
			return
		}
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	tick := time.NewTicker(lookInterval) // for what a signal that came together with another one left out
	defer tick.Stop()
	for !p.zombie() {
		select {
		case <-died:
		case <-tick.C:
		}
	}
}

// readable reports whether poll(2) finds fd readable.
func readable(fd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0
		}
	}
}

// zombie reports whether the child is there to be reaped, or was reaped by
// somebody else.
func (p *Process) zombie() bool {
	for {
		// The kernel sets the first number, the signal, to SIGCHLD if there is such a child.
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || info.Signo != 0
		}
	}
}

// holdsNumber reports whether the child is there, alive or not reaped, also by somebody
// else's wait; the caller holds p.mu.
func (p *Process) holdsNumber() bool {
	var info unix.Siginfo
	return !p.reaped && !errors.Is(unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil), unix.ECHILD)
}

// reap collects the child if it can be collected now. The error is how it ended.
func (p *Process) reap() (reaped bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.zombie() {
		return false, nil
	}
	state, err := p.proc.Wait()
	p.reaped = true
	if err == nil && !state.Success() {
		err = &exec.ExitError{ProcessState: state}
	}
	return true, err
}

// signal sends sig to the child's process group.
func (p *Process) signal(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holdsNumber() {
		_ = unix.Kill(-p.pid, sig) // that nobody is left is what is wanted
	}
}

// finish closes done, unless it is closed, and reports whether it did. It stops
// copying the child's output, for which it waits a limited time.
func (p *Process) finish(err error) (first bool) {
	p.end.Do(func() {
		first = true
		if copyErr := p.stdio.finish(); err == nil {
			err = copyErr
		}
		if errors.Is(err, ErrHeld) {
			held.Add(1)
		}
		p.err = err
		p.nest.release()
		close(p.done)
	})
	return first
}

// openPidfd returns a descriptor that is readable once the process is dead, or
// nil if the kernel has no such thing. The process must not be reaped yet.
func openPidfd(pid int) *os.File {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for the runtime's poller
		_ = unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "pidfd")
}
