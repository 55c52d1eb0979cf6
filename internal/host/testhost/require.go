package testhost

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// T is the part of *testing.T that Require uses.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Require is Start for a test: it closes the desktop when the test ends, and fails the test
// if there can't be one. Where a program for it isn't installed it skips the test, unless
// SHADOW_LIVE is 1.
func Require(t T, o Options) *Desktop {
	t.Helper()
	d, err := Start(t.Context(), o)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("SHADOW_LIVE") != "1" {
		t.Skipf("%v", err)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return d
}

// ReadPID waits until a file holds a process id, as a script that was started writes it.
func ReadPID(t T, file string) (pid int) {
	t.Helper()
	err := Until(t.Context(), "a process id in "+file, func() (ok bool, err error) {
		pid, ok = PID(file)
		return ok, nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return pid
}

// PID is the process id that a file holds, if it does.
func PID(file string) (pid int, ok bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
	return pid, err == nil && pid > 1
}

// RequireGone waits until a process has ended and was reaped.
func RequireGone(t T, pid int) {
	t.Helper()
	err := Until(t.Context(), "the end of process "+strconv.Itoa(pid), func() (bool, error) {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// Segments is how many segments of System V shared memory a process has created that are there still.
func Segments(t T, pid int) (n int) {
	t.Helper()
	table, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatalf("%v", err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == strconv.Itoa(pid) {
			n++
		}
	}
	return n
}
