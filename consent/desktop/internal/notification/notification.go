// Package notification puts a question into a desktop notification with two buttons. It
// knows nothing of sessions or processes: it needs a connection to the session's bus and says
// what the user did. See the Desktop Notifications Specification 1.2.
package notification

import (
	"context"
	"errors"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// A Question is what the notification shows, as plain text.
type Question struct {
	Summary string        // its headline
	Body    string        // may have several lines
	No, Yes string        // the buttons
	Left    time.Duration // until the question lapses
}

// An Answer is what the user did.
type Answer uint8

// The answers. The zero value refuses.
const (
	No      Answer = iota // pressed No
	Yes                   // pressed Yes
	Closed                // closed it, or the service did
	Expired               // nothing, for as long as the service shows a notification
)

const (
	name       = "org.freedesktop.Notifications"
	path       = dbus.ObjectPath("/org/freedesktop/Notifications")
	busName    = "org.freedesktop.DBus"
	ownerIsNew = busName + ".NameOwnerChanged"
	invoked    = name + ".ActionInvoked"
	closed     = name + ".NotificationClosed"

	yesKey, noKey = "yes", "no"
)

const (
	callTime  = 3 * time.Second        // the service may take for an answer, its start included
	closeTime = 300 * time.Millisecond // it may take to close the notification in the end
	guardTime = 500 * time.Millisecond // in which nobody can have read the question
	maxQueue  = 64                     // signals that wait
)

// Ask shows the notification, calls shown when the service has taken it, and returns when
// the user has answered or closed it, or ctx ends, which is an error. The notification is
// closed then. A service without buttons (the capability actions), or without room for what a
// Yes means (body), is an error, and so is one that ends. Signals count only if they come from
// the service.
//
// A Yes in the first half second counts as closing: it was meant for something else.
func Ask(ctx context.Context, conn *dbus.Conn, q Question, shown func()) (Answer, error) {
	signals := make(chan *dbus.Signal, maxQueue)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	s, err := find(ctx, conn)
	if err != nil {
		return No, err
	}
	id, err := s.notify(ctx, q)
	if err != nil {
		return No, err
	}
	begun := time.Now()
	shown()
	answer, open, err := s.wait(ctx, signals, id)
	if open {
		s.close(id)
	}
	if answer == Yes && time.Since(begun) < guardTime {
		return Closed, nil
	}
	return answer, err
}

// A service is the notification service by its unique name, which nobody else can have.
type service struct {
	conn   *dbus.Conn
	owner  string
	markup bool // the body is markup
}

// find looks for the service, which starts it if need be.
func find(ctx context.Context, conn *dbus.Conn) (*service, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	s := &service{conn: conn}
	getOwner := func() error {
		return conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, name).Store(&s.owner)
	}
	err := getOwner()
	if err != nil {
		err = conn.BusObject().CallWithContext(ctx, busName+".StartServiceByName", 0, name, uint32(0)).Err
		if err == nil {
			err = getOwner()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the desktop has no notification service: %w", because(ctx, err))
	}
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(s.owner), dbus.WithMatchObjectPath(path), dbus.WithMatchInterface(name)},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, s.owner)},
	} {
		if err := conn.AddMatchSignalContext(ctx, match...); err != nil {
			return nil, fmt.Errorf("the bus doesn't report what the user does: %w", because(ctx, err))
		}
	}
	var can []string
	if err := s.object().CallWithContext(ctx, name+".GetCapabilities", 0).Store(&can); err != nil {
		return nil, failure(ctx, "doesn't say what it can show", err)
	}
	for _, needed := range []string{"actions", "body"} {
		if !slices.Contains(can, needed) {
			return nil, fmt.Errorf("the desktop's notification service can't ask: it lacks %q", needed)
		}
	}
	s.markup = slices.Contains(can, "body-markup")
	return s, nil
}

func (s *service) object() dbus.BusObject { return s.conn.Object(s.owner, path) }

// notify shows the question. It is not given up when ctx is: nobody would know then what to
// close.
func (s *service) notify(ctx context.Context, q Question) (id uint32, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	body := plain(q.Body)
	if s.markup {
		body = html.EscapeString(q.Body)
	}
	hints := map[string]dbus.Variant{
		"urgency":   dbus.MakeVariant(byte(2)), // critical: not held back, not hidden early
		"transient": dbus.MakeVariant(true),    // not kept: it can't be answered later
	}
	millis := int32(min(max(q.Left.Milliseconds(), 1), math.MaxInt32))
	err = s.object().CallWithContext(ctx, name+".Notify", 0, "shadowd", uint32(0), "dialog-question",
		plain(q.Summary), body, []string{noKey, q.No, yesKey, q.Yes}, hints, millis).Store(&id)
	if err != nil {
		return 0, failure(ctx, "didn't take the question", err)
	}
	return id, nil
}

// wait waits until the user has done something. It reports whether the notification is still
// there.
func (s *service) wait(ctx context.Context, signals <-chan *dbus.Signal, id uint32) (answer Answer, open bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return No, true, context.Cause(ctx)
		case <-s.conn.Context().Done():
			return No, false, errors.New("the desktop's bus went away")
		case sig, ok := <-signals:
			if !ok {
				return No, false, errors.New("the desktop's bus went away")
			}
			if s.ended(sig) {
				return No, false, errEnded
			}
			if answer, final := s.read(sig, id); final {
				return answer, sig.Name == invoked, nil
			}
		}
	}
}

// ended reports whether a signal says that the service is gone.
func (s *service) ended(sig *dbus.Signal) bool {
	return sig.Name == ownerIsNew && sig.Sender == busName && len(sig.Body) == 3 && sig.Body[0] == s.owner
}

// read is what a signal says of the notification, if it says anything.
func (s *service) read(sig *dbus.Signal, id uint32) (answer Answer, final bool) {
	if sig.Sender != s.owner || sig.Path != path || len(sig.Body) != 2 || sig.Body[0] != id {
		return No, false
	}
	switch {
	case sig.Name == invoked && sig.Body[1] == yesKey:
		return Yes, true
	case sig.Name == invoked && sig.Body[1] == noKey:
		return No, true
	case sig.Name == invoked:
		return Closed, true // a click on it, which is no answer
	case sig.Name == closed && sig.Body[1] == uint32(1):
		return Expired, true
	case sig.Name == closed:
		return Closed, true
	}
	return No, false
}

// close takes the notification off the screen.
func (s *service) close(id uint32) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = s.object().CallWithContext(ctx, name+".CloseNotification", dbus.FlagNoAutoStart, id).Err // it may be closed already
}

// plain keeps names from being taken for markup where nobody says whether text is markup.
func plain(s string) string { return strings.NewReplacer("<", "‹", ">", "›").Replace(s) }

// errEnded is a service that is gone.
var errEnded = errors.New("the desktop's notification service has ended")

// failure is the error of a call to the service: what it did instead of an answer, unless it
// has ended. Then the bus answers in its place.
func failure(ctx context.Context, what string, err error) error {
	if e, ok := errors.AsType[dbus.Error](err); ok && (e.Name == busName+".Error.NoReply" || e.Name == busName+".Error.ServiceUnknown") {
		return errEnded
	}
	return fmt.Errorf("the desktop's notification service %s: %w", what, because(ctx, err))
}

// because prefers to say that time was up.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
