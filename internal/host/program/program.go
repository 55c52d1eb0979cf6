// Package program runs another program of this host to its end, for its
// output: with a time limit, with a bound on what it may print, with PATH and
// the variables that it is given, and so that nothing of it stays behind.
//
//	out, err := program.Output(ctx, program.Command{Path: "/usr/sbin/nft", Args: []string{"-j", "list", "ruleset"}})
//	if err != nil {
//		return err
//	}
package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/printed"
)

const (
	defaultTimeout = 5 * time.Second
	defaultMax     = 1 << 20
	maxComplaint   = 1 << 10 // bytes of standard error that an error repeats
)

// SearchPath is the PATH of programs that are run, and where [Find] looks.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// ErrTooMuch is that a program printed more than it may.
var ErrTooMuch = errors.New("too much output")

// A Command is a program to be run.
type Command struct {
	Path    string        // absolute
	Args    []string      // arguments, without the program's name
	Env     []string      // variables besides PATH
	Timeout time.Duration // 0: 5 s
	Max     int           // bytes that it may print; 0: 1 MiB
}

// A late error is that a program didn't end within its time limit.
type late struct {
	path  string
	limit time.Duration
}

func (e late) Error() string {
	return fmt.Sprintf("%s did not answer within %g s", e.path, e.limit.Seconds())
}

func (late) Unwrap() error { return context.DeadlineExceeded }

// Output runs c as this process's user, in /, and returns what it printed. A
// program that doesn't end in time, or with another status than 0, or that
// prints more than it may, is an error, and its output doesn't count: the
// error wraps the *exec.ExitError, context.DeadlineExceeded, ctx's cause or
// [ErrTooMuch], and repeats what the program wrote to standard error. What the
// program started in its process group ends with it.
func Output(ctx context.Context, c Command) ([]byte, error) {
	if !filepath.IsAbs(c.Path) {
		return nil, fmt.Errorf("%q isn't an absolute path", c.Path)
	}
	limit := cmp.Or(c.Timeout, defaultTimeout)
	tooLate := late{c.Path, limit}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, tooLate)
	defer cancel()
	stdout := &printed.Head{Max: cmp.Or(c.Max, defaultMax), Strict: true}
	stderr := &printed.Head{Max: maxComplaint}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append([]string{"PATH=" + SearchPath}, c.Env...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second // for output that something it left behind holds open
	p, err := child.Start(cmd, child.Own())
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		_ = p.Stop(0, time.Second) // what holds it is no answer, either
		cause := context.Cause(ctx)
		if cause == tooLate {
			return nil, tooLate
		}
		return nil, fmt.Errorf("%s was stopped: %w", c.Path, cause)
	}
	switch err := p.Err(); {
	case stdout.Over():
		return nil, fmt.Errorf("%w: %s printed more than %d bytes", ErrTooMuch, c.Path, stdout.Max)
	case err != nil:
		return nil, fmt.Errorf("%s: %w%s", c.Path, err, complaint(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// Find looks for a program by its name in the directories of path, which is
// as PATH is; empty means [SearchPath]. It returns "" if there is none.
func Find(path, name string) string {
	for _, dir := range filepath.SplitList(cmp.Or(path, SearchPath)) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// ExitCode is the exit code that an error of [Output] is about, or -1.
func ExitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// complaint is what a program had to say, as the end of an error.
func complaint(stderr []byte) string {
	s := strings.TrimSpace(strings.ToValidUTF8(string(stderr), "?"))
	if s == "" {
		return ""
	}
	return fmt.Sprintf(": %q", s)
}
