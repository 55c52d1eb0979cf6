package desktop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop/internal/dialog"
	"vda.internal/shadow/consent/desktop/internal/notification"
	"vda.internal/shadow/internal/host/sessionbus"
)

// maxMessage bounds the message, in bytes with the newline. The longest texts with the longest
// names take half of it.
const maxMessage = 64 << 10

// A message says what the child is to show: the line on its standard input. One of its
// fields is set.
type message struct {
	Question *question `json:"question,omitempty"`
	Banner   *banner   `json:"banner,omitempty"`
	Turn     *turn     `json:"turn,omitempty"`
}

// A turn reserves the display without showing anything.
type turn struct{}

// A question is what the user is asked, in finished sentences.
type question struct {
	Language  string           `json:"language"` // of the words, ISO 639-1
	Head      consent.Sentence `json:"head"`
	Doubt     consent.Sentence `json:"doubt,omitempty"` // what is only claimed of who asks
	Sees      consent.Sentence `json:"sees"`
	Cannot    consent.Sentence `json:"cannot"`
	Replaces  consent.Sentence `json:"replaces,omitempty"`
	Watcher   consent.Sentence `json:"watcher,omitempty"` // what is only claimed of whom a Yes ends
	Purpose   consent.Sentence `json:"purpose,omitempty"`
	Locks     consent.Sentence `json:"locks,omitempty"` // that locking the screen is a Yes
	Countdown consent.Sentence `json:"countdown"`
	No        string           `json:"no"`
	Yes       string           `json:"yes"`
	Millis    int64            `json:"timeout_ms"`     // what is left when the child starts
	Bus       string           `json:"bus"`            // D-Bus address of the session's bus
	Notify    bool             `json:"notify"`         // ask in a notification, not in a window
	Bell      bool             `json:"bell,omitempty"` // ring when it is there

	SeenMillis int64 `json:"seen_ms,omitempty"` // after this in view the child says so; 0: it needn't

	// Of a notice, which asks nothing and has no Yes.
	NoticeMillis int64            `json:"notice_ms,omitempty"` // how long it must have been in view; 0: it is a question
	Basis        consent.Sentence `json:"basis,omitempty"`     // what allows the viewing
}

// A banner is what the user is told about somebody who is viewing.
type banner struct {
	Language string           `json:"language"` // of the words, ISO 639-1
	Viewing  consent.Sentence `json:"viewing"`
	Doubt    consent.Sentence `json:"doubt,omitempty"` // what is only claimed of who views
	Purpose  consent.Sentence `json:"purpose,omitempty"`
	Basis    consent.Sentence `json:"basis,omitempty"` // what allows it; nil: an answer does
	Stop     string           `json:"stop"`
	Toggle   string           `json:"toggle,omitempty"`  // another button, that pauses or goes on; empty: there is none
	Paused   bool             `json:"paused,omitempty"`  // nobody sees anything at the moment
	Millis   int64            `json:"left_ms,omitempty"` // for the seconds in Viewing
	Ended    consent.Sentence `json:"ended"`
	Bus      string           `json:"bus,omitempty"`  // D-Bus address of the session's bus
	Bell     bool             `json:"bell,omitempty"` // ring when it is there
	Why      string           `json:"why,omitempty"`  // viewing ended, which is all it says; empty: it hasn't
}

// newQuestion is what r asks, in the words of t. The time is for askChild.
func newQuestion(r consent.Request, t consent.Texts) *question {
	w := t.Wording(r)
	q := &question{
		Language: w.Language, Head: w.Question, Doubt: w.Doubt, Sees: w.Sees, Cannot: w.Cannot, Replaces: w.Replaces, Purpose: w.Purpose,
		Watcher: w.Watcher, Locks: w.Locks, Countdown: w.Countdown, No: w.No, Yes: w.Yes, Bus: busOf(r),
	}
	if r.SilenceAllows {
		q.SeenMillis = consent.NoticeTime.Milliseconds()
	}
	return q
}

// busOf is the address of the bus of r's session.
func busOf(r consent.Request) string {
	if r.Bus == "" {
		return sessionbus.UserBus(r.UID)
	}
	return r.Bus
}

// newNotice is what tells r's user that somebody will view, in the words of t. The time is for
// askChild. The button that says No is the one that stops.
func newNotice(r consent.Request, t consent.Texts) *question {
	w, q := t.Wording(r), newQuestion(r, t)
	q.NoticeMillis, q.Basis = consent.NoticeTime.Milliseconds(), w.Basis
	q.SeenMillis = 0
	q.Head, q.Replaces, q.Countdown, q.No, q.Yes = w.Notice, w.Displaces, w.Begins, w.Stop, ""
	return q
}

// newBanner is what w says of somebody who is viewing.
func newBanner(w consent.Wording) *banner {
	return &banner{Language: w.Language, Viewing: w.Viewing, Doubt: w.Doubt, Purpose: w.Purpose, Basis: w.Basis, Stop: w.Stop, Ended: w.Ended}
}

