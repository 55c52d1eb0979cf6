package desktop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/xgb"

	"vda.internal/shadow/consent/desktop/internal/accessible"
	"vda.internal/shadow/consent/desktop/internal/dialog"
	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/host/xconn"
)

// ChildArg is the argument by which [Child] knows that this process is to show
// a question.
const ChildArg = "__consent-prompt"

const (
	connectTime = 5 * time.Second // the X server may take to let the child in
	probeTime   = 1 * time.Second // the X server may take to show that it still lives
	saverPause  = 2 * time.Second // between two questions to the session's screen savers
	childGrace  = 5 * time.Second // the child outlives its time by at most this
)

// Child makes the host program fit for [X11] and [Notify], which run it a second time, with
// [ChildArg] as its only argument, to show the question or the banner. Call it
// first thing in main, and in TestMain. In such a process it does that and
// exits; in any other it returns at once.
func Child() {
	if _, taken := role.Taken(); !taken {
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
	say(prompt(os.Stdin, display, xauthority, say))
	os.Exit(0)
}

// prompt shows the question or the banner that in holds and returns the line that
// answers it; lines before that one go through say. It leaves goroutines and the
// connection behind: the process is to exit next, which is also what takes the window
// off the screen.
func prompt(in io.Reader, display, xauthority string, say func(line string)) string {
	lines := bufio.NewReaderSize(in, maxMessage)
	m, err := readMessage(lines)
	if err != nil {
		return failed(err)
	}
	shown := func() { say(wordShown) }
	if m.Banner != nil {
		return showBanner(m.Banner, lines, display, xauthority, shown, say)
	}
	if m.Turn != nil {
		return holdTurn(lines, display, xauthority, shown)
	}
	q, lapse := m.Question, time.Now().Add(time.Duration(m.Question.Millis)*time.Millisecond)
	ctx, cancel := context.WithDeadline(context.Background(), lapse.Add(childGrace))
	defer cancel()
	if q.Notify {
		return notify(ctx, q, lapse, display, xauthority, shown)
	}
	return askWindow(ctx, q, lapse, display, xauthority, shown, func() { say(wordSeen) })
}

var errEndedOutside = errors.New("the prompt was ended from outside, or its time is up")

// askWindow asks in a window.
func askWindow(ctx context.Context, q *question, lapse time.Time, display, xauthority string, shown, seen func()) string {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	saver, locked := make(chan bool, 1), make(chan struct{})
	go func() {
		saver <- saverLocked(ctx, q.Bus)
		watchSaver(ctx, q.Bus, locked)
	}()
	x, err := xconn.Dial(display, xauthority, connectTime)
	if err != nil {
		return wordDisplay + " " + detail(err)
	}
	reader := readBy(ctx, x, q.Bus)
	defer reader.Stop()
	answer := guarded(func() string {
		if <-saver {
			return wordLocked
		}
		d := q.dialog(time.Until(lapse))
		d.Reader = reader
		if d.SeenAfter > 0 {
			d.Seen = seen
		}
		return answerWord(dialog.Ask(ctx, x, d, locked, shown))
	})
	select {
	case a := <-answer:
		if a == wordYes && saverLocked(ctx, q.Bus) {
			return wordLocked // watchSaver hadn't asked yet
		}
		return a
	case <-x.Gone():
		return whyGone(display, xauthority)
	case <-ctx.Done():
		select { // the question gives the keyboard back
		case a := <-answer:
			if a == wordNo || a == wordClosed || a == wordLocked { // which came before the end
				return a
			}
		case <-x.Gone():
		case <-time.After(process.TermTime / 2):
		}
		return failed(errEndedOutside)
	}
}

// readBy lets screen readers have what is shown on x in a session with that bus.
func readBy(ctx context.Context, x *xconn.Conn, bus string) *accessible.Reader {
	return accessible.Start(ctx, func(ctx context.Context) (string, error) {
		address, err := accessible.Address(ctx, bus)
		if named := dialog.AccessibilityBus(x); err != nil && named != "" {
			return named, nil
		}
		return address, err
	})
}

// showBanner shows the banner. The parent ends it by closing lines.
func showBanner(b *banner, lines *bufio.Reader, display, xauthority string, shown func(), say func(line string)) string {
	x, err := xconn.Dial(display, xauthority, connectTime)
	if err != nil {
		return wordDisplay + " " + detail(err)
	}
	reader := readBy(context.Background(), x, b.Bus)
	defer reader.Stop()
	answer := guarded(func() string {
		changes, why := listen(b.Why, lines)
		return outcomeWord(dialog.ShowBanner(context.Background(), x, b.notice(), changes, why, dialog.Reports{
			Reader: reader, Shown: shown, Alive: func() { say(wordAlive) }, Stopped: func() { say(wordStopped) },
			Paused: func() { say(wordPause) }, Resumed: func() { say(wordResume) },
		}))
	})
	select {
	case a := <-answer:
		return a
	case <-x.Gone():
		return whyGone(display, xauthority)
	}
}

// guarded runs show on a goroutine and yields its answer. The X server may belong to
// somebody hostile: a panic would end the process just as well, but say less.
func guarded(show func() string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- failed(fmt.Errorf("panic: %v", p))
			}
		}()
		answer <- show()
	}()
	return answer
}

