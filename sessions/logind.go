package sessions

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow"
)

// Logind is a [shadow.Resolver] that asks systemd-logind, over D-Bus, at every call and keeps
// nothing. What logind doesn't know about a session (its display, cookie, language and bus) is read
// from the session's processes and the usual files. The time for that is limited per user: if a
// user's processes take longer to read, only that user's displays aren't found. The zero value asks
// on the system bus. A session of root is reported as having no user, since nothing that connects
// to a session runs as root.
type Logind struct {
	Address string        // D-Bus address; empty: the system bus
	Timeout time.Duration // for one call; 0: 5 s

	root     string        // where the host's files are, in tests; empty: "/"
	interval time.Duration // of looking at a session's state, in tests; 0: stateInterval
}

// What is asked of logind: org.freedesktop.login1(5).
const (
	loginName     = "org.freedesktop.login1"
	loginPath     = dbus.ObjectPath("/org/freedesktop/login1")
	loginManager  = "org.freedesktop.login1.Manager"
	loginSession  = "org.freedesktop.login1.Session"
	propertiesGet = "org.freedesktop.DBus.Properties.GetAll"
	errNoSession  = "org.freedesktop.login1.NoSuchSession"
	errNoObject   = "org.freedesktop.DBus.Error.UnknownObject"
	errNoService  = "org.freedesktop.DBus.Error.ServiceUnknown"
	logindTimeout = 5 * time.Second
)

// Session finds one session. The id is logind's ("2", "c1"); logind's aliases, such as "self", are
// not accepted.
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

// Sessions lists all sessions, including text consoles and greeters, but not those that systemd 256 and later has for
// each user's own service manager. If logind doesn't describe
// one, its Refusal has the error. Of more than 4,096 sessions, the excess is refused likewise,
// taken from the users who have the most.
func (l *Logind) Sessions(ctx context.Context) ([]*shadow.Session, error) {
	list, err := l.look(ctx, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(s *shadow.Session) bool { return s.Class == "manager" || s.Class == "manager-early" })
	slices.SortFunc(list, func(a, b *shadow.Session) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// dial opens a connection of our own, which ends with ctx. Signals go to removals: every program
// of the host can send any to the connection, whatever it has subscribed to.
func (l *Logind) dial(ctx context.Context, removals nudge) (*dbus.Conn, error) {
	options := []dbus.ConnOption{dbus.WithContext(ctx), dbus.WithSignalHandler(removals)}
	open := func() (*dbus.Conn, error) { return dbus.SystemBusPrivate(options...) }
	if l.Address != "" {
		open = func() (*dbus.Conn, error) { return dbus.Dial(l.Address, options...) }
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
		return nil, pkg.Errorf("logind can't be asked: the D-Bus system bus isn't there: %w", because(ctx, err))
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

// stateInterval is how often a session's state is looked at while its end is
// waited for: logind announces that a session is gone, but not that it is
// closing, and a closing one stays for as long as any of its processes does.
const stateInterval = 5 * time.Second

// lookGap is the least time between two looks, however many signals come.
const lookGap = 200 * time.Millisecond

// A nudge has a token if a session may have been removed. Who sent the signal isn't known, so it is
// no more than a reason to ask logind. The zero nudge ignores all signals.
type nudge chan struct{}

// DeliverSignal implements [dbus.SignalHandler]. It keeps nothing of the signal and never blocks.
func (n nudge) DeliverSignal(iface, name string, _ *dbus.Signal) {
	if iface != loginManager || name != "SessionRemoved" {
		return
	}
	select {
	case n <- struct{}{}:
	default:
	}
}

// WaitEnd implements [shadow.SessionWaiter]: a session has ended when logind has
// removed it, when it is closing, and when its id is another user's, or of a later login, than at first.
func (l *Logind) WaitEnd(ctx context.Context, id string) error { return l.wait(ctx, id, nil) }

// WaitEndOf implements [shadow.SessionWatcher]: it is WaitEnd, but for the user and the login, which are those of s.
func (l *Logind) WaitEndOf(ctx context.Context, s *shadow.Session) error { return l.wait(ctx, s.ID, s) }

// wait waits for the end of s; nil: of whatever session has the id at first.
func (l *Logind) wait(ctx context.Context, id string, s *shadow.Session) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(cmp.Or(l.Timeout, logindTimeout), func() { cancel(context.DeadlineExceeded) })
	removals := make(nudge, 1)
	conn, err := l.dial(ctx, removals)
	if err != nil {
		return err
	}
	defer conn.Close()
	slow.Stop()
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(loginName), dbus.WithMatchObjectPath(loginPath),
		dbus.WithMatchInterface(loginManager), dbus.WithMatchMember("SessionRemoved"), dbus.WithMatchArg(0, id))
	if err != nil {
		return pkg.Errorf("cannot ask logind about session %q: %w", id, because(ctx, err))
	}
	tick := time.NewTicker(cmp.Or(l.interval, stateInterval))
	defer tick.Stop()
	for {
		// Looked at after the subscription, so that no end can slip between.
		now, err := l.now(ctx, conn, id)
		switch {
		case err != nil:
			return err
		case now == nil || now.State == "closing":
			return nil
		case s == nil:
			s = now
		case now.UID != s.UID || !now.Since.IsZero() && !s.Since.IsZero() && !now.Since.Equal(s.Since):
			return nil
		}
		if !pause(ctx, lookGap) {
			return context.Cause(ctx)
		}
		select {
		case <-removals:
		case <-tick.C:
		case <-conn.Context().Done():
			return pkg.Errorf("the D-Bus system bus has ended the connection: %w", because(ctx, dbus.ErrClosed))
		}
	}
}

// pause waits for d, and reports false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// now is who has a session's id at this moment, since when, and the session's state; nil: nobody.
func (l *Logind) now(ctx context.Context, conn *dbus.Conn, id string) (*shadow.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(l.Timeout, logindTimeout))
	defer cancel()
	var path dbus.ObjectPath
	var d described
	err := conn.Object(loginName, loginPath).CallWithContext(ctx, loginManager+".GetSession", 0, id).Store(&path)
	if err == nil {
		err = conn.Object(loginName, path).CallWithContext(ctx, propertiesGet, 0, loginSession).Store(&d.p)
	}
	if isDBusError(err, errNoSession, errNoObject) {
		return nil, nil
	}
	if err == nil {
		err = d.whose()
	}
	if err != nil {
		return nil, pkg.Errorf("logind doesn't say whether session %q is there: %w", id, because(ctx, err))
	}
	return &shadow.Session{ID: id, UID: d.uid, State: d.p.text("State"), Since: d.p.moment("Timestamp")}, nil
}
