package desktop

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/host/child"
)

// maxAnswer bounds a line of the child, in bytes with the newline.
const maxAnswer = 512

// The words of the child.
const (
	wordShown   = "shown"
	wordClosed  = "closed"
	wordGone    = "gone"
	wordDisplay = "display" // with a detail
	wordFailed  = "failed"  // with a detail

	// Of a question only.
	wordYes     = "yes"
	wordNo      = "no"
	wordLocked  = "locked"
	wordTimeout = "timeout"
	wordBusy    = "busy"
	wordSeen    = "seen"

	// Of a banner only.
	wordAlive   = "alive"
	wordStopped = "stopped"
	wordPause   = "pause"
	wordResume  = "resume"
	wordOver    = "over"
	wordUnseen  = "unseen"
)

// errNoAnswer is a child that ended before it had answered.
var errNoAnswer = pkg.New("the prompt ended without an answer")

// A transcript is what a child says on standard output, parsed as it comes: the part that
// questions and banners have in common. It is written by one goroutine; what comes of it is
// for after its end.
type transcript struct {
	answered chan struct{} // closed by the first thing that decides
	isShown  chan struct{} // closed when it is on the screen

	// own takes a word that isn't common to both. It reports whether the word may stand there,
	// and whether it is the last.
	own func(word string) (known, last bool)

	buf   []byte // of the line that is not complete
	shown bool
	final bool
	err   error // what refuses: the child's word or its breach of the protocol
}

func newTranscript(own func(word string) (known, last bool)) transcript {
	return transcript{answered: make(chan struct{}), isShown: make(chan struct{}), own: own}
}

// Write takes what the child says. It fails from the first breach of the
// protocol on, so that nobody listens to the rest.
func (t *transcript) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if t.final {
			return 0, t.breach("bytes after the answer")
		}
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if len(t.buf)+len(line) >= maxAnswer {
			return 0, t.breach("a line that is too long")
		}
		t.buf = append(t.buf, line...)
		if !whole {
			break
		}
		text := string(t.buf)
		t.buf = t.buf[:0]
		if err := t.line(text); err != nil {
			return 0, err
		}
		p = rest
	}
	return n, nil
}

// line takes one line.
func (t *transcript) line(s string) error {
	word, detail, hasDetail := strings.Cut(s, " ")
	if hasDetail != (word == wordDisplay || word == wordFailed) {
		return t.breach(fmt.Sprintf("%.40q", s))
	}
	last := true
	switch word {
	case wordGone:
		t.err = consent.ErrGone
	case wordDisplay:
		t.err = fmt.Errorf("%w: %s", consent.ErrDisplay, process.OneLine(detail))
	case wordFailed:
		t.err = pkg.Errorf("the prompt failed: %s", process.OneLine(detail))
	case wordShown:
		if t.shown {
			return t.breach(fmt.Sprintf("%.40q", s))
		}
		t.shown, last = true, false
		close(t.isShown)
	default:
		var known bool
		if known, last = t.own(word); !known {
			return t.breach(fmt.Sprintf("%.40q", s))
		}
	}
	if last {
		t.end()
	}
	return nil
}

// breach ends the transcript with a refusal, whatever was said before.
func (t *transcript) breach(what string) error {
	t.err = pkg.Errorf("the prompt broke the protocol with %s", what)
	t.end()
	return t.err
}

func (t *transcript) end() {
	if !t.final {
		t.final = true
		close(t.answered)
	}
}

// A questionTranscript is that of a child that asks.
type questionTranscript struct {
	transcript
	d      consent.Decision
	isSeen bool // it was in view for as long as its message says; for after the end
}

func newQuestionTranscript() *questionTranscript {
	t := &questionTranscript{}
	t.transcript = newTranscript(t.word)
	return t
}

// word takes one of a question's own words.
func (t *questionTranscript) word(word string) (known, last bool) {
	switch word {
	case wordSeen:
		known = t.shown && !t.isSeen
		t.isSeen = true
		return known, false
	case wordLocked: // instead of shown, too
		t.d = consent.Locked
		return true, true
	case wordBusy: // instead of shown
		t.err = consent.ErrBusy
		return true, true
	case wordClosed:
		t.d = consent.Closed
		return true, true
	case wordYes:
		t.d = consent.Granted
	case wordNo:
		t.d = consent.Denied
	case wordTimeout:
		t.d = consent.TimedOut
	default:
		return false, true
	}
	return t.shown, true
}

// decision is what the child has said in the end.
func (t *questionTranscript) decision() (consent.Decision, error) {
	switch {
	case t.err != nil:
		return consent.Denied, t.err
	case !t.final:
		return consent.Denied, errNoAnswer
	}
	return t.d, nil
}

// errUnseen is a banner that is up and can't be seen.
var errUnseen = pkg.New("the screen no longer shows the banner")

// A bannerTranscript is that of a child that shows a banner.
type bannerTranscript struct {
	transcript
	stopped chan struct{}     // closed when the user has pressed Stop
	shut    chan struct{}     // closed when the user has closed the window
	alive   chan struct{}     // holds a sign of life that nobody has taken
	wished  chan consent.Wish // holds what a press of the other button means, if nobody has taken it
	stop    bool
}

func newBannerTranscript() *bannerTranscript {
	t := &bannerTranscript{stopped: make(chan struct{}), shut: make(chan struct{}), alive: make(chan struct{}, 1), wished: make(chan consent.Wish, 1)}
	t.transcript = newTranscript(t.word)
	return t
}

// word takes one of a banner's own words.
func (t *bannerTranscript) word(word string) (known, last bool) {
	switch {
	case word == wordAlive && t.shown:
		select {
		case t.alive <- struct{}{}:
		default:
		}
		return true, false
	case word == wordPause && t.shown:
		select { // it takes the place of a Resume
		case <-t.wished:
		default:
		}
		t.wished <- consent.Pause
		return true, false
	case word == wordResume && t.shown:
		select {
		case t.wished <- consent.Resume:
		default: // a Pause stays
		}
		return true, false
	case word == wordStopped && t.shown && !t.stop:
		t.stop = true
		close(t.stopped)
		return true, false
	case word == wordClosed:
		t.err = consent.ErrStopped
		close(t.shut) // it is the last word
		return true, true
	case word == wordUnseen && t.shown:
		t.err = errUnseen
		return true, true
	case word == wordOver:
		return true, true
	}
	return false, true
}

// outcome is what the child has said in the end, and whether another child may do better:
// this one ended without a word that it should have said.
func (t *bannerTranscript) outcome(proc *child.Process, stderr *process.Tail) (again bool, err error) {
	switch {
	case t.stop:
		return false, consent.ErrStopped
	case !t.final:
		return true, pkg.Errorf("the banner ended by itself (%s)%s", exitStatus(proc.Err()), stderr.Suffix())
	case t.err == nil:
		return true, pkg.New("the banner ended although viewing had not")
	case errors.Is(t.err, consent.ErrStopped), errors.Is(t.err, consent.ErrGone), errors.Is(t.err, consent.ErrDisplay), errors.Is(t.err, errUnseen):
		return false, t.err
	}
	return true, t.err
}
