package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/sysv"
)

// exitGone is the exit status with which x11vnc, and our own program, say that
// the X server has gone.
const exitGone = 3

// start runs cmd, which is called name, as s's user with one end of a socket
// pair as its standard input and output.
func start(name string, cmd *exec.Cmd, s *shadow.Session, left sysv.Ledger) (net.Conn, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("source: socket for %s: %w", name, err)
	}
	log := newLog()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, log
	cmd.WaitDelay = time.Second
	since := time.Now()
	proc, err := child.Start(cmd, identity(s), func(pid int) {
		_, _ = sysv.Remove(sysv.Creator{PID: pid, UID: s.UID, Since: since}) // what can't be removed now, Sweep removes
		left.Drop(pid)
	})
	if err == nil {
		err = left.Add(sysv.Creator{PID: proc.PID(), UID: s.UID, Since: since})
	}
	if err != nil && proc != nil {
		err = errors.Join(err, proc.Stop(0, 0))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("source: %s: %w", name, err)
	}
	return &process{Conn: conn, name: name, proc: proc, log: log}, nil
}

// allMonitors refuses a single monitor of s, which what can't show.
func allMonitors(s *shadow.Session, what string) error {
	if s == nil || s.Monitor == "" {
		return nil
	}
	return fmt.Errorf("source: %s shows all monitors, and not %q alone", what, s.Monitor)
}

func identity(s *shadow.Session) child.Identity {
	return child.User(s.User, s.UID, s.GID, s.Groups)
}

// socketpair makes a connected pair of stream sockets.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("source: socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "source"), os.NewFile(uintptr(fds[1]), "viewer"), nil
}

// A process is an RFB server that was started for one viewer: the socket and the
// process at its other end.
type process struct {
	net.Conn
	name   string
	proc   *child.Process
	log    *log
	detail string // for the audit
}

// Close closes the socket, which ends the process, and returns when it has been reaped.
func (p *process) Close() error {
	err := p.Conn.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, p.proc.Stop(2*time.Second, 3*time.Second))
}

// PID is the process id, for an operator's eyes.
func (p *process) PID() int { return p.proc.PID() }

// Detail implements [shadow.Detailer].
func (p *process) Detail() string { return p.detail }

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
		return fmt.Errorf("source: %s %s%s", p.name, howEnded(p.proc.Err()), p.log.telling())
	}
}

// maxOutput is how many bytes a program's answer may have.
const maxOutput = 64 << 10

// output runs cmd as s's user to its end and returns what it printed, its exit
// status, and its last words. The error is why there is no exit status.
func output(ctx context.Context, cmd *exec.Cmd, s *shadow.Session) (stdout []byte, code int, said string, err error) {
	out := &head{max: maxOutput}
	var log tail
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
	return out.buf.Bytes(), code, log.last(), nil
}

// head keeps the beginning of what a program prints.
type head struct {
	max int
	buf bytes.Buffer
}

// Write implements io.Writer; it never fails.
func (h *head) Write(p []byte) (int, error) {
	h.buf.Write(p[:min(len(p), h.max-h.buf.Len())])
	return len(p), nil
}

// tail keeps the end of what a program prints.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4096

// Write implements io.Writer; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[max(0, len(p)-tailSize):]...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// last is the last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// lastWords is the last line, as the end of an error's sentence.
func (t *tail) lastWords() string {
	if last := t.last(); last != "" {
		return fmt.Sprintf(": %.200q", last)
	}
	return ""
}
