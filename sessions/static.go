package sessions

import (
	"context"
	"fmt"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/xsession"
	"vda.internal/shadow/internal/named"
)

// A StaticSession is a session that an operator has configured.
type StaticSession struct {
	ID         string // what administrators ask for
	Display    string // X display of this host, ":1"
	User       string // account name; any account of this host, root included
	Xauthority string // file with the display's cookie; empty: the display needs none
	Locale     string // of its messages, as in [shadow.Session]; empty: the host's
	Bus        string // D-Bus address of the session's bus, "unix:path=…"; empty: the user's, /run/user/UID/bus
}

// pkg is the name of this package's errors.
const pkg = named.Package("sessions")

// Static is a [shadow.Resolver] with a fixed list of sessions: for test hosts, kiosks, and displays
// that weren't started by a login manager. It doesn't check whether the displays exist.
type Static []StaticSession

// Session finds one session. If its user isn't an account of this host the
// error is a *shadow.End with NoUser.
func (l Static) Session(ctx context.Context, id string) (*shadow.Session, error) {
	for _, s := range l {
		if s.ID == id {
			return s.session(lookUp(ctx, s.User))
		}
	}
	return nil, noSession(id)
}

// Sessions lists them. A session whose user isn't an account of this host is listed as having no
// user, and one whose user can't be looked up in time as unavailable.
func (l Static) Sessions(ctx context.Context) ([]*shadow.Session, error) {
	var names []string
	for _, s := range l {
		names = append(names, s.User)
	}
	users, err := lookUpAll(ctx, names)
	if err != nil {
		return nil, err
	}
	list := make([]*shadow.Session, 0, len(l))
	for _, s := range l {
		found, err := s.session(users[s.User])
		if err != nil {
			found = &shadow.Session{ID: s.ID, Display: s.Display, Xauthority: s.Xauthority, Type: "x11", Unavailable: unavailable(err)}
			if found.Unavailable.Reason != shadow.NoUser {
				found.User = s.User
			}
		}
		list = append(list, found)
	}
	return list, nil
}

func (s StaticSession) session(u owner) (*shadow.Session, error) {
	found := &shadow.Session{ID: s.ID, Display: s.Display, Xauthority: s.Xauthority, Locale: localeOr(s.Locale), Bus: s.Bus, Type: "x11", Class: "user"}
	if err := setUser(found, s.User, u); err != nil {
		return nil, err
	}
	return found, nil
}

// localeOr is the locale of a session that is said to have this one: the host's, if none.
func localeOr(locale string) string {
	if locale == "" {
		return xsession.HostLocale("/")
	}
	return locale
}

// noSession is the refusal for an id that a resolver doesn't know.
func noSession(id string) *shadow.End {
	return &shadow.End{Reason: shadow.NoSession, Detail: fmt.Sprintf("%q isn't among those of this host", id)}
}
