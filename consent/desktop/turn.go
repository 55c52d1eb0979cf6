package desktop

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/xconn"
)

// turnTime is how long a child may take to have the display's turn.
const turnTime = 10 * time.Second

// OneAtATime is a [consent.Prompter] for p, which asks in a way of its own, such as [consent.Exec]: p puts
// its question only while the display that the request names has no other, whichever daemon asks and in
// whichever way. So [X11] and [Notify] do by themselves. Else it is [consent.ErrBusy]; an X server of
// neither root nor the user is [consent.ErrDisplay], and one that ends while p asks [consent.ErrGone]. Where none
// lets the user in there is no other question, and p may know another way to ask. A child holds the turn, as
// theirs do: main calls [Child].
func OneAtATime(p consent.Prompter) consent.Prompter { return turnTaker{p: p} }

type turnTaker struct {
	p       consent.Prompter
	command []string // as X11.Command is
}

// Ask implements [consent.Prompter].
func (t turnTaker) Ask(ctx context.Context, r consent.Request) (consent.Decision, error) {
	if r.Display == "" {
		return t.p.Ask(ctx, r)
	}
	c, err := t.hold(ctx, r)
	if err != nil {
		return consent.Denied, err
	}
	asking, giveUp := context.WithCancelCause(ctx)
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		select {
		case <-c.proc.Done():
			giveUp(c.lost())
		case <-asking.Done():
		}
	}()
	d, err := t.p.Ask(asking, r)
	giveUp(nil)
	<-lost
	c.letGo()
	if ctx.Err() == nil && c.err != nil { // p was given up, whatever it says
		return consent.Denied, c.err
	}
	return d, err
}

// hold starts a child that has the display's turn.
func (t turnTaker) hold(ctx context.Context, r consent.Request) (*turnChild, error) {
	argv, err := childCommand(t.command)
	if err != nil {
		return nil, err
	}
	line, err := message{Turn: &turn{}}.encode()
	if err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, pkg.Errorf("%w", err)
	}
	defer theirs.Close()
	c := &turnChild{in: ours}
	c.out = newTranscript(c.word)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = process.Environ(r.Display, r.Xauthority)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, &c.out, &c.stderr
	cmd.WaitDelay = process.TermTime
	if c.proc, err = child.Start(cmd, identity(r)); err != nil {
		ours.Close()
		return nil, pkg.Errorf("taking the display's turn: %w", err)
	}
	_ = tell(ours, line) // as in startBanner
	late := time.NewTimer(turnTime)
	defer late.Stop()
	select {
	case <-c.out.isShown:
		return c, nil
	case <-c.proc.Done():
		err = c.lost()
	case <-late.C:
		err = pkg.Errorf("the display's turn wasn't had within %v", turnTime)
	case <-ctx.Done():
		err = context.Cause(ctx)
		if gone := process.GivenUp(ctx); gone != nil {
			err = pkg.Errorf("%w", gone)
		}
	}
	c.letGo()
	return nil, err
}

// A turnChild is the process that holds a display's turn.
type turnChild struct {
	proc   *child.Process
	in     *os.File // its standard input
	out    transcript
	stderr process.Tail
	err    error // why it has ended by itself; nil: it hasn't
}

// word takes one of its own words.
func (c *turnChild) word(word string) (known, last bool) {
	switch {
	case word == wordBusy && !c.out.shown:
		c.out.err = consent.ErrBusy
		return true, true
	case word == wordOver:
		return true, true
	}
	return false, true
}

// lost is why the child, which has ended, has done so by itself.
func (c *turnChild) lost() error {
	if c.err = c.out.err; c.err == nil {
		c.err = pkg.Errorf("what holds the display's turn has ended (%s)%s", exitStatus(c.proc.Err()), c.stderr.Suffix())
	}
	return c.err
}

// letGo ends the child.
func (c *turnChild) letGo() {
	c.in.Close()
	_ = c.proc.Stop(process.LeaveTime, process.TermTime)
}

// holdTurn holds the display's turn, in the child, until lines end.
func holdTurn(lines *bufio.Reader, display, xauthority string, shown func()) string {
	var gone <-chan struct{}
	_, err := xconn.Probe(display, xauthority, connectTime)
	stranger, isStranger := errors.AsType[*xconn.StrangerError](err)
	switch {
	case isStranger:
		return wordDisplay + " " + detail(stranger)
	case err == nil:
		x, refusal := takeTurn(context.Background(), display, xauthority)
		if refusal != "" {
			return refusal
		}
		gone = x.Gone()
	}
	shown()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = lines.ReadByte()
	}()
	select {
	case <-ended:
		return wordOver
	case <-gone:
		return whyGone(display, xauthority)
	}
}