// bannerOf is what w says of how r's viewing goes.
func bannerOf(w consent.Wording, r consent.Request, v consent.View) *banner {
	b := newBanner(w)
	b.Bus = busOf(r)
	switch v.State {
	case consent.Paused:
		b.Viewing, b.Paused = w.Paused, true
		if r.Wish != nil {
			b.Toggle = w.Resume
		}
	case consent.Away:
		b.Viewing, b.Paused, b.Millis = w.Away, true, max(1, time.Until(v.Until).Milliseconds())
	default:
		if r.Wish != nil {
			b.Toggle = w.Pause
		}
	}
	return b
}

// notice is the banner as a window shows it.
func (b *banner) notice() dialog.Notice {
	n := dialog.Notice{
		Language: b.Language, Viewing: b.Viewing, Doubt: b.Doubt, Purpose: b.Purpose, Basis: b.Basis, Stop: b.Stop, Toggle: b.Toggle,
		Paused: b.Paused, Ended: b.Ended, Bell: b.Bell,
	}
	if b.Millis > 0 {
		n.Until = time.Now().Add(time.Duration(b.Millis) * time.Millisecond)
	}
	return n
}

// dialog is the question as a window shows it.
func (q *question) dialog(left time.Duration) dialog.Question {
	return dialog.Question{
		Language: q.Language, Head: q.Head, Doubt: q.Doubt, Sees: q.Sees, Cannot: q.Cannot, Replaces: q.Replaces, Purpose: q.Purpose,
		Watcher: q.Watcher, Locks: q.Locks, Countdown: q.Countdown, No: q.No, Yes: q.Yes, Left: left, Bell: q.Bell,
		SeenAfter: time.Duration(q.SeenMillis) * time.Millisecond,
		Basis:     q.Basis, Notice: time.Duration(q.NoticeMillis) * time.Millisecond,
	}
}

// notification is the question as a notification shows it.
func (q *question) notification(left time.Duration) notification.Question {
	var body []string
	for _, s := range []consent.Sentence{q.Doubt, q.Purpose, q.Sees, q.Cannot, q.Replaces, q.Watcher, q.Locks, q.Countdown} {
		if len(s) > 0 {
			body = append(body, s.Text(left))
		}
	}
	return notification.Question{Summary: q.Head.Text(left), Body: strings.Join(body, "\n"), No: q.No, Yes: q.Yes, Left: left}
}

// encode is the line for m.
func (m message) encode() ([]byte, error) {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, pkg.Errorf("%w", err)
	}
	return line.Bytes(), nil
}

// readLine reads the next line, without its end.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(line[:len(line)-1]), nil
}

// readMessage reads the line, which must be nothing but a message. Behind a question nothing
// may follow.
func readMessage(r *bufio.Reader) (message, error) {
	text, err := readLine(r)
	if err != nil {
		return message{}, fmt.Errorf("the message is not one line of at most %d bytes: %w", r.Size(), err)
	}
	var m message
	line := []byte(text)
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return message{}, fmt.Errorf("the message is not what it should be: %w", err)
	}
	if dec.InputOffset() != int64(len(line)) {
		return message{}, errors.New("the message has something behind it")
	}
	switch {
	case m.Question != nil && m.Banner == nil && m.Turn == nil:
		err = m.Question.check(r.Buffered())
	case m.Question == nil && m.Banner != nil && m.Turn == nil:
		err = m.Banner.check()
	case m.Question != nil || m.Banner != nil || m.Turn == nil:
		err = errors.New("the message is no question, banner or turn, or more than one of them")
	}
	if err != nil {
		return message{}, err
	}
	return m, nil
}

// check says what is wrong with a question that so many bytes follow.
func (q *question) check(behind int) error {
	switch {
	case behind > 0:
		return errors.New("the question has a line behind it")
	case q.Millis <= 0:
		return errors.New("the question has no time")
	case q.SeenMillis < 0:
		return errors.New("the question is to be seen for no time")
	case q.NoticeMillis != 0:
		if q.NoticeMillis < 0 || q.Notify || q.No == "" || q.Yes != "" {
			return errors.New("the notice is no notice")
		}
	case q.No == "" || q.Yes == "" || q.No == q.Yes:
		return errors.New("the question's buttons are the same, or have no words")
	}
	switch {
	case len(q.Head) == 0 || len(q.Sees) == 0 || len(q.Cannot) == 0 || len(q.Countdown) == 0:
		return errors.New("the question lacks a sentence")
	}
	return checkRoles(q.Head, q.Doubt, q.Sees, q.Cannot, q.Replaces, q.Watcher, q.Purpose, q.Locks, q.Basis, q.Countdown)
}

// check says what is wrong with a banner.
func (b *banner) check() error {
	if len(b.Viewing) == 0 || len(b.Ended) == 0 || b.Stop == "" {
		return errors.New("the banner lacks words")
	}
	return checkRoles(b.Viewing, b.Doubt, b.Purpose, b.Basis, b.Ended)
}

// checkRoles says whether all parts of sentences have roles that there are.
func checkRoles(all ...consent.Sentence) error {
	for _, s := range all {
		for _, p := range s {
			if p.Role != consent.Plain && p.Role != consent.Name && p.Role != consent.Seconds {
				return fmt.Errorf("no part of a sentence is a %.20q", p.Role)
			}
		}
	}
	return nil
}
