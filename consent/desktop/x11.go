package desktop

import (
	"context"
	"fmt"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/named"
)

// pkg is the name of this package's errors.
const pkg = named.Package("consent")

// X11 asks in a window on the session's display, and says in another who is viewing: it
// is a [consent.Prompter], a [consent.Announcer] and a [consent.Banner]. The zero value is ready, if main calls [Child].
//
// The window names the administrator and this host, counts down, and has two buttons, No and
// Yes, all in the language of [consent.Request.Locale]. No has the focus at first; Tab and the arrow
// keys move it, Enter and Space press, Esc refuses, and closing the window gives Closed. No letter
// answers. Input counts from half a second after the window was drawn or came back onto the
// screen; a click that comes too early restarts that half second. Events that another client sends
// (SendEvent) never count.
//
// Typing into something else doesn't answer: any key but these, a chord, a key that comes too early,
// or an arrow towards the button that has the focus already returns the focus to No, and keys count
// again half a second after the last of them, or after the window received the keyboard. Five
// seconds after the focus moved to Yes it returns to No. If a user pauses for longer than half a
// second, moves the focus to Yes by accident and presses Enter or Space within five seconds, that is
// a Yes.
//
// Yes counts only while nothing covers the window, and from half a second after that; under a
// compositor, where windows may be translucent, only if the pointer is in the window as well. It
// waits as long after the window was moved, by whatever means.
//
// The window stays visible. If something covers it, it raises itself. If it was minimized, rolled up
// or hidden, it comes back, at most twice a second, with the keyboard; while a window manager hides it
// but keeps it mapped, as GNOME's does, it accepts no input. If part of it lies outside all monitors,
// because it was moved or the screen became smaller, nothing counts; it moves back onto its monitor
// once it has been still for half a second, and shrinks if it doesn't fit. GNOME's overview shows it as
// a thumbnail, which can't be answered.
//
// The window becomes override-redirect, without a frame, and grabs the focus if the window manager
// doesn't show it within a second, keeps something above it for half a second, doesn't bring it back
// within three seconds, or exits; the focus is restored when the question ends. It waits up to three
// seconds while something else grabs the keyboard, such as an open menu, and as long as a mouse
// button is down. It never rises above what looks like a lock screen.
//
// A locked screen isn't asked (Locked). It counts as locked if the screen saver reports on the session's
// bus that it is active, and stays active when told that somebody is there; or if another program
// grabs the keyboard for a second while every monitor is covered by windows that the window manager
// doesn't manage, that take input and that have nothing above them. A screen that is only dark is woken
// and asked. While the question is shown this is checked again every second or two; a covering window
// that was there before counts then only if the keyboard was grabbed in the first second. A locker that
// does none of this, such as one with a transparent window, leaves the question unanswered.
//
// Screen readers find the window on the session's accessibility bus (AT-SPI) if there is one when the
// window appears: a dialog with its texts and buttons, their places and the focus. Its actions press No,
// and on the banner Stop and Pause, but neither Yes nor Resume: any program in the session could call
// them, so those need the keyboard or the mouse, as reported by the X server.
//
// The X server must belong to root or to the session's user, as SO_PEERCRED of its socket reports. A
// display that can't be reached is [consent.ErrDisplay], one that ends meanwhile is [consent.ErrGone].
// A display has one question at a time, whichever daemon asks: another is [consent.ErrBusy].
type X11 struct {
	// Command is run instead of this program: a program that calls Child in its
	// main, with [ChildArg] as the only argument, or anything that speaks the
	// protocol of the package comment. Nil runs this program again.
	Command []string

	// Bell rings the display's bell for a question or a notice, and for the banner of a view of which
	// the user was neither asked nor informed before.
	Bell bool

	// Texts replace the words of the question and the banner. The zero value means the built-in words
	// in the session's language. Texts that [consent.Texts.Validate] rejects refuse with its error.
	Texts consent.Texts
}

// argv is what to run for a request.
func (p X11) argv(r consent.Request) ([]string, error) {
	if err := p.Texts.Validate(); err != nil {
		return nil, err
	}
	if r.Display == "" {
		return nil, fmt.Errorf("%w: no display is known for session %q", consent.ErrDisplay, r.Session)
	}
	return childCommand(p.Command)
}

// Announce implements [consent.Announcer], in a window like that of the question with one button,
// which refuses. Time counts while nothing covers the window but what takes no input. If ctx has no
// deadline, r.Timeout is one.
func (p X11) Announce(ctx context.Context, r consent.Request) (consent.Decision, error) {
	argv, err := p.argv(r)
	if err != nil {
		return consent.Denied, err
	}
	return askChild(ctx, argv, process.Environ(r.Display, r.Xauthority), r, p.ringing(newNotice(r, p.Texts)))
}

// Ask implements [consent.Prompter]. If ctx has no deadline, r.Timeout is one.
func (p X11) Ask(ctx context.Context, r consent.Request) (consent.Decision, error) {
	argv, err := p.argv(r)
	if err != nil {
		return consent.Denied, err
	}
	return askChild(ctx, argv, process.Environ(r.Display, r.Xauthority), r, p.ringing(newQuestion(r, p.Texts)))
}

// ringing is q with the bell.
func (p X11) ringing(q *question) *question {
	q.Bell = p.Bell
	return q
}
