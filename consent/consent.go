package consent

import (
	"context"
	"strings"
	"time"

	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/named"
)

// pkg is the name of this package's errors.
const pkg = named.Package("consent")

// A Decision is the user's answer. The zero value is a refusal.
type Decision uint8

// The decisions. Only [Granted] lets anybody watch.
const (
	Denied   Decision = iota // the user said No
	Granted                  // the user said Yes
	TimedOut                 // nobody answered in time
	Closed                   // the user closed the question without an answer
	Locked                   // the screen is locked: there is nobody to ask
)

// String returns the decision as one of the shadow package's reasons.
func (d Decision) String() string {
	switch d {
	case Granted:
		return "granted"
	case TimedOut:
		return "timeout"
	case Closed:
		return "closed"
	case Locked:
		return "locked"
	}
	return "denied"
}

// Reasons why there is no answer. An error always refuses, whatever the decision; any other error
// means that the prompter itself failed.
var (
	ErrDisplay = pkg.New("display unreachable")                // the session's X server could not be reached
	ErrGone    = pkg.New("display went away")                  // the X server ended while the user was being asked
	ErrBusy    = pkg.New("another question is on the display") // of another daemon, or one that didn't end
)

// A Basis is what allows a view, as recorded in the audit.
type Basis string

// The bases. All but the first come from an organisation's rules; the user is informed.
const (
	ByAnswer   Basis = "answer"     // the prompter's answer is Granted
	ByNotice   Basis = "notice"     // a rule: the user wasn't asked, but has seen that somebody will view
	BySilence  Basis = "unanswered" // a rule: the user was asked and didn't answer
	ByLock     Basis = "locked"     // a rule: the screen was locked
	ByRuleOnly Basis = "rule"       // a rule, or a prompter that AsksNobody: the user wasn't asked
)

// DefaultTimeout is how long a user has for an answer, unless somebody says otherwise.
const DefaultTimeout = process.DefaultTimeout

// A Request describes a question: who wants to view which session.
type Request struct {
	Admin   string        // who asks, as the calling program says; text from outside, shown cleaned and cut
	Purpose string        // why, in the administrator's own words; shown as [CleanPurpose] leaves it. Empty: no reason is shown
	Host    string        // the name of this host
	Timeout time.Duration // how long the user has; 0 means [DefaultTimeout]. The caller's context decides, this is what is shown

	// Identity is the requester as this host identifies them. The zero value means unknown: the
	// user is then told that Admin is unverified.
	Identity Identity

	// PurposeHidden says that there is a reason that must not be shown. The user is told that there
	// is one.
	PurposeHidden bool

	// Replaces is the administrator whose view a Yes, or a notice that is not stopped, would end; empty: nobody, or the requester.
	// The question doesn't change later: a viewer who connects meanwhile is named only by the
	// banner.
	Replaces string

	// ReplacesUnverified says that this host doesn't know who Replaces is: the name is what a calling
	// program stated, and the user is told so.
	ReplacesUnverified bool

	// SilenceAllows says that a rule treats no answer as a Yes, which the question tells the user.
	// Ask still returns TimedOut.
	SilenceAllows bool

	// LockAllows says that a rule treats locking the screen as a Yes, which the question or the
	// notice tells the user. Ask or Announce still returns Locked.
	LockAllows bool

	// Shown is called before Ask returns if the question was on the screen; without that, no answer
	// is never a Yes. May be nil.
	Shown func()

	// Basis is what allows the view, for a [Banner] and an [Announcer]; empty: the user's answer.
	Basis Basis

	// Changes tells a [Banner] each change of the view, in order. Nil: there are none.
	Changes <-chan View
	// Wish is called by a [Banner] for what the user requests. Changes reports the effect. It
	// doesn't block. Nil: the user can't pause the view.
	Wish func(Wish)

	Session    string   // the session's id
	Display    string   // X display, ":1"
	Xauthority string   // file with the display's cookie; empty: none
	User       string   // account name of the session's user
	Locale     string   // of the session: "de_DE.UTF-8", "zh_CN", or a list as LANGUAGE has; empty or without words of its own: English
	Bus        string   // D-Bus address of the session's bus, "unix:path=…"; empty: /run/user/UID/bus
	UID        uint32   // of User
	GID        uint32   // primary group of User
	Groups     []uint32 // supplementary groups
}

// An Identity is an administrator as this host identifies them, independently of what the caller
// states.
type Identity struct {
	Account string // of this host; empty: the host doesn't know who it is
	Name    string // that account's full name; may be empty
}

// String returns the full name with the account, such as "Alice Ng (CORP\alice)", or only the
// account, cleaned.
func (i Identity) String() string {
	account, name := clean(i.Account), clean(i.Name)
	if account == "" || name == "" || strings.EqualFold(name, account) {
		return account
	}
	return name + " (" + account + ")"
}

// Is reports whether name equals the account's name or its full name, ignoring case.
func (i Identity) Is(name string) bool {
	name = clean(name)
	return strings.EqualFold(name, clean(i.Account)) || name != "" && strings.EqualFold(name, clean(i.Name))
}

// A Prompter puts the question to the user. Ask returns when there is an
// answer, when nothing can be asked, or soon after ctx ends (TimedOut if its
// deadline passed, else ctx's cause); what it started has ended by then. It
// must be safe for concurrent use. One that answers by itself has a method AsksNobody(), as [Allow] and
// [Deny] have, so that nobody takes its answer for a user's.
type Prompter interface {
	Ask(ctx context.Context, r Request) (Decision, error)
}

// NoticeTime is how long an [Announcer]'s notice must have been visible.
const NoticeTime = 5 * time.Second

// MinNoticeTimeout is the least time in which an [Announcer] can be expected to show a notice for
// [NoticeTime]: a display may take some of it.
const MinNoticeTimeout = 2 * NoticeTime

// An Announcer tells a user that somebody is going to view, without asking: what a rule may say.
// Announce returns Granted once the notice was in view for [NoticeTime] in all, Denied if the user
// doesn't want to be viewed, and otherwise what a [Prompter] does: TimedOut, above all, if ctx's
// deadline passes and the notice wasn't in view for that long. It must be safe for concurrent use.
type Announcer interface {
	Announce(ctx context.Context, r Request) (Decision, error)
}

// Func adapts a function to a Prompter. A nil Func refuses.
type Func func(ctx context.Context, r Request) (Decision, error)

// Ask calls f.
func (f Func) Ask(ctx context.Context, r Request) (Decision, error) {
	if f == nil {
		return Denied, nil
	}
	return f(ctx, r)
}

// ended is Ask's answer once ctx is over.
func ended(ctx context.Context) (Decision, error) {
	if err := process.GivenUp(ctx); err != nil {
		return Denied, pkg.Errorf("%w", err)
	}
	return TimedOut, nil
}
