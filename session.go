package shadow

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Session is a user's desktop session on this host.
type Session struct {
	ID         string   // as logind or the session's broker names it
	User       string   // account name; empty: nobody is logged on
	UID        uint32   // of User; children run as it
	GID        uint32   // primary group of User
	Groups     []uint32 // supplementary groups of User
	Display    string   // X display, ":1"
	Xauthority string   // file with the display's cookie; empty: the display needs none
	Locale     string   // of its messages, "de_DE.UTF-8", or several as LANGUAGE has them, "de:en"; empty: not known
	Bus        string   // D-Bus address of the session's bus; empty: /run/user/UID/bus
	Type       string   // "x11", "wayland", "tty", "mir"; empty counts as "x11"
	Class      string   // logind's: "user", "greeter", "background", …; empty counts as "user"
	State      string   // logind's: "active", "online", "closing"
	Locked     bool     // logind's LockedHint

	Since time.Time // when the user logged in; zero: not known

	Monitor string // which of the display's monitors a request asks for, set by the Manager: a number from 1, or a name; empty: all

	// Monitors are the display's, set by Manager.Sessions if its Source is a [MonitorLister]
	// and they could be found out.
	Monitors []Monitor

	Unavailable *End // why its resolver knows that it can't be shadowed; nil: the fields decide
}

// Refusal says why s can't be shadowed, or is nil if it can: wayland (any type
// but x11), no_user (no user, or a class of sessions that aren't users' own: a
// greeter, a background service; UID 0 unless User is root), session_ended (closing), locked,
// display_unreachable (no display of this host is known).
func (s *Session) Refusal() *End {
	switch {
	case s.Unavailable != nil:
		return s.Unavailable
	case s.Type != "" && s.Type != "x11" && !(s.Type == "unspecified" && s.IsNobodys()): // logind says that of some greeters
		return &End{Reason: Wayland, Detail: fmt.Sprintf("its type is %q", s.Type)}
	case s.IsNobodys():
		return &End{Reason: NoUser, Detail: fmt.Sprintf("it is a %s session", s.Class)}
	case s.User == "":
		return &End{Reason: NoUser}
	case s.State == "closing":
		return &End{Reason: SessionEnded, Detail: "its user has logged out"}
	case s.Locked:
		return &End{Reason: Locked}
	case s.Display == "":
		return &End{Reason: DisplayUnreachable, Detail: "no X display is known for it"}
	case !strings.HasPrefix(s.Display, ":"):
		return &End{Reason: DisplayUnreachable, Detail: fmt.Sprintf("display %q is not on this host", s.Display)}
	case s.UID == 0 && s.User != "root": // its resolver has left the number out
		return &End{Reason: NoUser, Detail: fmt.Sprintf("user %q has no number, or root's", s.User)}
	}
	return nil
}

// IsNobodys reports whether s, by its Class, isn't one that a user works in: a greeter, a background service.
func (s *Session) IsNobodys() bool { return !slices.Contains(userClasses, s.Class) }

// userClasses are those of the sessions that users work in (pam_systemd(8)),
// with "" where there are no classes. What systemd may add isn't shadowed.
var userClasses = []string{"", "user", "user-early", "user-light"}

// Screen names the display without its screen number: what is shown and asked
// on ":1.0" is on ":1".
func (s *Session) Screen() string {
	display, _, _ := strings.Cut(s.Display, ".")
	if n, err := strconv.ParseUint(strings.TrimPrefix(display, ":"), 10, 16); err == nil {
		return ":" + strconv.FormatUint(n, 10) // ":01" is ":1"
	}
	return display
}

// A Resolver knows the sessions of this host. It is called at every request,
// and again after a Yes, and must be safe for concurrent use.
type Resolver interface {
	// Session finds one session. An unknown id is a *End with NoSession.
	Session(ctx context.Context, id string) (*Session, error)
	// Sessions lists all, those that can't be shadowed included.
	Sessions(ctx context.Context) ([]*Session, error)
}

