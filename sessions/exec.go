package sessions

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/program"
	"vda.internal/shadow/internal/host/sessionbus"
	"vda.internal/shadow/internal/host/xsession"
)

// Exec is a [shadow.Resolver] that runs a program at every call, for sites whose sessions only
// their own tools can list. The program runs as this process's user, in /, with PATH as its only
// variable. It prints one JSON object per line and session, and exits with 0:
//
//	{"id": "42", "user": "alice", "display": ":1", "xauthority": "/run/user/1000/Xauthority"}
//
// id is required. user is an account's name; without it nobody is logged on.
// xauthority is the file with the display's cookie, if there is one. There may
// be bus, the D-Bus address of the session's bus, locale, type, class and state, with the words of the fields of [shadow.Session],
// locked (true or false), and since, when the user logged in, as "2026-11-30T08:00:00Z". Without a locale it is the host's.
// A session whose line has anything else, or whose id is there twice, is listed as unavailable, and so is a line
// without a legible id, as "line N". No such id at all, and more than 1 MiB, are errors.
type Exec struct {
	Command []string      // program, by its absolute path, and arguments; empty refuses
	Timeout time.Duration // for the program; 0: 5 s

	interval time.Duration // of WaitEnd, in tests; 0: endInterval
}

const maxSessionID = 256 // bytes of an id

// Session finds one session. If its user isn't an account of this host, or is
// root, the error is a *shadow.End with NoUser, and with DisplayUnreachable if its line is wrong.
func (e *Exec) Session(ctx context.Context, id string) (*shadow.Session, error) {
	lines, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if l.ID == id {
			return l.session(lookUp(ctx, l.User))
		}
	}
	return nil, noSession(id)
}

// Sessions lists all sessions. A session whose user isn't an account of this host, or is root, is
// listed as having no user; one whose line is wrong, or whose user can't be looked up in time, as unavailable.
func (e *Exec) Sessions(ctx context.Context) ([]*shadow.Session, error) {
	lines, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range lines {
		names = append(names, l.User)
	}
	users, err := lookUpAll(ctx, names)
	if err != nil {
		return nil, err
	}
	list := make([]*shadow.Session, 0, len(lines))
	for _, l := range lines {
		s, err := l.session(users[l.User])
		if err != nil {
			s = l.bare()
			s.Unavailable = unavailable(err)
			if s.Unavailable.Reason != shadow.NoUser {
				s.User = l.User
			}
		}
		list = append(list, s)
	}
	return list, nil
}

// endInterval is how often the program is asked whether a session is there
// still.
const endInterval = 10 * time.Second

// WaitEnd implements [shadow.SessionWaiter]: it runs the program every 10 s; a session has ended
// when it is no longer listed, is listed as closing, or with another user or display than at first.
func (e *Exec) WaitEnd(ctx context.Context, id string) error { return e.wait(ctx, id, nil) }

// WaitEndOf implements [shadow.SessionWatcher]: it is WaitEnd, but for the user and the display, which are those of s.
func (e *Exec) WaitEndOf(ctx context.Context, s *shadow.Session) error { return e.wait(ctx, s.ID, s) }

