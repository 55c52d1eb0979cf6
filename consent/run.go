package consent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
	"unicode"

	"vda.internal/shadow/internal/host/child"
)

const (
	defaultTimeout = 20 * time.Second       // of a Request without one
	leaveTime      = 2 * time.Second        // a child that has answered may take to exit
	termTime       = 500 * time.Millisecond // a child may take to heed SIGTERM
	maxStderr      = 2048                   // bytes of a child's standard error that are kept
)

// bounded returns a context that ends with ctx, or after the request's timeout if
// ctx has no deadline of its own, and how long the user has in it.
func (r *Request) bounded(ctx context.Context) (context.Context, context.CancelFunc, time.Duration) {
	show := r.Timeout
	if show <= 0 {
		show = defaultTimeout
	}
	cancel := context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		show = min(show, time.Until(deadline))
	} else {
		ctx, cancel = context.WithTimeout(ctx, show)
	}
	return ctx, cancel, show
}

// identity is whom the request's children run as.
func (r *Request) identity() child.Identity {
	return child.Identity{UID: r.UID, GID: r.GID, Groups: r.Groups}
}

// environ is what a child must know of the session's display.
func (r *Request) environ() []string {
	env := []string{"DISPLAY=" + r.Display}
	if r.Xauthority != "" {
		env = append(env, "XAUTHORITY="+r.Xauthority)
	}
	return env
}

// ended is Ask's answer once ctx is over.
func ended(ctx context.Context) (Decision, error) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return TimedOut, nil
	}
	return Denied, fmt.Errorf("consent: asking was given up: %w", context.Cause(ctx))
}

// run starts cmd as the session's user and returns when it has ended and was
// reaped: of its own accord, soon after answered is closed (nil never is), or by
// force once ctx ends.
func run(ctx context.Context, cmd *exec.Cmd, id child.Identity, answered <-chan struct{}) (*child.Process, error) {
	// Whoever inherits the pipes from a child that has exited holds up nothing.
	cmd.WaitDelay = termTime
	p, err := child.Start(cmd, id)
	if err != nil {
		return nil, fmt.Errorf("consent: starting the prompt: %w", err)
	}
	select {
	case <-p.Done():
	case <-answered:
		p.Stop(leaveTime, termTime)
	case <-ctx.Done():
		p.Stop(0, termTime)
	}
	return p, nil
}

// A tail keeps the last bytes that were written to it. It is read when its
// writer has ended.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-maxStderr):]...)
	t.b = t.b[max(0, len(t.b)-maxStderr):]
	return len(p), nil
}

// suffix is the text as the end of an error message: ": …", or nothing.
func (t *tail) suffix() string {
	if s := oneLine(string(t.b)); s != "" {
		return ": " + s
	}
	return ""
}

// oneLine makes text of a child fit for a log line: blanks and controls become
// single spaces, and the end is kept if it is long.
func oneLine(s string) string {
	const most = 400
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > most {
		return "…" + string(r[len(r)-most:])
	}
	return s
}