// A SessionWaiter is a [Resolver] that notices the end of a session. With one,
// a shadow ends with its session (session_ended) even if the X server stays.
type SessionWaiter interface {
	// WaitEnd returns nil when the session has ended, at once if it isn't
	// there, and if its id is another user's, or another display's, than when it began. Otherwise it returns soon after
	// ctx has ended, with its cause, or with the reason why the session can't be waited for: then the session is
	// looked up, and the waiting tried again; a shadow whose session can't be looked up five times in a row either
	// ends (source_failed).
	WaitEnd(ctx context.Context, id string) error
}

// A SessionWatcher is a [SessionWaiter] that is told whose session it was. One that is told its id only may begin to look when
// the id is another session's by then; so the Manager looks the sessions of a SessionWaiter that is no SessionWatcher up every
// ten seconds, too.
type SessionWatcher interface {
	SessionWaiter
	// WaitEndOf is WaitEnd for a session as Session returned it, which it must not change: it returns nil, too, if
	// the id is another user's or display's than s.
	WaitEndOf(ctx context.Context, s *Session) error
}

// A Request is an administrator's wish to see a session.
type Request struct {
	Session string // id of the session
	Admin   string // the administrator's name, as the caller states it; see Config.Accounts
	Client  string // where the administrator sits, for the audit; may be empty
	Purpose string // why, in the administrator's own words; see Config.Purpose and [consent.CleanPurpose]
	Monitor string // which of several monitors is to be shown: a number, the primary one's is 1, or a name such as "DP-1"; empty: all

	// User is the account whose session it has to be, for who chose the session from a list: its id may be
	// another session's by now, which is no_session. Nil: whoever's it is.
	User *string

	// Owner tells those apart who have one name, for a console that asks for many people: Status has it, and nothing
	// else comes of it. Empty: there is only the name.
	Owner string

	Groups  []string // that the administrator is in, as the caller says, for Config.Rules
	Account string   // account of this host that asks, as the kernel says, for Config.Rules; empty: not known

	// Port is called once, before the user is asked, for where the viewer is to come in; the Manager closes
	// what it returns. Nil: a port of Config.Ports.
	Port func() (Port, error)
}

// A Port is where a viewer comes in. It takes connections from Listen to Hold, any number of times.
// *[portpool.Listener] is one.
type Port interface {
	Port() int                 // its number, for the Grant
	Listen() error             // nothing is done if it takes connections already
	Hold() error               // keeps the number, and takes no connections
	HoldOnClose() net.Listener // itself as it takes connections now; the listener's Close is Hold
	Close() error
}

// A Grant is the answer to a request that the user said Yes to.
type Grant struct {
	ID      string    // of the shadow, for Get and Stop
	Session string    // the session's id
	Admin   string    // as requested, cleaned
	URL     string    // ws[s]://HOST:PORT/websockify?token=TOKEN
	Page    string    // http[s]://HOST:PORT/#TOKEN, to be opened in a browser; empty: there is no Config.Page
	Scheme  string    // "ws" or "wss"
	Host    string    // this host's FQDN
	Port    int       // TCP port that the viewer connects to
	Token   string    // good for one viewer, which may return with it within Config.Reconnect
	Expires time.Time // by when the viewer must have connected
}

// A State is a station in a shadow's life; see [Manager].
type State string

// The states.
const (
	Requested State = "requested" // being checked
	Prompting State = "prompting" // the user is being asked
	Granted   State = "granted"   // the port is open, no viewer yet
	Viewing   State = "viewing"   // a viewer is connected
	Away      State = "away"      // the viewer was cut off, and may return
	Ended     State = "ended"
)

