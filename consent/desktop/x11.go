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
// keys move it, Enter and Space press, Esc refuses, and closing the window gives Closed. No
// letter answers. Input counts from half a second after the window was drawn, or came back
// onto the screen, and only if it comes from the X server itself, not from another client's SendEvent. A click that comes too early makes the half second begin again.
//
// Somebody who is typing at something else doesn't answer: any other key than these, a chord,
// a key that comes too early, or an arrow towards the button that has the focus already gives
// No the focus again, and keys count from half a second after the last of them. They also
// count only from half a second after the window got the keyboard. Five seconds after the
// focus was moved to Yes it goes back to No. Who pauses for longer than half a second, moves
// the focus to Yes by accident and presses Enter or Space within those five seconds, is taken
// at their word: these keys are the window's.
//
// Yes counts only while nothing covers the window, and from half a second after that; with a
// compositor, which lets windows shine through one another, also if the pointer is in the
// window. Yes waits as long when the window was moved, by whomever.
//
// The window stays in view. When something covers it, it raises itself. When it was minimized,
// rolled up or otherwise put away it comes back, twice a second at most, and gets the keyboard;
// a window manager that hides it but keeps it mapped, as GNOME's does, doesn't make it take
// input. When a part of it comes to lie outside of all monitors, because it was moved or
// because the screen has become smaller, nothing counts; it moves back onto its monitor, at
// once or when it has been at rest for half a second, and shrinks if it doesn't fit. GNOME's
// overview shows a small picture of it, which can't be answered.
//
// The window leaves the window manager's hands (it becomes override-redirect, without a frame,
// and takes the keyboard until it ends) when the window manager doesn't show it within a second,
// keeps something above it for half a second, doesn't bring it back within three, or goes. It waits
// for up to three seconds while something else has grabbed the keyboard, as an open menu
// has, and for as long as a mouse button is down. It doesn't get above what looks like a lock.
//
// A locked screen is not asked at all (Locked): when the desktop's screen saver says on the
// session's bus that it is active and doesn't end when it is told that somebody is there, or
// when another program holds the keyboard for a second while windows cover every monitor that no
// window manager manages, each at least one of them, which take input and have nothing above
// them. A screen that is only dark, because nobody was there, is woken and asked. While
// the question is shown all this is looked at again, every second or two, and ends it; a covering
// window that was there before doesn't count then, unless the keyboard was taken in the first
// second. A locker that does none of it, such as one whose window is transparent, leaves the
// question unanswered.
//
// A screen reader finds the window on the session's accessibility bus (AT-SPI), if there is one when the window
// comes: a dialog with its texts and buttons, where they are and which has the focus. Its actions press No,
// and in the banner Stop and Pause, but neither Yes nor Resume: any program of the session could ask
// for that, so they take the keyboard or the mouse, as the X server reports it.
//
// The X server must belong to root or to the session's user, as SO_PEERCRED of its socket
// says. A display that can't be reached is [consent.ErrDisplay], one that ends meanwhile is
// [consent.ErrGone]. A display has one question at a time, whichever daemon asks: another is
// [consent.ErrBusy].
type X11 struct {
	// Command is run instead of this program: a program that calls Child in its
	// main, with [ChildArg] as the only argument, or anything that speaks the
	// protocol of the package comment. Nil runs this program again.
	Command []string

	// Bell sounds the display's bell when the question or the notice is on the screen, and when
	// the banner is of a viewing that the user was not asked for and not told of before.
	Bell bool

	// Texts replace the words of the question and the banner. The zero value is the
	// built-in words of the session's language; what doesn't pass [consent.Texts.Validate] refuses
	// with its error.
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
