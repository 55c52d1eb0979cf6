package source

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/printed"
	"vda.internal/shadow/internal/host/sysv"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/quiet"
)

// exitGone is the exit status with which x11vnc, and our own program, say that
// the X server has gone.
const exitGone = 3

// A starter is [child.Start] or [child.StartAlone].
type starter func(*exec.Cmd, child.Identity, ...func(pid int)) (*child.Process, error)

// start has run run cmd, which is called name, as s's user with one end of a socket
// pair as its standard input and output. What it says on standard error is for said, too, if
// that isn't nil. What shared memory it leaves that can't be removed, onLeft is told, unless that is nil.
func start(name string, run starter, cmd *exec.Cmd, s *shadow.Session, left sysv.Ledger, onLeft func(error), said *notes) (net.Conn, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, pkg.Errorf("socket for %s: %w", name, err)
	}
	log := newLog()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, log
	if said != nil {
		cmd.Stderr = io.MultiWriter(log, said)
	}
	cmd.WaitDelay = time.Second
	since := time.Now()
	proc, err := run(cmd, identity(s), func(pid int) {
		err := left.Clear(sysv.Creator{PID: pid, UID: s.UID, Since: since})
		if err != nil && onLeft != nil {
			onLeft(err)
		}
	})
	if err == nil {
		err = left.Add(sysv.Creator{PID: proc.PID(), UID: s.UID, Since: since})
	}
	if err != nil && proc != nil {
		err = errors.Join(err, proc.Stop(0, 0))
	}
	if err != nil {
		conn.Close()
		return nil, pkg.Errorf("%s: %w", name, err)
	}
	return &process{Conn: quiet.New(conn), name: name, proc: proc, log: log, notes: said}, nil
}

// allMonitors refuses a single monitor of s, which what can't show.
func allMonitors(s *shadow.Session, what string) error {
	if s == nil || s.Monitor == "" {
		return nil
	}
	return pkg.Errorf("%s shows all monitors, and not %q alone", what, s.Monitor)
}

func identity(s *shadow.Session) child.Identity {
	return child.User(s.User, s.UID, s.GID, s.Groups)
}

// socketpair makes a connected pair of stream sockets.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "source"), os.NewFile(uintptr(fds[1]), "viewer"), nil
}

// pkg is the name of this package's errors.
const pkg = named.Package("source")

// A process is an RFB server that was started for one viewer: the socket and the
// process at its other end.
type process struct {
	net.Conn
	name   string
	proc   *child.Process
	log    *log
	notes  *notes // nil: what it says is for nobody, until it fails
	detail string // for the audit
	fresh  bool   // it obeys rfb.EncodingFreshStreams
}

// SetReadLowat is the socket's, by which a relay wakes seldom.
func (p *process) SetReadLowat(n int) error {
	if l, ok := p.Conn.(interface{ SetReadLowat(n int) error }); ok {
		return l.SetReadLowat(n)
	}
	return errors.ErrUnsupported
}

// Close closes the socket, which ends the process, and returns when it has been reaped.
func (p *process) Close() error {
	err := p.Conn.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, p.proc.Stop(2*time.Second, 3*time.Second))
}

// greetTime is how long a program may take to begin its greeting.
const greetTime = 10 * time.Second

// greets reports whether the program begins to greet its viewer. It takes nothing of that.
func (p *process) greets(ctx context.Context) bool {
	raw := socketOf(p.Conn)
	if raw == nil || p.Conn.SetReadDeadline(time.Now().Add(greetTime)) != nil {
		return true // nobody knows
	}
	stop := context.AfterFunc(ctx, func() { _ = p.Conn.SetReadDeadline(time.Unix(1, 0)) })
	var n int
	err := raw.Read(func(fd uintptr) bool {
		var err error
		n, _, err = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	stop()
	_ = p.Conn.SetReadDeadline(time.Time{})
	return err == nil && n > 0
}

// socketOf gives access to the descriptor of a connection that start made; nil if there is none.
func socketOf(c net.Conn) syscall.RawConn {
	if q, ok := c.(*quiet.Conn); ok {
		c = q.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// wantedMemory reports whether the program has ended for want of memory that it could share with the
// X server.
func (p *process) wantedMemory() bool {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-p.proc.Done():
		return p.proc.ExitCode() != 0 && p.log.says(noShare)
	case <-t.C:
		return false
	}
}

// PID is the process id, for an operator's eyes.
func (p *process) PID() int { return p.proc.PID() }

// Detail implements [shadow.Detailer].
func (p *process) Detail() string { return p.detail }

// FreshStreams implements [shadow.Fresher].
func (p *process) FreshStreams() bool { return p.fresh }

// Notes implements [shadow.Noter].
func (p *process) Notes() <-chan shadow.Note {
	if p.notes == nil {
		return nil
	}
	return p.notes.lines
}

// Ended implements [shadow.Ender].
func (p *process) Ended() <-chan struct{} { return p.proc.Done() }

// Err implements [shadow.Ender].
func (p *process) Err() error {
	switch code := p.proc.ExitCode(); code {
	case 0:
		return nil
	case exitGone:
		return shadow.ErrSessionEnded
	default:
		return pkg.Errorf("%s %s%s", p.name, howEnded(p.proc.Err()), p.log.telling())
	}
}

// maxOutput is how many bytes a program's answer may have.
const maxOutput = 64 << 10

// output runs cmd as s's user to its end and returns what it printed, its exit
// status, and its last words. The error is why there is no exit status.
func output(ctx context.Context, cmd *exec.Cmd, s *shadow.Session) (stdout []byte, code int, said string, err error) {
	out := &printed.Head{Max: maxOutput}
	var log printed.Tail
	cmd.Stdout, cmd.Stderr = out, &log
	proc, err := child.Start(cmd, identity(s))
	if err != nil {
		return nil, 0, "", err
	}
	select {
	case <-proc.Done():
	case <-ctx.Done():
		return nil, 0, "", errors.Join(context.Cause(ctx), proc.Stop(0, time.Second))
	}
	if code = proc.ExitCode(); code < 0 {
		return nil, code, "", proc.Err()
	}
	return out.Bytes(), code, log.Last(), nil
}
