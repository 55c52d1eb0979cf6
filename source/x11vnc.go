package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
)

// minX11vnc is the oldest x11vnc that is known to work (-noultraext, -safer and
// -inetd as used here).
var minX11vnc = [3]int{0, 9, 13}

// X11vnc is the [shadow.Source] that starts one x11vnc(1) per viewer, as the session's
// user, on one end of a socket pair: no port, no path, no second client. It is
// started view-only with everything switched off that could reach the session
// by another way; the relay in front of it enforces the same once more. The
// zero value is ready to use.
type X11vnc struct {
	Path string // of the program; empty: found on PATH

	mu      sync.Mutex
	checked string // path that was found good
}

// Check looks for x11vnc and its version (0.9.13 or later), once: a good
// answer is kept while the program is there, a bad one is looked into anew at the next request. The error
// says how to install it on this distribution.
func (x *X11vnc) Check(ctx context.Context) error {
	_, err := x.program(ctx)
	return err
}

// program is the path of a good x11vnc.
func (x *X11vnc) program(ctx context.Context) (string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.checked != "" {
		if _, err := os.Stat(x.checked); err == nil {
			return x.checked, nil
		}
		x.checked = "" // removed, or moved by an update
	}
	name := x.Path
	if name == "" {
		name = "x11vnc"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("source: x11vnc is not installed (%w); install it with: %s", err, installCommand("/etc/os-release"))
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-version")
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("source: %s -version: %w", path, err)
	}
	version, ok := parseX11vncVersion(string(out))
	if !ok {
		return "", fmt.Errorf("source: %s -version says %.60q, which names no version of x11vnc", path, strings.TrimSpace(string(out)))
	}
	if older(version, minX11vnc) {
		return "", fmt.Errorf("source: %s is version %d.%d.%d, and 0.9.13 or later is needed; update it with: %s",
			path, version[0], version[1], version[2], installCommand("/etc/os-release"))
	}
	x.checked = path
	return path, nil
}

var x11vncVersion = regexp.MustCompile(`x11vnc: (\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?`)

// parseX11vncVersion reads "x11vnc: 0.9.16 lastmod: 2019-01-05".
func parseX11vncVersion(s string) (v [3]int, ok bool) {
	m := x11vncVersion.FindStringSubmatch(s)
	if m == nil {
		return v, false
	}
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // an absent third part is 0
	}
	return v, true
}

func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// installCommand is how x11vnc is installed on the distribution that the
// os-release(5) file describes.
func installCommand(file string) string {
	data, _ := os.ReadFile(file)
	var ids string
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "ID" || key == "ID_LIKE" {
			ids += " " + strings.Trim(value, `"'`)
		}
	}
	for _, id := range strings.Fields(ids) {
		switch id {
		case "debian", "ubuntu":
			return "apt-get install x11vnc"
		case "fedora":
			return "dnf install x11vnc"
		case "rhel", "centos", "rocky", "almalinux", "ol", "amzn":
			return "dnf install epel-release && dnf install x11vnc"
		case "suse", "opensuse", "sles", "sled":
			return "zypper install x11vnc"
		case "arch":
			return "pacman -S x11vnc"
		}
	}
	return "the distribution's package manager (package x11vnc)"
}

// x11vncArgs are the options for s. Each one that switches something off is
// there because it was found to let something through or to slow a viewer that
// sends no input; docs/DESIGN.md has the list.
func x11vncArgs(s *shadow.Session) []string {
	args := []string{"-display", s.Display}
	if s.Xauthority != "" {
		args = append(args, "-auth", s.Xauthority)
	}
	return append(args, "-inetd", "-viewonly", "-norc", "-nopw", "-safer", "-nocmds", "-noultraext", "-nosel",
		"-noxrecord", "-nolookup", "-nonap", "-ncache", "0", "-nowireframe", "-noscrollcopyrect",
		"-nowirecopyrect", "-nodpms", "-timeout", "15",
		"-speeds", "lan", "-wait", "10", "-defer", "10")
}

// Open starts x11vnc on s. Whether it could reach the session is seen when its
// greeting comes or doesn't; what it printed is in the error of [shadow.Ender]'s Err.
func (x *X11vnc) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	path, err := x.program(ctx)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("source: socket for x11vnc: %w", err)
	}
	var log tail
	cmd := exec.Command(path, x11vncArgs(s)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, &log
	cmd.WaitDelay = time.Second
	proc, err := child.Start(cmd, child.User(s.User, s.UID, s.GID, s.Groups))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("source: x11vnc: %w", err)
	}
	return &x11vncConn{Conn: conn, proc: proc, log: &log}, nil
}

// socketpair makes a connected pair of stream sockets.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("source: socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "x11vnc"), os.NewFile(uintptr(fds[1]), "viewer"), nil
}

// x11vncConn is one x11vnc: the socket and the process at its other end.
type x11vncConn struct {
	net.Conn
	proc *child.Process
	log  *tail
}

// Close closes the socket, which ends x11vnc, and returns when it has been reaped.
func (c *x11vncConn) Close() error {
	err := c.Conn.Close()
	c.proc.Stop(2*time.Second, 3*time.Second)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// PID is x11vnc's process id, for an operator's eyes.
func (c *x11vncConn) PID() int { return c.proc.PID() }

// Ended implements [shadow.Ender].
func (c *x11vncConn) Ended() <-chan struct{} { return c.proc.Done() }

// Err implements [shadow.Ender]: x11vnc exits with 3 when its X server has died, with
// 0 when its client has gone.
func (c *x11vncConn) Err() error {
	switch code := c.proc.ExitCode(); code {
	case 0:
		return nil
	case 3:
		return shadow.ErrSessionEnded
	default:
		return fmt.Errorf("source: x11vnc ended with %w%s", c.proc.Err(), c.log.lastWords())
	}
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

// lastWords is the last line, as the end of an error's sentence.
func (t *tail) lastWords() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		return ""
	}
	return fmt.Sprintf(": %.200q", last)
}