// watchSaver closes locked once a screen saver says on the session's bus that it is on. It
// asks every saverPause, until ctx ends.
func watchSaver(ctx context.Context, bus string, locked chan<- struct{}) {
	tick := time.NewTicker(saverPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if saverLocked(ctx, bus) {
			close(locked)
			return
		}
	}
}

// changeMark begins the lines that change a banner. What else is said there never begins so.
const changeMark = "\t"

// listen hands on what a banner is told: how the viewing goes on, and why it has ended: what the
// message says of it, at once, or a line. The second channel is closed at the end of the lines, at
// one too many, or at one that means nothing.
func listen(ended string, lines *bufio.Reader) (<-chan dialog.Notice, <-chan string) {
	changes, why := make(chan dialog.Notice, 1), make(chan string, 1)
	if ended != "" {
		why <- process.OneLine(ended)
	}
	go func() {
		defer close(why)
		for {
			line, err := readLine(lines)
			text, isChange := strings.CutPrefix(line, changeMark)
			switch {
			case err != nil || ended != "":
				return
			case !isChange:
				why <- process.OneLine(line)
				_, _ = readLine(lines)
				return
			}
			m, err := readMessage(bufio.NewReaderSize(strings.NewReader(text+"\n"), maxMessage))
			if err != nil || m.Banner == nil {
				return
			}
			select { // only the last counts
			case <-changes:
			default:
			}
			changes <- m.Banner.notice()
		}
	}()
	return changes, why
}

// outcomeWord is how a banner ended, as the protocol has it.
func outcomeWord(o dialog.Outcome, err error) string {
	switch {
	case errors.Is(err, dialog.ErrUnpainted):
		return wordUnseen
	case err != nil:
		return failed(err)
	case o == dialog.Destroyed:
		return wordClosed
	}
	return wordOver
}

// answerWord is the answer as the protocol has it. What it doesn't know is no.
func answerWord(a dialog.Answer, err error) string {
	switch {
	case errors.Is(err, dialog.ErrTaken):
		return wordBusy
	case err != nil:
		return failed(err)
	case a == dialog.Yes:
		return wordYes
	case a == dialog.Closed:
		return wordClosed
	case a == dialog.Locked:
		return wordLocked
	}
	return wordNo
}

// whyGone tells a connection that was killed (closed) from a server that ended
// (gone): the first still lets us in.
func whyGone(display, xauthority string) string {
	if _, err := xconn.Probe(display, xauthority, probeTime); err != nil {
		return wordGone
	}
	return wordClosed
}

func failed(err error) string { return wordFailed + " " + detail(err) }

// detail is err as the rest of a line of the protocol.
func detail(err error) string {
	s := process.OneLine(err.Error())
	if most := maxAnswer - len(wordDisplay) - 2; len(s) > most {
		s = s[:most]
	}
	if s == "" {
		return "unknown"
	}
	return s
}
