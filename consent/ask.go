package consent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync/atomic"
)

// childReady says that this program's main calls Child.
var childReady atomic.Bool

// childCommand is what to run to show something: command, or this program again.
func childCommand(command []string) ([]string, error) {
	switch {
	case len(command) > 0:
		return command, nil
	case !childReady.Load():
		return nil, errors.New("consent: this program can't ask by itself: its main must call consent.Child first thing")
	}
	return []string{"/proc/self/exe", ChildArg}, nil
}

// askChild puts the question q for r through a child that speaks the protocol of the package
// comment. If ctx has no deadline, r.Timeout is one; what is left of it q.Millis becomes.
func askChild(ctx context.Context, argv, environ []string, r Request, q question) (Decision, error) {
	ctx, cancel, left := r.bounded(ctx)
	defer cancel()
	if ctx.Err() != nil {
		return ended(ctx)
	}
	q.Millis = left.Milliseconds()
	line, err := q.encode()
	if err != nil {
		return Denied, err
	}
	out := newTranscript()
	var stderr tail
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = environ
	cmd.Stdin = bytes.NewReader(line)
	cmd.Stdout = out
	cmd.Stderr = &stderr
	proc, err := run(ctx, cmd, r.identity(), out.answered)
	if err != nil {
		return Denied, err
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	d, err := out.decision()
	switch {
	case errors.Is(err, errNoAnswer):
		return Denied, fmt.Errorf("%w (%s)%s", err, exitStatus(proc.Err()), stderr.suffix())
	case err == nil && proc.ExitCode() != 0:
		return Denied, fmt.Errorf("consent: the prompt answered but did not exit cleanly (%s)%s", exitStatus(proc.Err()), stderr.suffix())
	}
	return d, err
}

// exitStatus is how a child ended, in words.
func exitStatus(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
