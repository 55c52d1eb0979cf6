package consent

import (
	"context"
	"errors"
	"time"

	"vda.internal/shadow/consent/internal/process"
)

// A Decision is the user's answer. The zero value refuses.
type Decision uint8

// The decisions. Only [Granted] lets anybody watch.
const (
	Denied   Decision = iota // the user said No
	Granted                  // the user said Yes
	TimedOut                 // nobody answered in time
	Closed                   // the user closed the question without an answer
	Locked                   // the screen is locked: there is nobody to ask
)

// String names the decision in the words of the shadow package's reasons.
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

// Why no answer could be had. An error always refuses, whatever decision came
// with it; one that is none of these means that the prompter itself failed.
var (
	ErrDisplay = errors.New("consent: display unreachable")                // the session's X server could not be reached
	ErrGone    = errors.New("consent: display went away")                  // the X server ended while the user was being asked
	ErrBusy    = errors.New("consent: another question is on the display") // of another daemon, or one that didn't end
)

// A Basis is what allows somebody to view: the word for it in records.
type Basis string

// The bases. All but the first come from an organisation's rules, and the user is told.
const (
	ByAnswer   Basis = "answer"     // the prompter's answer is Granted
	ByNotice   Basis = "notice"     // a rule: the user wasn't asked, but has seen that somebody will view
	BySilence  Basis = "unanswered" // a rule: the user was asked and didn't answer
	ByLock     Basis = "locked"     // a rule: the screen was locked
	ByRuleOnly Basis = "rule"       // a rule: the user wasn't asked
)

// A Request is the question: who wants to see which session.
type Request struct {
	Admin   string        // who asks; text from outside, shown cleaned and cut
	Purpose string        // why, in the administrator's own words; shown as [CleanPurpose] leaves it. Empty: no reason is shown
	Host    string        // the name of this host
	Timeout time.Duration // how long the user has; 0 means 20 s. The caller's context decides, this is what is shown

	// Replaces is the administrator whose viewing a Yes would end; empty: nobody. It is known
	// when the question is put, and the question doesn't change: whoever begins to view
	// meanwhile is named by the banner only. The one who asks again is not to be in it.
	Replaces string

	// SilenceAllows says that a rule takes silence for a Yes, which the question tells the user. What
	// Ask returns is TimedOut all the same.
	SilenceAllows bool

	// Shown is called before Ask returns, if the question was on the screen. Nobody's silence is a
	// Yes without it. May be nil.
	Shown func()

	// Basis is what allows the viewing, for a [Banner] and an [Announcer]; empty: an answer.
	Basis Basis

	// Changes tell a [Banner] how the viewing goes on, in the order in which it does. Nil: it doesn't change.
	Changes <-chan View
	// Wish is called by a [Banner] for what the user wants. What comes of it, Changes say. It doesn't
	// block. Nil: the user can't pause the viewing.
	Wish func(Wish)

	Session    string // the session's id
	Display    string // X display, ":1"
	Xauthority string // file with the display's cookie; empty: none
	User       string // account name of the session's user
	Locale     string // of the session: "de_DE.UTF-8", "zh_CN", or a list as LANGUAGE has; empty or without words of its own: English
	Bus        string // D-Bus address of the session's bus, "unix:path=…"; empty: /run/user/UID/bus
	UID        uint32
	GID        uint32
	Groups     []uint32 // supplementary groups
}

// A Prompter puts the question to the user. Ask returns when there is an
// answer, when nothing can be asked, or soon after ctx ends (TimedOut if its
// deadline passed, else ctx's cause); what it started has ended by then. It
// must be safe for concurrent use.
type Prompter interface {
	Ask(ctx context.Context, r Request) (Decision, error)
}

// NoticeTime is how long an [Announcer]'s notice must have been seen.
const NoticeTime = 5 * time.Second

// An Announcer tells a user that somebody is going to view, without asking: what a rule may say.
// Announce returns Granted once the notice was in view for [NoticeTime] in all, Denied if the user
// doesn't want to be viewed, and otherwise what a [Prompter] does: TimedOut, above all, if ctx's
// deadline passes and the notice wasn't in view for that long. It must be safe for concurrent use.
type Announcer interface {
	Announce(ctx context.Context, r Request) (Decision, error)
}

// Func is a function as a Prompter. A nil Func refuses.
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
		return Denied, err
	}
	return TimedOut, nil
}
