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
	"slices"
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
// locked (true or false), and since, when the user logged in, as "2026-11-30T08:00:00Z". Without a locale it is the host's. Anything else, an id that is there twice, and more
// than 1 MiB are errors.
type Exec struct {
	Command []string      // program, by its absolute path, and arguments; empty refuses
	Timeout time.Duration // for the program; 0: 5 s

	interval time.Duration // of WaitEnd, in tests; 0: endInterval
}

const maxSessionID = 256 // bytes of an id

// Session finds one session. If its user isn't an account of this host, or is
// root, the error is a *shadow.End with NoUser.
func (e *Exec) Session(ctx context.Context, id string) (*shadow.Session, error) {
	lines, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if l.ID == id {
			return l.session(ctx)
		}
	}
	return nil, noSession(id)
}

// Sessions lists all sessions. A session whose user isn't an account of this host, or is root, is
// listed as having no user.
func (e *Exec) Sessions(ctx context.Context) ([]*shadow.Session, error) {
	lines, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]*shadow.Session, 0, len(lines))
	for _, l := range lines {
		s, err := l.session(ctx)
		if r, ok := errors.AsType[*shadow.End](err); ok && r.Reason == shadow.NoUser {
			l.User = ""
			if s, err = l.session(ctx); err == nil {
				s.Unavailable = r
			}
		}
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// endInterval is how often the program is asked whether a session is there
// still.
const endInterval = 10 * time.Second

// WaitEnd implements [shadow.SessionWaiter]: it runs the program every 10 s; a session has ended
// when it is no longer listed, or is listed as closing.
func (e *Exec) WaitEnd(ctx context.Context, id string) error {
	tick := time.NewTicker(cmp.Or(e.interval, endInterval))
	defer tick.Stop()
	for {
		lines, err := e.read(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(lines, func(l execLine) bool { return l.ID == id && l.State != "closing" }) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
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
}

func (l execLine) session(ctx context.Context) (*shadow.Session, error) {
	s := &shadow.Session{
		ID: l.ID, Display: l.Display, Xauthority: l.Xauthority, Locale: localeOr(l.Locale), Bus: l.Bus,
		Type: cmp.Or(l.Type, "x11"), Class: l.Class, State: l.State, Locked: l.Locked, Since: l.Since,
	}
	if l.User == "" {
		return s, nil
	}
	if err := setUser(ctx, s, l.User); err != nil {
		return nil, err
	}
	if s.UID == 0 {
		return nil, rootRefusal(l.ID)
	}
	return s, nil
}

// parseExec reads the program's output. Blank lines are skipped.
func parseExec(out []byte) ([]execLine, error) {
	var lines []execLine
	seen := map[string]bool{}
	n := 0
	for text := range bytes.SplitSeq(out, []byte("\n")) {
		n++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		l, err := parseExecLine(text)
		if err == nil && seen[l.ID] {
			err = fmt.Errorf("id %q is there twice", l.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		seen[l.ID] = true
		lines = append(lines, l)
	}
	return lines, nil
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
