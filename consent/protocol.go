package consent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/sessionbus"
)

// Bounds of the protocol between X11 and its child, in bytes with the newline.
const (
	maxQuestion = 16 << 10
	maxAnswer   = 512
)

// A question is what the child shows: the line on its standard input.
type question struct {
	Admin    string `json:"admin"`
	Host     string `json:"host"`
	Replaces string `json:"replaces"`
	Millis   int64  `json:"timeout_ms"` // what is left when the child starts; 0 for a banner
	Banner   bool   `json:"banner"`     // it is no question, but the banner
	Language string `json:"language"`   // of the words, ISO 639-1; unknown: English
	Texts    Texts  `json:"texts"`      // what replaces them
	Bus      string `json:"bus"`        // D-Bus address of the session's bus
	Notify   bool   `json:"notify"`     // ask in a notification, not in a window
	Ended    string `json:"ended"`      // of a banner: why viewing has ended, which is all it says; empty: it hasn't
}

// newQuestion is r with its names cleaned. left is 0 for a banner.
func newQuestion(r Request, t Texts, left time.Duration) question {
	words, language := t.in(r.Locale)
	return question{
		Admin:    or(clean(r.Admin), words.Somebody),
		Host:     or(clean(r.Host), words.Here),
		Replaces: clean(r.Replaces),
		Millis:   left.Milliseconds(),
		Language: language,
		Texts:    t,
		Bus:      or(r.Bus, sessionbus.UserBus(r.UID)),
	}
}

// encode is the line for q.
func (q question) encode() ([]byte, error) {
	line, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	return append(line, '\n'), nil
}

// readLine reads the next line, without its end.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(line[:len(line)-1]), nil
}

// readQuestion reads the line, which must be nothing but a question or a banner. Behind a
// question nothing may follow.
func readQuestion(r *bufio.Reader) (question, error) {
	var q question
	text, err := readLine(r)
	if err != nil {
		return q, fmt.Errorf("the question is not one line of at most %d bytes: %w", r.Size(), err)
	}
	line := []byte(text)
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return question{}, fmt.Errorf("the question is not what it should be: %w", err)
	}
	if dec.InputOffset() != int64(len(line)) {
		return question{}, errors.New("the question has something behind it")
	}
	switch {
	case q.Notify && q.Banner:
		return question{}, errors.New("the banner is no notification")
	case q.Ended != "" && !q.Banner:
		return question{}, errors.New("the question has words for the end of viewing")
	case q.Admin == "" || q.Millis <= 0 && !q.Banner:
		return question{}, errors.New("the question has no asker or no time")
	case r.Buffered() > 0 && !q.Banner:
		return question{}, errors.New("the question has a line behind it")
	}
	if err := q.Texts.Validate(); err != nil {
		return question{}, err
	}
	return q, nil
}

// The words of the child.
const (
	wordShown   = "shown"
	wordYes     = "yes"
	wordNo      = "no"
	wordClosed  = "closed"
	wordLocked  = "locked"
	wordTimeout = "timeout"
	wordGone    = "gone"
	wordDisplay = "display" // with a detail
	wordFailed  = "failed"  // with a detail
	wordAlive   = "alive"   // of a banner only
	wordStopped = "stopped" // of a banner only
	wordOver    = "over"    // of a banner only
)

// errNoAnswer is a child that ended before it had answered.
var errNoAnswer = errors.New("consent: the prompt ended without an answer")

// A transcript is everything that a child says on standard output, parsed as it
// comes. It is written by one goroutine; decision is for after its end.
type transcript struct {
	answered chan struct{} // closed by the first thing that decides
	isShown  chan struct{} // closed when it is on the screen
	stopped  chan struct{} // closed when the user has pressed Stop
	alive    chan struct{} // holds a sign of life that nobody has taken
	banner   bool          // the child shows a banner

	buf   []byte // of the line that is not complete
	shown bool
	stop  bool
	final bool
	d     Decision
	err   error // what refuses: the child's word or its breach of the protocol
}

func newTranscript() *transcript {
	return &transcript{answered: make(chan struct{}), isShown: make(chan struct{}), stopped: make(chan struct{}), alive: make(chan struct{}, 1)}
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
	switch {
	case word == wordShown && !t.shown:
		t.shown = true
		close(t.isShown)
		return nil
	case word == wordAlive && t.shown && t.banner:
		select {
		case t.alive <- struct{}{}:
		default:
		}
		return nil
	case word == wordYes && t.shown && !t.banner:
		t.d = Granted
	case word == wordNo && t.shown && !t.banner:
		t.d = Denied
	case word == wordLocked && !t.banner:
		t.d = Locked
	case word == wordTimeout && t.shown && !t.banner:
		t.d = TimedOut
	case word == wordStopped && t.shown && t.banner && !t.stop:
		t.stop = true
		close(t.stopped)
		return nil
	case word == wordClosed && t.banner:
		t.err = ErrStopped
	case word == wordOver && t.banner:
	case word == wordClosed:
		t.d = Closed
	case word == wordGone:
		t.err = ErrGone
	case word == wordDisplay:
		t.err = fmt.Errorf("%w: %s", ErrDisplay, oneLine(detail))
	case word == wordFailed:
		t.err = fmt.Errorf("consent: the prompt failed: %s", oneLine(detail))
	default:
		return t.breach(fmt.Sprintf("%.40q", s))
	}
	t.end()
	return nil
}

// breach ends the transcript with a refusal, whatever was said before.
func (t *transcript) breach(what string) error {
	t.err = fmt.Errorf("consent: the prompt broke the protocol with %s", what)
	t.end()
	return t.err
}

func (t *transcript) end() {
	if !t.final {
		t.final = true
		close(t.answered)
	}
}

// decision is what the child has said in the end.
func (t *transcript) decision() (Decision, error) {
	switch {
	case t.err != nil:
		return Denied, t.err
	case !t.final:
		return Denied, errNoAnswer
	}
	return t.d, nil
}

// outcome is what a banner's child has said in the end, and whether another child may
// do better: this one ended without a word that it should have said.
func (t *transcript) outcome(proc *child.Process, stderr *tail) (again bool, err error) {
	switch {
	case t.stop:
		return false, ErrStopped
	case !t.final:
		return true, fmt.Errorf("consent: the banner ended by itself (%s)%s", exitStatus(proc.Err()), stderr.suffix())
	case t.err == nil:
		return true, errors.New("consent: the banner ended although viewing had not")
	case errors.Is(t.err, ErrStopped), errors.Is(t.err, ErrGone), errors.Is(t.err, ErrDisplay):
		return false, t.err
	}
	return true, t.err
}
