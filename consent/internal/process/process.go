// Package process has what the commands and children that ask a session's user have in common. It needs only
// the standard library; package runner runs them.
package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"vda.internal/shadow/internal/host/printed"
)

const (
	DefaultTimeout = 20 * time.Second       // of a Request without one
	LeaveTime      = 2 * time.Second        // a child that has answered may take to exit
	TermTime       = 500 * time.Millisecond // a child may take to heed SIGTERM
)

// Bound returns a context that ends with ctx, or after timeout (0 means 20 s) if ctx has no
// deadline of its own, and how long the user has in it.
func Bound(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc, time.Duration) {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	if deadline, ok := ctx.Deadline(); ok {
		return ctx, func() {}, min(timeout, time.Until(deadline))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, cancel, timeout
}

// Environ is what a child must know of the session's display. xauthority may be empty.
func Environ(display, xauthority string) []string {
	env := []string{"DISPLAY=" + display}
	if xauthority != "" {
		env = append(env, "XAUTHORITY="+xauthority)
	}
	return env
}

// GivenUp is why ctx, which is over, ended before its deadline; nil if it didn't.
func GivenUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("asking was given up: %w", context.Cause(ctx))
}

// A Tail keeps the last bytes that a child wrote to its standard error.
type Tail struct{ printed.Tail }

// Suffix is the text as the end of an error message: ": …", or nothing.
func (t *Tail) Suffix() string {
	if s := OneLine(t.String()); s != "" {
		return ": " + s
	}
	return ""
}

// OneLine makes text of a child fit for a log line: blanks and controls become
// single spaces, and the end is kept if it is long.
func OneLine(s string) string {
	const most = 400
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > most {
		return "…" + string(r[len(r)-most:])
	}
	return s
}
