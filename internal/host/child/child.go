//go:build linux

// Package child runs programs as a session's user, so that nothing which talks
// to a session runs as root, nothing outlives the daemon, and nothing that the
// session's user does to a child holds the daemon up.
//
//	cmd := exec.Command("/usr/bin/x11vnc", "-inetd")
//	p, err := child.Start(cmd, child.Identity{UID: 1000, GID: 1000})
//	if err != nil {
//		return err
//	}
//	defer p.Stop(2*time.Second, time.Second)
//
// # How a child is started
//
// Go's fork changes the user before it executes the program, while the parent's
// thread waits for the child: whoever may signal that user can stop the child
// there, and with it the whole parent. So Start changes nobody's user. It
// executes this same program (/proc/self/exe) as it is, with [Arg] as its first
// argument. An init function of this package recognises that, gives up its
// rights, tells the parent over a socket if something failed, and executes the
// wanted program. Start waits a limited time for that.
//
// A program that imports this package thereby answers to [Arg] before its main
// runs. It does so only for its own parent: the socket must have been made by
// the parent process, under the same user.
//
// A command whose Path is [Self] is this program once more. It isn't executed a
// second time: having given up its rights it goes on to main, with cmd.Args as
// os.Args, and main calls the function that knows those. Unlike a program that
// is executed under the user's id, it can't be traced by the user at any moment
// (PR_SET_DUMPABLE in prctl(2)).
//
// # How a child ends
//
// The child's process group is killed while the dead child, not reaped yet,
// still holds its number; so the signal can't hit a stranger. A child that the
// kernel doesn't give back, because another process traces it (ptrace(2)), is
// given up after [Process.Stop] has killed it ([ErrHeld]), and reaped whenever
// that becomes possible.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/selfexec"
)

// Self, as the Path of a command, is this program.
const Self = selfexec.Path

const (
	startTime = 10 * time.Second       // a child may take to execute its program
	killTime  = 2 * time.Second        // a killed child may take to be gone
	drainTime = 500 * time.Millisecond // for output after the child's end, if cmd.WaitDelay is 0
)

// ErrHeld reports a child that was killed and that the kernel doesn't give back:
// another process traces it, or it hangs in the kernel.
var ErrHeld = errors.New("killed, but still held by a debugger or the kernel")

// errStart reports a child that didn't execute its program in time.
var errStart = fmt.Errorf("the program did not start within %v", startTime)

// An Identity is the user a child runs as. The zero value is refused.
type Identity struct {
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary groups

	// Root confirms that UID 0 is meant. Without it UID 0, which may be a value
	// that somebody forgot to set, is refused.
	Root bool
}

// User returns the identity of an account. An account named root is meant to be
// root; any other with UID 0 is refused by Start.
func User(name string, uid, gid uint32, groups []uint32) Identity {
	return Identity{UID: uid, GID: gid, Groups: groups, Root: name == "root"}
}

// Own returns the identity of this process.
func Own() Identity {
	id := Identity{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Root: os.Geteuid() == 0}
	groups, _ := os.Getgroups() // getgroups(2) fails only for a buffer that is too small
	for _, g := range groups {
		id.Groups = append(id.Groups, uint32(g))
	}
	return id
}

// check reports whether a child may run as id.
func (id Identity) check() error {
	own := uint32(os.Geteuid())
	switch {
	case id.UID == 0 && !id.Root:
		return errors.New("uid 0 is refused: the session's user isn't known, or root isn't meant to be one")
	case own != 0 && own != id.UID:
		return fmt.Errorf("running a program as uid %d needs root; this process runs as uid %d", id.UID, own)
	}
	return nil
}

// A Process is a running child. It is reaped whether or not anybody waits.
type Process struct {
	pid   int
	proc  *os.Process
	pidfd *os.File // becomes readable when the child dies; nil: the kernel has none
	stdio *stdio
	nest  *nursery
	dead  []func(pid int) // are called once it is dead and not reaped
	done  chan struct{}
	end   sync.Once // closes done
	err   error     // readable once done is closed

	mu     sync.Mutex // guards the number: no signal is sent once it may be another process's
	reaped bool
}

