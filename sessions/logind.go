package sessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/host/xsession"
)

// Logind is a [shadow.Resolver] that asks systemd-logind, over D-Bus, at every call
// and keeps nothing. What logind doesn't know of a session (its display, cookie,
// language and bus) is looked for in the session's processes and the usual files. The zero value
// asks on the system bus. Sessions of root count as having no user: nothing
// that talks to a session runs as root.
type Logind struct {
	Address string        // D-Bus address; empty: the system bus
	Timeout time.Duration // for one call; 0: 5 s

	root     string        // where the host's files are, in tests; empty: "/"
	interval time.Duration // of looking at a session's state, in tests; 0: stateInterval
}

// What is asked of logind: org.freedesktop.login1(5).
const (
	loginName       = "org.freedesktop.login1"
	loginPath       = dbus.ObjectPath("/org/freedesktop/login1")
	loginManager    = "org.freedesktop.login1.Manager"
	loginSession    = "org.freedesktop.login1.Session"
	propertyGet     = "org.freedesktop.DBus.Properties.Get"
	propertiesGet   = "org.freedesktop.DBus.Properties.GetAll"
	errNoSession    = "org.freedesktop.login1.NoSuchSession"
	errNoObject     = "org.freedesktop.DBus.Error.UnknownObject"
	errNoService    = "org.freedesktop.DBus.Error.ServiceUnknown"
	logindTimeout   = 5 * time.Second
	maxLogindResult = 4096 // sessions
)

// Session finds one session. The id is logind's ("2", "c1"); names such as
// "self", which logind knows besides, are not sessions here.
func (l *Logind) Session(ctx context.Context, id string) (*shadow.Session, error) {
	list, err := l.look(ctx, func(s string) bool { return s == id })
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, noSession(id)
	}
	if r := list[0].Unavailable; r != nil {
		return nil, r
	}
	return list[0], nil
}

// Sessions lists all, text consoles and greeters included. One that logind
// doesn't describe is listed with its error as its refusal.
func (l *Logind) Sessions(ctx context.Context) ([]*shadow.Session, error) {
	list, err := l.look(ctx, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b *shadow.Session) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// listed is one element of what ListSessions returns.
type listed struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// look asks logind about the sessions with the wanted ids.
func (l *Logind) look(ctx context.Context, wanted func(id string) bool) ([]*shadow.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(l.Timeout, logindTimeout))
	defer cancel()
	conn, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()

	var all []listed
	if err := conn.Object(loginName, loginPath).CallWithContext(ctx, loginManager+".ListSessions", 0).Store(&all); err != nil {
		if isDBusError(err, errNoService) {
			return nil, fmt.Errorf("sessions: logind isn't on this host; choose another sessions.resolver: %w", err)
		}
		return nil, fmt.Errorf("sessions: logind didn't list its sessions: %w", because(ctx, err))
	}
	if len(all) > maxLogindResult {
		return nil, fmt.Errorf("sessions: logind lists %d sessions; at most %d are looked at", len(all), maxLogindResult)
	}
	var found []*shadow.Session
	var host *xsession.Host
	for _, s := range all {
		if !wanted(s.ID) {
			continue
		}
		var p properties
		err := conn.Object(loginName, s.Path).CallWithContext(ctx, propertiesGet, 0, loginSession).Store(&p)
		if isDBusError(err, errNoSession, errNoObject) {
			continue // it ended meanwhile
		}
		if err == nil && host == nil {
			if host, err = xsession.Scan(cmp.Or(l.root, "/")); err != nil {
				return nil, fmt.Errorf("sessions: session %q: %w", s.ID, err)
			}
		}
		var one *shadow.Session
		if err == nil {
			one, err = p.session(ctx, s.ID, host)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("sessions: logind didn't describe session %q: %w", s.ID, because(ctx, err))
		}
		if err != nil { // the others are none the worse for it
			one = &shadow.Session{ID: s.ID, User: s.User, UID: s.UID, Unavailable: &shadow.Refusal{
				Reason: shadow.DisplayUnreachable, Detail: fmt.Sprintf("logind didn't describe session %q: %v", s.ID, err), Err: err,
			}}
		}
		found = append(found, one)
	}
	return found, nil
}

// dial opens a connection of our own, which ends with ctx.
func (l *Logind) dial(ctx context.Context) (*dbus.Conn, error) {
	open := func() (*dbus.Conn, error) { return dbus.SystemBusPrivate(dbus.WithContext(ctx)) }
	if l.Address != "" {
		open = func() (*dbus.Conn, error) { return dbus.Dial(l.Address, dbus.WithContext(ctx)) }
	}
	conn, err := open()
	if err == nil {
		if err = conn.Auth(nil); err == nil {
			err = conn.Hello()
		}
		if err != nil {
			_ = conn.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sessions: logind can't be asked: the D-Bus system bus isn't there: %w", because(ctx, err))
	}
	return conn, nil
}

// because prefers to say that time was up: what a connection says that was
// closed under a call is of no use.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func isDBusError(err error, names ...string) bool {
	e, ok := errors.AsType[dbus.Error](err)
	return ok && slices.Contains(names, e.Name)
}

