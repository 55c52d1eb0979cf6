package consent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// Exec asks through a command: a site's own dialog, or zenity or kdialog in a
// script. It runs as the session's user in / with this environment and no other:
//
//	DISPLAY, XAUTHORITY  the session's display; XAUTHORITY only if there is one
//	PATH, LANG           /usr/bin:/bin and C.UTF-8
//	CONSENT_QUESTION     the whole question as one English sentence or two
//	CONSENT_ADMIN        who asks
//	CONSENT_HOST         the name of this host
//	CONSENT_REPLACES     who is watching now and would be ended; may be empty
//	CONSENT_SESSION      the session's id
//	CONSENT_TIMEOUT      whole seconds that the user has
//
// The names are cleaned: no controls, no line breaks, 64 characters at most. They
// are still somebody else's words, so give them to the program as an argument
// and never to a shell as code; and switch markup off, where a dialog has it.
//
// Its exit status is the answer. The codes are those of zenity, which needs no
// translation therefore:
//
//	0  granted
//	1  denied
//	2  closed
//	4  locked
//	5  timeout
//
// Any other status, and death by a signal, refuses with an error. A command that is
// still there when ctx ends gets SIGTERM, then SIGKILL, and its status no longer counts.
// Beware of programs that end with 0 without a Yes: xmessage does when its own -timeout
// passes.
//
//	zenity --question --no-markup --default-cancel --timeout="$CONSENT_TIMEOUT" --text="$CONSENT_QUESTION"
type Exec struct {
	Command []string // the program's path and its arguments; empty refuses with an error
}

// Ask implements [Prompter]. If ctx has no deadline, r.Timeout is one.
func (p Exec) Ask(ctx context.Context, r Request) (Decision, error) {
	if len(p.Command) == 0 {
		return Denied, errors.New("consent: no command to ask with")
	}
	ctx, cancel, left := r.bounded(ctx)
	defer cancel()
	if ctx.Err() != nil {
		return ended(ctx)
	}
	var stderr tail
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Env = append(r.environ(), commandEnviron(r, left)...)
	cmd.Stderr = &stderr
	proc, err := run(ctx, cmd, r.identity(), nil)
	if err != nil {
		return Denied, err
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	switch proc.ExitCode() {
	case 0:
		return Granted, nil
	case 1:
		return Denied, nil
	case 2:
		return Closed, nil
	case 4:
		return Locked, nil
	case 5:
		return TimedOut, nil
	}
	return Denied, fmt.Errorf("consent: %s gave no answer (%w)%s", p.Command[0], proc.Err(), stderr.suffix())
}

// commandEnviron is the question as environment variables.
func commandEnviron(r Request, left time.Duration) []string {
	admin := or(clean(r.Admin), "An administrator")
	host := or(clean(r.Host), "this computer")
	replaces := clean(r.Replaces)
	text := admin + " wants to view your screen on " + host + ". They will see everything on it, but cannot use your mouse or keyboard."
	if replaces != "" {
		text += " " + replaces + " is watching now and will be disconnected if you say Yes."
	}
	return []string{
		"PATH=/usr/bin:/bin",
		"LANG=C.UTF-8",
		"CONSENT_QUESTION=" + text,
		"CONSENT_ADMIN=" + admin,
		"CONSENT_HOST=" + host,
		"CONSENT_REPLACES=" + replaces,
		"CONSENT_SESSION=" + clean(r.Session),
		"CONSENT_TIMEOUT=" + strconv.FormatInt(int64((left+time.Second-1)/time.Second), 10),
	}
}