// A Status describes a shadow that has not ended.
type Status struct {
	ID      string    // of the shadow
	Session string    // the session's id
	User    string    // account of the session's user
	Admin   string    // as requested, cleaned
	Client  string    // where the request came from, as its caller says; may be empty
	Purpose string    // why, cleaned
	Owner   string    // as requested
	Paused  bool      // the user hides the screen from the viewer
	State   State     // any but Ended
	Port    int       // TCP port of the viewer; 0 before Granted
	Viewer  string    // the viewer's address while viewing
	Since   time.Time // when it entered State
}

// An Event is one step of a shadow, as the audit records it.
type Event struct {
	Time     time.Time `json:"time"`               // when it happened
	Type     EventType `json:"type"`               // what happened
	ID       string    `json:"id"`                 // of the shadow
	Session  string    `json:"session"`            // the session's id
	User     string    `json:"user,omitempty"`     // account of the session's user; empty: not found out yet
	Admin    string    `json:"admin"`              // as requested, cleaned
	Client   string    `json:"client,omitempty"`   // where the request came from, as its caller says
	Identity string    `json:"identity,omitempty"` // who Admin is, as this host knows: "Alice Ng (CORP\alice)"; empty: not looked up yet, or Admin is only what the caller says
	Purpose  string    `json:"purpose,omitempty"`  // why, cleaned
	Port     int       `json:"port,omitempty"`     // TCP port of the viewer, from granted on
	Viewer   string    `json:"viewer,omitempty"`   // the viewer's address
	Token    string    `json:"token,omitempty"`    // first digits of the token's SHA-256, never the token
	Rule     string    `json:"rule,omitempty"`     // number of the rule that decided, from 1, or "none"; empty: nothing was decided yet
	Consent  string    `json:"consent,omitempty"`  // what allows the viewing, from granted on: a [consent.Basis]
	Reason   Reason    `json:"reason,omitempty"`   // of refused and ended
	Detail   string    `json:"detail,omitempty"`   // more than the type and the reason say, for people

	Caller  *Caller `json:"caller,omitempty"`   // the process that asked; nil: not known
	EndedBy *Caller `json:"ended_by,omitempty"` // of refused and ended: the process that stopped it; nil: none did, or not known

	// Until is, of prompted, when the user's time is up, of granted, by when the viewer must have
	// connected, and of away, by when it must have returned.
	Until time.Time `json:"until,omitzero"`

	Rejected int64 `json:"rejected,omitempty"` // of ended: connections that were turned away from the port

	// Of ended, if there was a viewer.
	Duration float64 `json:"seconds,omitempty"`  // how long it was viewed
	Sent     int64   `json:"sent,omitempty"`     // bytes sent to the viewer
	Received int64   `json:"received,omitempty"` // bytes received from the viewer
	Dropped  int64   `json:"dropped,omitempty"`  // messages of the viewer that view-only dropped
}

// An EventType names a step.
type EventType string

// The steps. Every request begins with requested and finishes with exactly one
// of refused and ended.
const (
	EventRequested EventType = "requested" // an administrator asks
	EventPrompted  EventType = "prompted"  // the question is going to the user
	EventGranted   EventType = "granted"   // the user said Yes and the port is open
	EventRefused   EventType = "refused"   // not granted, with its reason
	EventConnected EventType = "connected" // the viewer with the token is there
	EventRejected  EventType = "rejected"  // somebody without the right token or origin was turned away
	EventAway      EventType = "away"      // the viewer was cut off, and may return
	EventReturned  EventType = "returned"  // it has
	EventPaused    EventType = "paused"    // the user hides the screen from the viewer
	EventResumed   EventType = "resumed"   // and no longer
	EventChanged   EventType = "changed"   // another part of the screen is shown, as its detail says: the monitor that was asked for is gone, or there again
	EventEnded     EventType = "ended"     // over, with its reason
)

// Settings are the VDA's two values, read at every request.
type Settings struct {
	EnableSessionShadowing bool // false refuses every request
	ShadowingUseSSL        bool // true: wss with the certificate store's certificate
}
