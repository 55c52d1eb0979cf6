package xprobe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/selfexec"
)

const (
	childTime = 5 * time.Second        // the display has to answer
	limit     = 7 * time.Second        // a child has: more than all that it waits for
	grace     = 500 * time.Millisecond // and then it takes to end
	maxAnswer = 4 << 10                // bytes that a child may say
)

// A Target is a display and who may use it.
type Target struct {
	Display    string         // of this host, ":1"
	Xauthority string         // file with its cookie; empty: the display needs none
	Identity   child.Identity // the session's user
}

// A Screen is what an X server said of itself.
type Screen struct {
	Vendor        string `json:"vendor"` // text from the server
	Width, Height int    // pixels of the first screen
}

// A Kind tells what is wrong.
type Kind string

// The kinds.
const (
	NoServer Kind = "no_server" // nothing answers on the display
	NoCookie Kind = "no_cookie" // the file with the cookie is of no use to the user
	Refused  Kind = "refused"   // the X server doesn't let the user in
	Stranger Kind = "stranger"  // what answers is neither root's nor the user's
	Failed   Kind = "failed"    // it could not be found out
)

// An Error says why a display can't be reached.
type Error struct {
	Kind Kind
	Text string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// answer is the child's line.
type answer struct {
	Screen  *Screen `json:"screen,omitempty"`  // of Probe's child, unless there is an error
	Service string  `json:"service,omitempty"` // of Notifications' child
	Error   *Error  `json:"error,omitempty"`
}

// The roles of this program when it looks.
var (
	displayRole = selfexec.Role{Arg: "__display-probe"}
	busRole     = selfexec.Role{Arg: "__notification-probe"}
)

// Child makes the program fit for [Probe] and [Notifications], which run it a
// second time. Call it first thing in main, and in TestMain. In such a process
// it looks, answers and exits; in any other it returns at once.
func Child() {
	var a answer
	if _, taken := displayRole.Taken(); taken {
		a = displayChild()
	} else if _, taken := busRole.Taken(); taken {
		a = busChild()
	} else {
		return
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// displayChild is what Child does in a child of Probe.
func displayChild() (a answer) {
	screen, err := dial(os.Getenv("DISPLAY"), os.Getenv("XAUTHORITY"), childTime)
	if err == nil {
		a.Screen = screen
	} else if !errors.As(err, &a.Error) {
		a.Error = &Error{Failed, err.Error()}
	}
	return a
}

// Probe connects to the display as its user. It takes 8 s at most, and its
// child has ended when it returns. The error is an [*Error].
func Probe(ctx context.Context, t Target) (*Screen, error) {
	env := []string{"DISPLAY=" + t.Display}
	if t.Xauthority != "" {
		env = append(env, "XAUTHORITY="+t.Xauthority)
	}
	a, err := ask(ctx, "the display", &displayRole, env, t.Identity)
	if err == nil && a.Screen == nil {
		err = &Error{Failed, "the program that looked at the display gave no answer"}
	}
	return a.Screen, err
}

// ask runs this program as a child of id's that looks at what. The error is an
// [*Error]; then the answer is empty.
func ask(ctx context.Context, what string, role *selfexec.Role, env []string, id child.Identity) (a answer, err error) {
	if !role.Ready() {
		return a, &Error{Failed, "this program can't look at " + what + ": its main must call xprobe.Child first thing"}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := &line{whole: make(chan struct{})}
	cmd := role.Command()
	cmd.Env = env
	cmd.Stdout = out
	cmd.WaitDelay = grace
	p, err := child.Start(cmd, id)
	if err != nil {
		return a, &Error{Failed, err.Error()}
	}
	select {
	case <-p.Done():
	case <-out.whole:
		p.Stop(0, grace) // it has said all
	case <-ctx.Done():
		p.Stop(0, grace)
		return a, &Error{Failed, fmt.Sprintf("looking at %s was given up: %v", what, context.Cause(ctx))}
	}
	if err := json.Unmarshal(out.text, &a); err != nil {
		return answer{}, &Error{Failed, fmt.Sprintf("the program that looked at %s gave no answer (%v)", what, p.Err())}
	}
	if a.Error != nil {
		return answer{}, a.Error
	}
	return a, nil
}

// A line is the first line that is written to it, of a bounded length.
type line struct {
	text  []byte
	ended bool
	whole chan struct{} // closed when it is there
}

func (l *line) Write(p []byte) (int, error) {
	head, _, ended := bytes.Cut(p, []byte("\n"))
	if l.ended || len(l.text)+len(head) > maxAnswer {
		return 0, io.ErrShortBuffer
	}
	l.text = append(l.text, head...)
	if ended {
		l.ended = true
		close(l.whole)
	}
	return len(p), nil
}
