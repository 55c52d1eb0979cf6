//go:build linux

package child

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/exec"
	"reflect"
	"time"

	"golang.org/x/sys/unix"
)

// stdio is a child's standard input, output and error, and the goroutines that
// copy what isn't a file.
type stdio struct {
	files  []*os.File // for the child
	theirs []*os.File // those of files that are closed once the child has them
	ours   []*os.File // the other ends of pipes
	copies []func() error
	delay  time.Duration // copying may go on after the child's end

	copied chan struct{} // closed when no goroutine copies any more
	err    error         // the first of copying, readable once copied is closed
}

// newStdio opens what cmd describes.
func newStdio(cmd *exec.Cmd) (*stdio, error) {
	s := &stdio{delay: cmp.Or(cmd.WaitDelay, drainTime), copied: make(chan struct{})}
	err := s.input(cmd.Stdin)
	if err == nil {
		err = s.output(cmd.Stdout)
	}
	switch {
	case err != nil:
	case cmd.Stderr != nil && reflect.TypeOf(cmd.Stderr).Comparable() && cmd.Stderr == cmd.Stdout:
		s.files = append(s.files, s.files[1])
	default:
		err = s.output(cmd.Stderr)
	}
	if err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

func (s *stdio) input(r io.Reader) error {
	switch f, ok := r.(*os.File); {
	case ok:
		s.files = append(s.files, f)
		return nil
	case r == nil:
		return s.null(os.O_RDONLY)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	s.pipe(theirs, ours, func() error {
		_, err := io.Copy(ours, r)
		if errors.Is(err, unix.EPIPE) {
			err = nil // not all of it was wanted
		}
		return cmp.Or(err, ours.Close())
	})
	return nil
}

func (s *stdio) output(w io.Writer) error {
	switch f, ok := w.(*os.File); {
	case ok:
		s.files = append(s.files, f)
		return nil
	case w == nil:
		return s.null(os.O_WRONLY)
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	s.pipe(theirs, ours, func() error {
		defer ours.Close() // so that nobody writes to a writer that has had enough
		_, err := io.Copy(w, ours)
		return err
	})
	return nil
}

func (s *stdio) null(flag int) error {
	f, err := os.OpenFile(os.DevNull, flag, 0)
	if err != nil {
		return err
	}
	s.files, s.theirs = append(s.files, f), append(s.theirs, f)
	return nil
}

func (s *stdio) pipe(theirs, ours *os.File, copying func() error) {
	s.files, s.theirs = append(s.files, theirs), append(s.theirs, theirs)
	s.ours, s.copies = append(s.ours, ours), append(s.copies, copying)
}

// start begins to copy, once the child has its ends.
func (s *stdio) start() {
	for _, f := range s.theirs {
		f.Close()
	}
	results := make(chan error, len(s.copies))
	for _, copying := range s.copies {
		go func() { results <- copying() }()
	}
	go func() {
		defer close(s.copied)
		for range s.copies {
			s.err = cmp.Or(s.err, <-results)
		}
	}()
}

// finish lets copying come to its end after the child's, for as long as
// something that the child has left behind may hold a pipe open. It returns the
// first error of copying.
func (s *stdio) finish() error {
	if within(s.copied, s.delay) {
		return s.err
	}
	for _, f := range s.ours {
		_ = f.SetDeadline(time.Unix(1, 0))
	}
	if within(s.copied, time.Second) && !errors.Is(s.err, os.ErrDeadlineExceeded) {
		return s.err
	}
	return nil // as the child did end well; a reader or writer that hangs is its owner's
}

// abandon closes everything, of a child that wasn't started.
func (s *stdio) abandon() {
	for _, f := range append(s.theirs, s.ours...) {
		f.Close()
	}
}

// within reports whether c is closed within d.
func within(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}