// Start starts cmd as id, in a session and process group of its own, in the
// directory / and with exactly the environment cmd.Env (nil means empty). The
// kernel kills it if this process dies. It can't gain rights by executing a
// setuid program (PR_SET_NO_NEW_PRIVS in prctl(2)), unless id is this process's
// own user and cmd is another program.
//
// Of cmd, Path, Args, Env, Stdin, Stdout, Stderr, ExtraFiles and WaitDelay are
// used, as [exec.Cmd] describes them; a WaitDelay of 0 means 500 ms. Path must be
// absolute. Writers must not block. Without root id must be this process's own.
//
// Start returns when the program has been executed, after 10 s at the latest. An
// error that the execution met is an [*fs.PathError].
//
// Each of dead is called when the child has died, before it is reaped: its number
// is still nobody else's. It must not block.
func Start(cmd *exec.Cmd, id Identity, dead ...func(pid int)) (*Process, error) {
	return start(cmd, id, false, dead)
}

// StartAlone is Start in a network namespace of its own, in which there is nobody else and no interface
// is up. If there can't be one the error is an [*fs.PathError] with unshare as its Op.
//
// The child makes it, once it is this same program again: what makes one waits for locks that any user
// can hold for long, by removing others. Between fork and exec the thread that has started the child
// would wait with it, and with that thread sooner or later the whole of this process.
func StartAlone(cmd *exec.Cmd, id Identity, dead ...func(pid int)) (*Process, error) {
	return start(cmd, id, true, dead)
}

// start is Start, or StartAlone.
func start(cmd *exec.Cmd, id Identity, alone bool, dead []func(pid int)) (*Process, error) {
	switch {
	case cmd.Err != nil:
		return nil, cmd.Err
	case !filepath.IsAbs(cmd.Path):
		return nil, fmt.Errorf("%q isn't an absolute path", cmd.Path)
	}
	if err := id.check(); err != nil {
		return nil, err
	}
	status, err := newStatus()
	if err != nil {
		return nil, err
	}
	defer status.close()
	p := &Process{dead: dead, done: make(chan struct{})}
	if p.stdio, err = newStdio(cmd); err != nil {
		return nil, err
	}
	p.nest = nest(cmd.Path == Self || id.UID != uint32(os.Geteuid()))
	attr := &os.ProcAttr{Dir: "/", Env: append([]string{}, cmd.Env...), Files: p.stdio.files, Sys: procAttr()}
	attr.Files = append(attr.Files, cmd.ExtraFiles...)
	attr.Files = append(attr.Files, status.theirs)
	argv := arguments(cmd, id, alone, len(attr.Files)-1)
	if err := p.nest.do(func() (err error) { p.proc, err = os.StartProcess(Self, argv, attr); return err }); err != nil {
		p.nest.release()
		p.stdio.abandon()
		return nil, fmt.Errorf("starting this program again: %w", err)
	}
	runtime.KeepAlive(cmd)
	p.pid = p.proc.Pid
	p.pidfd = openPidfd(p.pid)
	p.stdio.start()
	go p.watch()
	if err := status.read(cmd.Path); err != nil {
		return nil, errors.Join(err, p.Stop(0, 0))
	}
	return p, nil
}

// PID returns the child's process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the child has ended and its output was copied, or when it
// was given up.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the child ended, as [exec.Cmd.Wait] does: nil for status 0, or
// ErrHeld. It is valid once Done is closed.
func (p *Process) Err() error { return p.err }

// ExitCode returns the child's exit code, or -1 if a signal ended it or it was
// given up. It is valid once Done is closed.
func (p *Process) ExitCode() int {
	if p.err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		return exit.ExitCode()
	}
	return -1
}

// Stop ends the child: it waits own for an end of its own accord, sends SIGTERM
// to its group, waits term, and sends SIGKILL. It returns when the child has
// ended, after own, term and about four seconds at the latest. The error is nil,
// or ErrHeld if the child was given up.
func (p *Process) Stop(own, term time.Duration) error {
	if !p.wait(own) {
		p.signal(unix.SIGTERM)
		if !p.wait(term) {
			p.signal(unix.SIGKILL)
			if !p.wait(killTime) {
				p.finish(ErrHeld)
			}
		}
	}
	<-p.done
	if errors.Is(p.err, ErrHeld) {
		return fmt.Errorf("%w: pid %d", ErrHeld, p.pid)
	}
	return nil
}

// wait reports whether the child ends within d.
func (p *Process) wait(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	default:
	}
	if d <= 0 {
		return false
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

// held counts the children that were given up and aren't reaped yet.
var held atomic.Int64

// Held returns how many children were given up ([ErrHeld]) and not reaped since.
func Held() int { return int(held.Load()) }
