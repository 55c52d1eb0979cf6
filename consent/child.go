package consent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/BurntSushi/xgb"

	"vda.internal/shadow/consent/internal/dialog"
	"vda.internal/shadow/consent/internal/xconn"
)

// ChildArg is the argument by which [Child] knows that this process is to show
// a question.
const ChildArg = "__consent-prompt"

const (
	connectTime = 5 * time.Second // the X server may take to let the child in
	probeTime   = 1 * time.Second // the X server may take to show that it still lives
	childGrace  = 5 * time.Second // the child outlives its time by at most this
)

// Child makes the host program fit for [X11], which runs it a second time, with
// [ChildArg] as its only argument, to show the question. Call it first thing in
// main, and in TestMain. In such a process it asks, answers and exits; in any
// other it returns at once.
func Child() {
	if len(os.Args) != 2 || os.Args[1] != ChildArg {
		childReady.Store(true)
		return
	}
	display, xauthority := os.Getenv("DISPLAY"), os.Getenv("XAUTHORITY")
	// This process is ours alone, so its globals are, too. xgb would log what the
	// answer says better, and look for a cookie, which xconn does.
	xgb.Logger = log.New(io.Discard, "", 0)
	os.Clearenv()

	say := func(line string) {
		if _, err := fmt.Println(line); err != nil {
			os.Exit(1) // nobody listens
		}
	}
	say(prompt(os.Stdin, display, xauthority, func() { say(wordShown) }))
	os.Exit(0)
}

// prompt asks the question that in holds and returns the line that answers it.
// It leaves goroutines and the connection behind: the process is to exit next,
// which is also what takes the window off the screen.
func prompt(in io.Reader, display, xauthority string, shown func()) string {
	q, err := readQuestion(in)
	if err != nil {
		return failed(err)
	}
	lapse := time.Now().Add(time.Duration(q.Millis) * time.Millisecond)
	ctx, cancel := context.WithDeadline(context.Background(), lapse.Add(childGrace))
	defer cancel()
	x, err := xconn.Dial(display, xauthority, connectTime)
	if err != nil {
		return wordDisplay + " " + detail(err)
	}
	type result struct {
		answer dialog.Answer
		err    error
	}
	done := make(chan result, 1)
	go func() {
		// The X server may belong to somebody hostile. A panic on this goroutine
		// would end the process just as well, but say less.
		defer func() {
			if p := recover(); p != nil {
				done <- result{err: fmt.Errorf("panic: %v", p)}
			}
		}()
		a, err := dialog.Ask(ctx, x, dialog.Question{Admin: q.Admin, Host: q.Host, Replaces: q.Replaces, Left: time.Until(lapse)}, shown)
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return failed(r.err)
		}
		return answerWord(r.answer)
	case <-x.Gone():
		return whyGone(display, xauthority)
	case <-ctx.Done():
		return failed(errors.New("nobody ended the prompt in time"))
	}
}

// answerWord is the answer as the protocol has it. What it doesn't know is no.
func answerWord(a dialog.Answer) string {
	switch a {
	case dialog.Yes:
		return wordYes
	case dialog.Closed:
		return wordClosed
	}
	return wordNo
}

// whyGone tells a connection that was killed (closed) from a server that ended
// (gone): the first still lets us in.
func whyGone(display, xauthority string) string {
	if xconn.Probe(display, xauthority, probeTime) != nil {
		return wordGone
	}
	return wordClosed
}

func failed(err error) string { return wordFailed + " " + detail(err) }

// detail is err as the rest of a line of the protocol.
func detail(err error) string {
	s := oneLine(err.Error())
	if most := maxAnswer - len(wordDisplay) - 2; len(s) > most {
		s = s[:most]
	}
	return or(s, "unknown")
}
