package desktop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/consent/internal/runner"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/selfexec"
)

// role is this program's when it asks.
var role = &selfexec.Role{Arg: ChildArg}

// childCommand is what to run to show something: command, or this program again.
func childCommand(command []string) ([]string, error) {
	switch {
	case len(command) > 0:
		return command, nil
	case !role.Ready():
		return nil, pkg.New("this program can't ask by itself: its main must call desktop.Child first thing")
	}
	return []string{child.Self, ChildArg}, nil
}

// askChild puts the question q for r through a child that speaks the protocol of the package
// comment. If ctx has no deadline, r.Timeout is one; what is left of it q.Millis becomes.
func askChild(ctx context.Context, argv, environ []string, r consent.Request, q *question) (consent.Decision, error) {
	ctx, cancel, left := process.Bound(ctx, r.Timeout)
	defer cancel()
	if ctx.Err() != nil {
		return ended(ctx)
	}
	q.Millis = left.Milliseconds()
	line, err := message{Question: q}.encode()
	if err != nil {
		return consent.Denied, err
	}
	out := newQuestionTranscript()
	var stderr process.Tail
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = environ
	cmd.Stdin = bytes.NewReader(line)
	cmd.Stdout = out
	cmd.Stderr = &stderr
	proc, err := runner.Run(ctx, cmd, identity(r), out.answered)
	if err != nil {
		return consent.Denied, pkg.Errorf("%w", err)
	}
	if r.Shown != nil && (out.isSeen || out.shown && !r.SilenceAllows) {
		r.Shown()
	}
	d, err := out.decision()
	if ctx.Err() != nil {
		return late(ctx, d, err)
	}
	switch {
	case errors.Is(err, errNoAnswer):
		return consent.Denied, fmt.Errorf("%w (%s)%s", err, exitStatus(proc.Err()), stderr.Suffix())
	case err == nil && proc.ExitCode() != 0:
		return consent.Denied, pkg.Errorf("the prompt answered but did not exit cleanly (%s)%s", exitStatus(proc.Err()), stderr.Suffix())
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

// ended is Ask's answer once ctx is over.
func ended(ctx context.Context) (consent.Decision, error) {
	if err := process.GivenUp(ctx); err != nil {
		return consent.Denied, pkg.Errorf("%w", err)
	}
	return consent.TimedOut, nil
}

// late is Ask's answer once ctx is over, of a child that said d, or failed: it may have taken its time
// to exit. A Yes is none any more, and a refusal is one still, for silence may mean a Yes. That a question
// was taken back makes no answer of it, but for a No that came before.
func late(ctx context.Context, d consent.Decision, err error) (consent.Decision, error) {
	no := d == consent.Denied || d == consent.Closed
	if err == nil && d != consent.Granted && (no || process.GivenUp(ctx) == nil) {
		return d, nil
	}
	return ended(ctx)
}

// identity is whom the request's children run as.
func identity(r consent.Request) child.Identity {
	return child.User(r.User, r.UID, r.GID, r.Groups)
}
