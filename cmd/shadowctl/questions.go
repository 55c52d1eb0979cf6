package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoAnswer is that the terminal was closed, or Ctrl-D pressed, instead of an answer.
var errNoAnswer = errors.New("no answer; nothing was written")

const (
	answerWait = 200  // milliseconds for which an answer is waited for before ctx is looked at
	maxAnswer  = 4096 // bytes of an answer, as many as a terminal takes for a line
)

// questions puts questions to a person on a terminal.
type questions struct {
	p     *printer
	in    *os.File
	typed []byte // that isn't read yet
}

// ask puts a question until check takes the answer. Enter alone is the proposal.
func (q *questions) ask(ctx context.Context, question, proposal string, check func(string) error) (string, error) {
	for {
		fmt.Fprint(q.p.w, q.p.wrap("", fmt.Sprintf("%s [%s]:", question, clean(proposal)))+" ")
		answer, err := q.line(ctx)
		if err != nil {
			fmt.Fprintln(q.p.w)
			return "", err
		}
		if answer == "" {
			answer = proposal
		}
		if err = check(answer); err == nil {
			return answer, nil
		}
		fmt.Fprintln(q.p.w, "  "+q.p.wrap("  ", words(err)))
	}
}

// yes asks for a Yes or a No. Enter alone is Yes.
func (q *questions) yes(ctx context.Context, question string) (bool, error) {
	answer, err := q.ask(ctx, question, "Y/n", func(s string) error {
		switch strings.ToLower(s) {
		case "y", "yes", "n", "no", "y/n":
			return nil
		}
		return errors.New("y or n, please")
	})
	return strings.HasPrefix(strings.ToLower(answer), "y"), err
}

// line reads what is typed up to Enter, without spaces at its ends.
func (q *questions) line(ctx context.Context) (string, error) {
	for {
		if line, rest, ok := bytes.Cut(q.typed, []byte("\n")); ok {
			q.typed = rest
			return strings.TrimSpace(string(line)), nil
		}
		if len(q.typed) > maxAnswer {
			return "", errors.New("the answer is too long; nothing was written")
		}
		if err := q.wait(ctx); err != nil {
			return "", err
		}
		buf := make([]byte, maxAnswer)
		n, err := q.in.Read(buf)
		if n == 0 && (err == nil || errors.Is(err, io.EOF) || errors.Is(err, unix.EIO)) {
			return "", errNoAnswer
		}
		if err != nil {
			return "", err
		}
		q.typed = append(q.typed, buf[:n]...)
	}
}

// wait returns when something was typed, or ctx has ended.
func (q *questions) wait(ctx context.Context) error {
	for {
		fds := []unix.PollFd{{Fd: int32(q.in.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, answerWait)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case n > 0:
			return nil
		}
	}
}
