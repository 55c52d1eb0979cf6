package desktop

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/host/child"
)

// Bounds of the banner.
const (
	bannerTime   = 10 * time.Second // a banner may take to be on the screen, and to give another sign of life
	noticeTime   = 8 * time.Second  // it may take to say that viewing has ended, and to exit
	bannerTries  = 3                // how often in a row it is put up
	bannerSteady = time.Minute      // after which a banner that fails is the first of a row
)

// Show implements [consent.Banner]. Of the request the administrator and the session count.
//
// The banner is a window in the middle of the screen's upper edge that stays on top of the
// others and that the mouse can move. It belongs to a child process, as the question does. A
// child that dies is started again, three times in a row at most. Ten seconds without a sign
// of life from any of them are an error: a Stop would not be heard. Nothing that a child does
// delays that error. Closing the window is a Stop, of which another window tells the user.
func (p X11) Show(ctx context.Context, r consent.Request, s *consent.Showing) error {
	return p.showWithin(ctx, bannerTime, r, s)
}

// showWithin is Show with another time for signs of life.
func (p X11) showWithin(ctx context.Context, patience time.Duration, r consent.Request, s *consent.Showing) error {
	argv, err := p.argv(r)
	if err != nil {
		return err
	}
	pulse := &pulse{patience: patience, last: time.Now()}
	var view consent.View // what the user is told now, whichever child does it
	for try := 1; ; try++ {
		begun := time.Now()
		again, err := p.show(ctx, pulse, argv, r, &view, s)
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
func (p X11) show(ctx context.Context, pulse *pulse, argv []string, r consent.Request, view *consent.View, s *consent.Showing) (again bool, err error) {
	if ctx.Err() != nil {
		return false, gone(ctx)
	}
	w := p.Texts.Wording(r)
	select {
	case <-s.Closing():
		return false, nil
	default:
	}
	select {
	case why := <-s.Why(): // before it has begun
		return false, p.showEnd(ctx, argv, r, w, why, s)
	default:
	}
	b := bannerOf(w, r, *view)
	b.Bell = p.Bell && unannounced(r.Basis) && pulse.starts == 0
	pulse.starts++
	c, err := pulse.start(ctx, argv, r, b)
	if err != nil {
		return false, err
	}
	defer c.in.Close()
	why, again, err := c.viewing(ctx, pulse, r, w, view, s)
	if err != nil && !errors.Is(err, consent.ErrStopped) {
		return again, err // the child is gone, and what is said to s is the next one's
	}
	if err != nil {
		s.Stop()
		why = "stopped_by_user"
		select {
		case <-c.proc.Done(): // the user has closed the window: another one says what came of it
			_ = p.showEnd(ctx, argv, r, w, why, s)
			return false, err
		default:
		}
	}
	c.conclude(w.Reason(why))
	c.finish(ctx, s)
	return again, err
}

// showEnd runs a child that says nothing but why viewing has ended.
func (p X11) showEnd(ctx context.Context, argv []string, r consent.Request, w consent.Wording, why string, s *consent.Showing) error {
	b := newBanner(w)
	b.Bus = busOf(r)
	if b.Why = w.Reason(why); b.Why == "" {
		return nil
	}
	c, err := (&pulse{patience: noticeTime, last: time.Now()}).start(ctx, argv, r, b)
	if err != nil {
		return err
	}
	defer c.in.Close()
	c.finish(ctx, s)
	return nil
}

// unannounced reports whether the user learns of a viewing only by its banner.
func unannounced(b consent.Basis) bool {
	return b != "" && b != consent.ByAnswer && b != consent.ByNotice
}

// A pulse is the signs of life that the children give, one after the other.
type pulse struct {
	patience time.Duration // between two
	last     time.Time
	starts   int // children so far
}

// left is how long the next sign may take.
func (p *pulse) left() time.Duration { return time.Until(p.last.Add(p.patience)) }

// beat notes a sign of life and returns how long the next one may take.
func (p *pulse) beat() time.Duration {
	p.last = time.Now()
	return p.patience
}

// late is the error once there was no sign for too long.
func (p *pulse) late(shown bool) error {
	if !shown {
		return pkg.Errorf("the banner was not on the screen within %v", p.patience)
	}
	return pkg.Errorf("the banner gave no sign of life for %v", p.patience)
}

// start is startBanner, which a stranger can delay, in the time that is left. A child that
// comes later is ended.
func (p *pulse) start(ctx context.Context, argv []string, r consent.Request, b *banner) (*bannerChild, error) {
	type started struct {
		c   *bannerChild
		err error
	}
	result := make(chan started, 1)
	go func() {
		c, err := startBanner(argv, r, b)
		result <- started{c, err}
	}()
	late := time.NewTimer(p.left())
	defer late.Stop()
	var err error
	select {
	case s := <-result:
		return s.c, s.err
	case <-late.C:
		err = p.late(false)
	case <-ctx.Done():
		err = gone(ctx)
	}
	go func() {
		if s := <-result; s.err == nil {
			s.c.in.Close()
			s.c.kill()
		}
	}()
	return nil, err
}

// A bannerChild is the process that shows a banner.
type bannerChild struct {
	proc   *child.Process
	in     *os.File // its standard input
	out    *bannerTranscript
	stderr process.Tail
}

// viewing waits for the end of the viewing, and says why that was (empty: the user is not to
// be told), or for the banner's, which is an error. Only after [consent.ErrStopped], and without an
// error, may the child still be there.
func (c *bannerChild) viewing(ctx context.Context, pulse *pulse, r consent.Request, w consent.Wording, view *consent.View, s *consent.Showing) (why string, again bool, err error) {
	late := time.NewTimer(pulse.left())
	defer late.Stop()
	for shown := c.out.isShown; ; {
		select {
		case <-shown:
			shown = nil
			late.Reset(pulse.beat())
		case <-c.out.alive:
			late.Reset(pulse.beat())
		case *view = <-r.Changes:
			c.change(bannerOf(w, r, *view))
		case wish := <-c.out.wished:
			if r.Wish != nil && fits(wish, view.State) {
				r.Wish(wish)
			}
		case <-c.out.stopped:
			return "", false, consent.ErrStopped
		case why = <-s.Why():
			return why, false, nil
		case <-s.Closing():
			return "", false, nil
		case <-c.proc.Done():
			again, err = c.out.outcome(c.proc, &c.stderr)
			return "", again, err
		case <-c.out.answered:
			// It has nothing more to do, and the user may have closed it to stop the viewing, which waits for no process.
			shut := false
			select {
			case <-c.out.shut:
				shut = true
				s.Stop()
			default:
			}
			switch held := c.proc.Stop(process.TermTime/2, process.TermTime) != nil; {
			case held && shut:
				return "", false, consent.ErrStopped
			case held:
				return "", false, pkg.New("the banner has ended, and its process doesn't go")
			}
			again, err = c.out.outcome(c.proc, &c.stderr)
			return "", again, err
		case <-late.C:
			c.kill()
			return "", false, pulse.late(shown == nil)
		case <-ctx.Done():
			c.kill()
			return "", false, gone(ctx)
		}
	}
}

// fits reports whether a wish is one that the user has in a state. Another was meant for a state that
// is over.
func fits(w consent.Wish, s consent.ViewState) bool {
	return w == consent.Pause && s == consent.Viewing || w == consent.Resume && s == consent.Paused
}

// change makes the child show something else.
func (c *bannerChild) change(b *banner) {
	line, err := message{Banner: b}.encode()
	if err == nil {
		_ = tell(c.in, append([]byte(changeMark), line...)) // as in startBanner
	}
}

// kill ends the child at once, and waits for a moment only.
func (c *bannerChild) kill() {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = c.proc.Stop(0, 0)
	}()
	t := time.NewTimer(process.TermTime)
	defer t.Stop()
	select {
	case <-gone:
	case <-t.C:
	}
}

// conclude makes the child show why viewing has ended, or without words go at once.
func (c *bannerChild) conclude(why string) {
	if why == "" {
		c.in.Close()
		return
	}
	_ = tell(c.in, []byte(why+"\n")) // as in startBanner
}

// finish returns when the child that says why viewing has ended is gone. Once s is closed
// it is to go at once.
func (c *bannerChild) finish(ctx context.Context, s *consent.Showing) {
	late := time.NewTimer(noticeTime)
	defer late.Stop()
	for closing := s.Closing(); ; {
		select {
		case <-closing:
			closing = nil
			c.in.Close()
			late.Reset(process.LeaveTime)
			continue
		case <-c.proc.Done():
		case <-late.C:
		case <-ctx.Done():
		}
		_ = c.proc.Stop(0, process.TermTime)
		return
	}
}

// startBanner starts the child and tells it what to show. The caller closes in.
func startBanner(argv []string, r consent.Request, b *banner) (*bannerChild, error) {
	line, err := message{Banner: b}.encode()
	if err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, pkg.Errorf("%w", err)
	}
	defer theirs.Close()
	c := &bannerChild{in: ours, out: newBannerTranscript()}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = process.Environ(r.Display, r.Xauthority)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, c.out, &c.stderr
	cmd.WaitDelay = process.TermTime
	if c.proc, err = child.Start(cmd, identity(r)); err != nil {
		ours.Close()
		return nil, pkg.Errorf("starting the banner: %w", err)
	}
	_ = tell(ours, line) // a child that doesn't hear it says more by what it does then
	return c, nil
}

// tell writes to a child, which may be one that doesn't read.
func tell(in *os.File, line []byte) error {
	if err := in.SetWriteDeadline(time.Now().Add(process.TermTime)); err != nil {
		return err
	}
	_, err := in.Write(line)
	return err
}

// gone is why there is no banner once ctx has ended.
func gone(ctx context.Context) error {
	return pkg.Errorf("the banner was taken down: %w", context.Cause(ctx))
}
