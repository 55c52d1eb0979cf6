package source

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"vda.internal/shadow/internal/host/printed"
)

// A log keeps the beginning and the end of what a program prints: x11vnc says first what is wrong,
// and then much about what may be done.
type log struct {
	mu    sync.Mutex
	first printed.Head
	tail  printed.Tail
}

func newLog() *log { return &log{first: printed.Head{Max: printed.TailSize}} }

// Write implements io.Writer; it never fails.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	_, _ = l.first.Write(p)
	l.mu.Unlock()
	return l.tail.Write(p)
}

// said is what was kept: the beginning and the end.
func (l *log) said() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append(bytes.Clone(l.first.Bytes()), '\n'), l.tail.String()...)
}

// lastLine is the last line, as the end of an error's sentence.
func (l *log) lastLine() string {
	if last := l.tail.Last(); last != "" {
		return fmt.Sprintf(": %.200q", last)
	}
	return ""
}

var (
	noDisplay = regexp.MustCompile(`(?m)XOpenDisplay failed \((.{1,40})\)|unable to open the X DISPLAY: "(.{1,40})"|[Cc]an(?:no|')t open display:? ?"?([^"\s]{0,40})`)
	serverNo  = regexp.MustCompile(`(?m)^.*(Authorization required|Invalid MIT-MAGIC-COOKIE-1 key|No protocol specified|Maximum number of clients reached|not authorized to connect).*$`)
	noShare   = regexp.MustCompile(`-noshm|MIT-SHM|XShm`)
	shmFailed = regexp.MustCompile(`(?m)^.*shm(?:get|at)\b.*$`)
)

// says reports whether the program has said something like that.
func (l *log) says(what *regexp.Regexp) bool {
	return what.Match(l.said())
}

// telling is what the program said that tells why it ended: the line that is known to, with the
// X server's own reason, or the last one.
func (l *log) telling() string {
	said := l.said()
	if m := noDisplay.FindSubmatch(said); m != nil {
		words := "cannot open display " + string(bytes.Join(m[1:], nil))
		if reason := serverNo.Find(said); reason != nil {
			words += fmt.Sprintf("; the X server says %.200q", strings.TrimSpace(string(reason)))
		}
		return ": " + words
	}
	if m := shmFailed.Find(said); m != nil {
		return fmt.Sprintf(": %.200q", strings.TrimSpace(string(m)))
	}
	return l.lastLine()
}

// howEnded is how a process ended: "exit status 1", "killed by signal 9 (killed)".
func howEnded(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return fmt.Sprintf("was killed by signal %d (%v)", int(status.Signal()), status.Signal())
		}
	}
	return "ended with " + err.Error()
}
