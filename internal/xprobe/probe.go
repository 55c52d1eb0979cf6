package xprobe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"vda.internal/shadow/internal/child"
)

// Arg is the argument by which [Child] knows that this process is the child.
const Arg = "__display-probe"

const (
	childTime = 5 * time.Second        // the child has
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
func (e *Error) Error() string { return "xprobe: " + e.Text }

// answer is the child's line.
type answer struct {
	Screen *Screen `json:"screen,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

var ready atomic.Bool // this program's main calls Child

// Child makes the program fit for [Probe], which runs it a second time. Call
// it first thing in main, and in TestMain. In such a process it looks, answers
// and exits; in any other it returns at once.
func Child() {
	if len(os.Args) != 2 || os.Args[1] != Arg {
		ready.Store(true)
		return
	}
	a := answer{}
	screen, err := dial(os.Getenv("DISPLAY"), os.Getenv("XAUTHORITY"), childTime)
	if err == nil {
		a.Screen = screen
	} else if !errors.As(err, &a.Error) {
		a.Error = &Error{Failed, err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// Probe connects to the display as its user. It takes 6 s at most, and its
// child has ended when it returns. The error is an [*Error].
func Probe(ctx context.Context, t Target) (*Screen, error) {
	if !ready.Load() {
		return nil, &Error{Failed, "this program can't look at displays: its main must call xprobe.Child first thing"}
	}
	ctx, cancel := context.WithTimeout(ctx, childTime+grace)
	defer cancel()
	out := &line{whole: make(chan struct{})}
	cmd := exec.Command("/proc/self/exe", Arg)
	cmd.Env = []string{"DISPLAY=" + t.Display}
	if t.Xauthority != "" {
		cmd.Env = append(cmd.Env, "XAUTHORITY="+t.Xauthority)
	}
	cmd.Stdout = out
	cmd.WaitDelay = grace
	p, err := child.Start(cmd, t.Identity)
	if err != nil {
		return nil, &Error{Failed, strings.TrimPrefix(err.Error(), "child: ")}
	}
	select {
	case <-p.Done():
	case <-out.whole:
		p.Stop(0, grace) // it has said all
	case <-ctx.Done():
		p.Stop(0, grace)
		return nil, &Error{Failed, fmt.Sprintf("looking at the display was given up: %v", context.Cause(ctx))}
	}
	var a answer
	if err := json.Unmarshal(out.text, &a); err != nil || (a.Screen == nil) == (a.Error == nil) {
		return nil, &Error{Failed, fmt.Sprintf("the program that looked at the display gave no answer (%v)", p.Err())}
	}
	if a.Error != nil {
		return nil, a.Error
	}
	return a.Screen, nil
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