// wait waits for the end of s; nil: of whatever session has the id at first.
func (e *Exec) wait(ctx context.Context, id string, s *shadow.Session) error {
	tick := time.NewTicker(cmp.Or(e.interval, endInterval))
	defer tick.Stop()
	for {
		lines, err := e.read(ctx)
		if err != nil {
			return err
		}
		if s == nil {
			if s, err = identified(lines, id); s == nil {
				return err
			}
		}
		if ended, err := over(lines, s); ended || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// identified is what says whose a session is; nil: it isn't there, or the error is why that can't be read.
func identified(lines []execLine, id string) (*shadow.Session, error) {
	for _, l := range lines {
		switch {
		case l.ID != id:
		case l.err != nil && (l.User == "" || l.Display == ""):
			return nil, pkg.Errorf("session %q: %w", id, l.err)
		default:
			return &shadow.Session{ID: id, User: l.User, Display: l.Display}, nil
		}
	}
	return nil, nil
}

// over reports whether s has ended. The error is why that can't be told.
func over(lines []execLine, s *shadow.Session) (bool, error) {
	for _, l := range lines {
		if l.ID != s.ID {
			continue
		}
		screen := (&shadow.Session{Display: l.Display}).Screen()
		same := l.User == s.User && screen == s.Screen()
		certain := l.err == nil || l.User != "" && (l.User != s.User || l.Display != "")
		switch {
		case same && l.State != "closing":
			return false, nil
		case certain:
			return true, nil
		}
		return false, pkg.Errorf("session %q: %w", s.ID, l.err)
	}
	return true, nil
}

// read runs the program.
func (e *Exec) read(ctx context.Context) ([]execLine, error) {
	if len(e.Command) == 0 || !filepath.IsAbs(e.Command[0]) {
		return nil, pkg.New("Exec.Command doesn't begin with an absolute path")
	}
	name := e.Command[0]
	out, err := program.Output(ctx, program.Command{Path: name, Args: e.Command[1:], Timeout: e.Timeout})
	if err != nil {
		return nil, pkg.Errorf("%w", err)
	}
	lines, err := parseExec(out)
	if err != nil {
		return nil, pkg.Errorf("session program %s: %w", name, err)
	}
	return lines, nil
}

// An execLine is one line of the program's output.
type execLine struct {
	ID         string `json:"id"`
	User       string `json:"user"`
	Display    string `json:"display"`
	Xauthority string `json:"xauthority"`
	Locale     string `json:"locale"`
	Bus        string `json:"bus"`
	Type       string `json:"type"`
	Class      string `json:"class"`
	State      string `json:"state"`
	Locked     bool   `json:"locked"`

	Since time.Time `json:"since"`

	err error // why it can't be used: only what identifies the session is there then, as far as it can be read
}

// bare is the session without its user.
func (l execLine) bare() *shadow.Session {
	return &shadow.Session{
		ID: l.ID, Display: l.Display, Xauthority: l.Xauthority, Locale: localeOr(l.Locale), Bus: l.Bus,
		Type: cmp.Or(l.Type, "x11"), Class: l.Class, State: l.State, Locked: l.Locked, Since: l.Since,
	}
}

// session is the session of a user who was looked up.
func (l execLine) session(u owner) (*shadow.Session, error) {
	s := l.bare()
	if l.err != nil {
		detail := fmt.Sprintf("what the session program says of session %q can't be used: %v", l.ID, l.err)
		return nil, &shadow.End{Reason: shadow.DisplayUnreachable, Detail: detail, Err: l.err}
	}
	if l.User == "" {
		return s, nil
	}
	if err := setUser(s, l.User, u); err != nil {
		return nil, err
	}
	if s.UID == 0 {
		return nil, rootRefusal(l.ID)
	}
	return s, nil
}

// parseExec reads the program's output. Blank lines are skipped. A line that is wrong makes its own session
// unusable only, unless there is none with an id.
func parseExec(out []byte) ([]execLine, error) {
	var lines []execLine
	place := map[string]int{} // in lines, of each id
	var wrong error           // the first
	n, nameless := 0, 0
	for text := range bytes.SplitSeq(out, []byte("\n")) {
		n++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		l, err := parseExecLine(text)
		if err != nil {
			err = fmt.Errorf("line %d: %w", n, err)
			l = salvage(text)
			if l.err = err; l.ID == "" {
				l.ID = fmt.Sprintf("line %d", n)
				nameless++
			}
			wrong = cmp.Or(wrong, err)
		}
		if i, again := place[l.ID]; again { // whose it is nobody knows
			lines[i] = execLine{ID: l.ID, err: fmt.Errorf("line %d: id %q is there twice", n, l.ID)}
			continue
		}
		place[l.ID] = len(lines)
		lines = append(lines, l)
	}
	if wrong != nil && nameless == len(lines) {
		return nil, wrong
	}
	return lines, nil
}

// salvage is what identifies the session in a line that is wrong, as far as it comes before what is.
func salvage(text []byte) (l execLine) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return l
	}
	for {
		key, err := dec.Token()
		var value any
		if _, ok := key.(string); err != nil || !ok || dec.Decode(&value) != nil {
			return l
		}
		v, _ := value.(string)
		switch {
		case key == "id" && len(v) <= maxSessionID:
			l.ID = v
		case key == "user":
			l.User = v
		case key == "display" && xsession.IsDisplay(v):
			l.Display = v
		case key == "state":
			l.State = v
		}
	}
}

func parseExecLine(text []byte) (execLine, error) {
	var l execLine
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return l, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return l, errors.New("something follows the JSON object")
	}
	switch {
	case l.ID == "" || len(l.ID) > maxSessionID:
		return l, fmt.Errorf(`"id" must have 1 to %d bytes`, maxSessionID)
	case l.Display != "" && !xsession.IsDisplay(l.Display):
		return l, fmt.Errorf(`"display" is %q, not a display of this host such as ":1"`, l.Display)
	case l.Xauthority != "" && !filepath.IsAbs(l.Xauthority):
		return l, fmt.Errorf(`"xauthority" is %q, not an absolute path`, l.Xauthority)
	case l.Bus != "" && !sessionbus.IsAddress(l.Bus):
		return l, fmt.Errorf(`"bus" is %q, not the address of a D-Bus bus of this host such as "unix:path=/run/user/1000/bus"`, l.Bus)
	case l.Locale != "" && !xsession.IsLocale(l.Locale):
		return l, fmt.Errorf(`"locale" is %q, not a locale such as "de_DE.UTF-8"`, l.Locale)
	}
	return l, nil
}
