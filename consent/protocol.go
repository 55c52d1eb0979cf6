package consent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Bounds of the protocol between X11 and its child, in bytes with the newline.
const (
	maxQuestion = 8 << 10
	maxAnswer   = 512
)

// A question is what the child shows: the line on its standard input.
type question struct {
	Admin    string `json:"admin"`
	Host     string `json:"host"`
	Replaces string `json:"replaces"`
	Millis   int64  `json:"timeout_ms"` // what is left when the child starts
}

// encodeQuestion is the line for r with its names cleaned.
func encodeQuestion(r Request, left time.Duration) ([]byte, error) {
	line, err := json.Marshal(question{
		Admin:    or(clean(r.Admin), "An administrator"),
		Host:     or(clean(r.Host), "this computer"),
		Replaces: clean(r.Replaces),
		Millis:   left.Milliseconds(),
	})
	if err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	return append(line, '\n'), nil
}

// readQuestion reads the line, which must be all of r's first line and nothing
// but a question.
func readQuestion(r io.Reader) (question, error) {
	var q question
	data, err := io.ReadAll(io.LimitReader(r, maxQuestion+1))
	if err != nil {
		return q, fmt.Errorf("reading the question: %w", err)
	}
	line, rest, ok := bytes.Cut(data, []byte("\n"))
	if !ok || len(rest) > 0 || len(data) > maxQuestion {
		return q, fmt.Errorf("the question is not one line of at most %d bytes", maxQuestion)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return question{}, fmt.Errorf("the question is not what it should be: %w", err)
	}
	if dec.InputOffset() != int64(len(line)) {
		return question{}, errors.New("the question has something behind it")
	}
	if q.Admin == "" || q.Millis <= 0 {
		return question{}, errors.New("the question has no asker or no time")
	}
	return q, nil
}

// The words of the child.
const (
	wordShown   = "shown"
	wordYes     = "yes"
	wordNo      = "no"
	wordClosed  = "closed"
	wordGone    = "gone"
	wordDisplay = "display" // with a detail
	wordFailed  = "failed"  // with a detail
)

// errNoAnswer is a child that ended before it had answered.
var errNoAnswer = errors.New("consent: the prompt ended without an answer")

// A transcript is everything that a child says on standard output, parsed as it
// comes. It is written by one goroutine; decision is for after its end.
type transcript struct {
	answered chan struct{} // closed by the first thing that decides

	buf   []byte // of the line that is not complete
	shown bool
	final bool
	d     Decision
	err   error // what refuses: the child's word or its breach of the protocol
}

func newTranscript() *transcript { return &transcript{answered: make(chan struct{})} }

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
		return nil
	case word == wordYes && t.shown:
		t.d = Granted
	case word == wordNo && t.shown:
		t.d = Denied
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
