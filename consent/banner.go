package consent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"vda.internal/shadow/internal/child"
)

// A Banner tells a session's user who is viewing the session, for as long as somebody
// does, and lets the user stop it.
type Banner interface {
	// Show puts the banner up and returns when it is down again:
	//
	//   - with [ErrStopped] when the user has stopped the viewing;
	//   - with nil some time after ended has yielded why viewing has ended, which the user
	//     is shown for a few seconds, or soon after ended was closed. A reason of the
	//     shadow package ("viewer_left") is shown in the user's language, anything else as
	//     it is, cleaned;
	//   - with ctx's cause soon after ctx has ended, without any words;
	//   - with another error, ErrDisplay or ErrGone among them, when there is no banner
	//     and there will be none. The user then can't know who is viewing.
	//
	// It must be safe for concurrent use.
	Show(ctx context.Context, r Request, ended <-chan string) error
}

// ErrStopped is the user's wish to be viewed no longer.
var ErrStopped = errors.New("consent: stopped by the user")

// Bounds of the banner.
const (
	bannerTime   = 10 * time.Second // a banner may take to be on the screen, and to give another sign of life
	noticeTime   = 8 * time.Second  // it may take to say that viewing has ended, and to exit
	bannerTries  = 3                // how often in a row it is put up
	bannerSteady = time.Minute      // after which a banner that fails is the first of a row
)

// Show implements [Banner]. Of the request the administrator and the session count.
//
// The banner is a window in the middle of the screen's upper edge that stays on top of the
// others and that the mouse can move. It belongs to a child process, as the question does. A
// child that dies is started again, three times in a row at most. One that gives no sign of
// life for ten seconds is an error: its Stop would not be heard. Closing the window is a Stop.
func (p X11) Show(ctx context.Context, r Request, ended <-chan string) error {
	return p.showWithin(ctx, bannerTime, r, ended)
}

// showWithin is Show with another time for signs of life.
func (p X11) showWithin(ctx context.Context, patience time.Duration, r Request, ended <-chan string) error {
	argv, err := p.argv(r)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		begun := time.Now()
		again, err := p.show(ctx, patience, argv, r, ended)
		if !again {
			return err
		}
		if time.Since(begun) >= bannerSteady {
			try = 1
		}
		if try >= bannerTries {
			return err
		}
	}
}

// show runs one child. It reports whether another may do better.
func (p X11) show(ctx context.Context, patience time.Duration, argv []string, r Request, ended <-chan string) (again bool, err error) {
	if ctx.Err() != nil {
		return false, gone(ctx)
	}
	q := newQuestion(r, p.Texts, 0)
	q.Banner = true
	line, err := q.encode()
	if err != nil {
		return false, err
	}
	out := newTranscript()
	out.banner = true
	var stderr tail
	proc, in, err := startBanner(argv, r, out, &stderr)
	if err != nil {
		return false, err
	}
	defer in.Close()
	_ = tell(in, line) // a child that doesn't hear it says more by what it does then
	late := time.NewTimer(patience)
	defer late.Stop()
	for shown := out.isShown; ; {
		select {
		case <-shown:
			shown = nil
			late.Reset(patience)
		case <-out.alive:
			late.Reset(patience)
		case <-late.C:
			proc.Stop(0, termTime)
			if shown != nil {
				return false, fmt.Errorf("consent: the banner was not on the screen within %v", patience)
			}
			return false, fmt.Errorf("consent: the banner gave no sign of life for %v", patience)
		case <-proc.Done():
			return out.outcome(proc, &stderr)
		case <-out.answered:
			proc.Stop(leaveTime, termTime)
			return out.outcome(proc, &stderr)
		case why, ok := <-ended:
			if ok {
				_ = tell(in, []byte(p.Texts.reason(why, r.Locale)+"\n")) // the same
			}
			in.Close()
			leave(ctx, proc)
			return false, nil
		case <-ctx.Done():
			proc.Stop(0, termTime)
			return false, gone(ctx)
		}
	}
}

// startBanner starts the child. The caller closes what it returns.
func startBanner(argv []string, r Request, out io.Writer, stderr io.Writer) (*child.Process, *os.File, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("consent: %w", err)
	}
	defer theirs.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = r.environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, out, stderr
	cmd.WaitDelay = termTime
	proc, err := child.Start(cmd, r.identity())
	if err != nil {
		ours.Close()
		return nil, nil, fmt.Errorf("consent: starting the banner: %w", err)
	}
	return proc, ours, nil
}

// tell writes to a child, which may be one that doesn't read.
func tell(in *os.File, line []byte) error {
	if err := in.SetWriteDeadline(time.Now().Add(termTime)); err != nil {
		return err
	}
	_, err := in.Write(line)
	return err
}

// leave waits until a child that was told that viewing has ended is gone.
func leave(ctx context.Context, proc *child.Process) {
	late := time.NewTimer(noticeTime)
	defer late.Stop()
	select {
	case <-proc.Done():
	case <-late.C:
	case <-ctx.Done():
	}
	proc.Stop(0, termTime)
}

// gone is why there is no banner once ctx has ended.
func gone(ctx context.Context) error {
	return fmt.Errorf("consent: the banner was taken down: %w", context.Cause(ctx))
}