// properties are those of a session object.
type properties map[string]dbus.Variant

func (p properties) text(name string) string { s, _ := p[name].Value().(string); return s }
func (p properties) flag(name string) bool   { b, _ := p[name].Value().(bool); return b }

// uid is the first part of the property User, (uo).
func (p properties) uid() (uint32, bool) {
	user, _ := p["User"].Value().([]any)
	if len(user) == 0 {
		return 0, false
	}
	uid, ok := user[0].(uint32)
	return uid, ok
}

// session makes a Session of what logind says, the account database and the
// host's processes.
func (p properties) session(ctx context.Context, id string, host *xsession.Host) (*shadow.Session, error) {
	s := &shadow.Session{
		ID:     id,
		Type:   p.text("Type"),
		Class:  p.text("Class"),
		State:  p.text("State"),
		Locked: p.flag("LockedHint"),
	}
	uid, ok := p.uid()
	if !ok {
		return nil, errors.New("it doesn't say whose it is")
	}
	a, err := account.LookupID(ctx, uid)
	switch {
	case errors.Is(err, account.ErrUnknown):
		detail := fmt.Sprintf("uid %d of session %q is unknown to this host", uid, id)
		s.Unavailable = &shadow.Refusal{Reason: shadow.NoUser, Detail: detail, Err: err}
		return s, nil
	case err != nil:
		return nil, err
	case uid == 0:
		s.Unavailable = rootRefusal(id)
		return s, nil
	}
	s.User, s.UID, s.GID, s.Groups = cmp.Or(p.text("Name"), a.Name), uid, a.GID, a.Groups
	leader, _ := p["Leader"].Value().(uint32)
	display := p.text("Display")
	if strings.Contains(s.Type, "wayland") || !xsession.IsDisplay(display) {
		display = "" // an ssh client's "localhost:10.0" is no display of this host
	}
	where := xsession.Session{Leader: int(leader), UID: uid, User: s.User, Home: a.Home, Display: display}
	s.Display, s.Xauthority = host.Find(where)
	s.Locale, s.Bus = host.Locale(where), host.Bus(where)
	// startx and some remoting daemons leave a session on X with the type
	// that it was opened with. An ssh login that has set DISPLAY stays what it is.
	if s.Display != "" && (s.Type == "unspecified" || s.Type == "tty" && !p.flag("Remote")) {
		s.Type = "x11"
	}
	return s, nil
}

// rootRefusal is for sessions of root that no operator has written down.
func rootRefusal(id string) *shadow.Refusal {
	return &shadow.Refusal{Reason: shadow.NoUser, Detail: fmt.Sprintf("session %q is root's, and nothing that shows a session runs as root", id)}
}

// stateInterval is how often a session's state is looked at while its end is
// waited for: logind announces that a session is gone, but not that it is
// closing, and a closing one stays for as long as any of its processes does.
const stateInterval = 5 * time.Second

// WaitEnd implements [shadow.SessionWaiter]: a session has ended when logind has
// removed it, or when it is closing.
func (l *Logind) WaitEnd(ctx context.Context, id string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(cmp.Or(l.Timeout, logindTimeout), func() { cancel(context.DeadlineExceeded) })
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	slow.Stop()
	signals := make(chan *dbus.Signal, 64) // conn closes it when it ends
	conn.Signal(signals)
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(loginName), dbus.WithMatchObjectPath(loginPath),
		dbus.WithMatchInterface(loginManager), dbus.WithMatchMember("SessionRemoved"), dbus.WithMatchArg(0, id))
	if err != nil {
		return fmt.Errorf("sessions: logind doesn't tell about session %q: %w", id, because(ctx, err))
	}
	tick := time.NewTicker(cmp.Or(l.interval, stateInterval))
	defer tick.Stop()
	for {
		// Looked at after the subscription, so that no end can slip between.
		if over, err := l.over(ctx, conn, id); over || err != nil {
			return err
		}
		select {
		case s, open := <-signals:
			if !open {
				return fmt.Errorf("sessions: the D-Bus system bus has ended the connection: %w", because(ctx, dbus.ErrClosed))
			}
			if isRemoval(s, id) {
				return nil
			}
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// isRemoval reports whether s says that the session has gone.
func isRemoval(s *dbus.Signal, id string) bool {
	if s.Name != loginManager+".SessionRemoved" || len(s.Body) == 0 {
		return false
	}
	gone, _ := s.Body[0].(string)
	return gone == id
}

// over reports whether a session is gone or closing.
func (l *Logind) over(ctx context.Context, conn *dbus.Conn, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(l.Timeout, logindTimeout))
	defer cancel()
	var path dbus.ObjectPath
	var state dbus.Variant
	err := conn.Object(loginName, loginPath).CallWithContext(ctx, loginManager+".GetSession", 0, id).Store(&path)
	if err == nil {
		err = conn.Object(loginName, path).CallWithContext(ctx, propertyGet, 0, loginSession, "State").Store(&state)
	}
	switch {
	case isDBusError(err, errNoSession, errNoObject):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("sessions: logind doesn't say whether session %q is there: %w", id, because(ctx, err))
	}
	return state.Value() == "closing", nil
}
