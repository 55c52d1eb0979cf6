package desktop

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop/internal/dialog"
	"vda.internal/shadow/consent/desktop/internal/notification"
	"vda.internal/shadow/consent/internal/process"
	"vda.internal/shadow/internal/host/sessionbus"
	"vda.internal/shadow/internal/host/xconn"
)

// Notify asks in a notification of the session's desktop with two buttons, Yes and No: a
// [consent.Prompter] for desktops on which the window of [X11] would look out of place. The zero value is
// ready, if main calls [Child].
//
// It says less surely than [X11] that the user has read the question: how a notification
// looks, for how long, and whether one is shown at all while the user wants no disturbance,
// is the desktop's choice. It is urgent (critical), and not kept for later.
//
// It is shown by a child process that runs as the session's user and talks to the
// notification service on the session's bus, whose socket must be root's or the user's. A
// service without buttons refuses with an error, as do one that ends and a bus that goes
// away. Yes and No are the buttons and nothing else: closing the notification, and a click
// beside the buttons, is Closed, as is a Yes in the first half second. A notification that
// the service takes down by itself is TimedOut. A desktop whose screen saver says on the
// session's bus that it locks the screen, as [X11] says, is not asked (Locked). The saver is asked
// again every two seconds, and after a Yes: once it does, the notification is taken down, and the answer
// is Locked. A lock that only the display shows, which [X11] sees, isn't seen here.
//
// Of the display, if the request names one, it makes use as [X11] does: one question at a time, whichever
// daemon asks and in whichever way ([consent.ErrBusy]), a server of root's or the user's
// ([consent.ErrDisplay]), and no question once that has ended ([consent.ErrGone]).
//
// See the Desktop Notifications Specification 1.2.
type Notify struct {
	// Command is run instead of this program, as [X11.Command] is.
	Command []string

	// Texts replace the words of the question, as [X11.Texts] do.
	Texts consent.Texts
}

// Ask implements [consent.Prompter]. If ctx has no deadline, r.Timeout is one.
func (p Notify) Ask(ctx context.Context, r consent.Request) (consent.Decision, error) {
	if err := p.Texts.Validate(); err != nil {
		return consent.Denied, err
	}
	argv, err := childCommand(p.Command)
	if err != nil {
		return consent.Denied, err
	}
	q := newQuestion(r, p.Texts)
	q.Notify = true
	var environ []string
	if r.Display != "" {
		environ = process.Environ(r.Display, r.Xauthority)
	}
	return askChild(ctx, argv, environ, r, q)
}

const (
	busTime   = 3 * time.Second // a bus may take to let the child in
	saverTime = 2 * time.Second // the bus may take to let the child in, for the screen savers
)

// errGone is the end of the display of the session that is asked.
var errGone = pkg.New("the X server went away")

// notify shows the notification, in the child, and returns the line that answers it. It
// takes the notification down before it returns, after SIGTERM, too.
func notify(ctx context.Context, q *question, lapse time.Time, display, xauthority string, shown func()) string {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if display != "" {
		x, refusal := takeTurn(ctx, display, xauthority)
		if refusal != "" {
			return refusal
		}
		go func() {
			select {
			case <-x.Gone():
				cancel(errGone)
			case <-ctx.Done():
			}
		}()
	}
	answer := notifyOn(ctx, q, time.Until(lapse), shown)
	if errors.Is(context.Cause(ctx), errGone) {
		return whyGone(display, xauthority)
	}
	return answer
}

// takeTurn makes the question the display's, as one in a window is. The line is why it isn't, or empty.
func takeTurn(ctx context.Context, display, xauthority string) (x *xconn.Conn, refusal string) {
	x, err := xconn.Dial(display, xauthority, connectTime)
	if err != nil {
		return nil, wordDisplay + " " + detail(err)
	}
	late := time.NewTimer(connectTime)
	defer late.Stop()
	select {
	case refusal = <-guarded(func() string {
		if err := dialog.TakeTurn(x); err != nil {
			return answerWord(dialog.No, err)
		}
		return ""
	}):
		return x, refusal
	case <-x.Gone():
		return nil, whyGone(display, xauthority)
	case <-late.C:
		return nil, wordDisplay + " the X server doesn't answer"
	case <-ctx.Done():
		return nil, failed(errEndedOutside)
	}
}

// notifyOn is notify without the display.
func notifyOn(ctx context.Context, q *question, left time.Duration, shown func()) string {
	if saverLocked(ctx, q.Bus) {
		return wordLocked
	}
	dialling, dialled := context.WithTimeout(ctx, busTime)
	conn, err := sessionbus.Dial(dialling, q.Bus)
	dialled()
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	answer, err := askUnlocked(ctx, conn, q, left, shown)
	switch {
	case errors.Is(err, errLocked):
		return wordLocked
	case err != nil:
		return failed(err)
	case answer == notification.Yes && saverLocked(ctx, q.Bus):
		return wordLocked // watchSaver hadn't asked yet
	case answer == notification.Yes:
		return wordYes
	case answer == notification.Closed:
		return wordClosed
	case answer == notification.Expired:
		return wordTimeout
	}
	return wordNo
}

// errLocked is a screen saver that came on while the notification was there.
var errLocked = pkg.New("the screen saver is on")

// askUnlocked shows the notification for as long as no screen saver is on, which else is
// errLocked.
func askUnlocked(ctx context.Context, conn *dbus.Conn, q *question, left time.Duration, shown func()) (notification.Answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	locked, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		watchSaver(ctx, q.Bus, locked)
		cancel(errLocked)
	}()
	answer, err := notification.Ask(ctx, conn, q.notification(left), shown)
	cancel(nil)
	<-watched
	select {
	case <-locked:
		return notification.No, errLocked
	default:
		return answer, err
	}
}

// saverLocked reports whether a screen saver says on the session's bus that the screen is locked, and
// wakes one that only makes it dark. Without
// a bus, or a saver, nobody knows.
func saverLocked(ctx context.Context, bus string) bool {
	dialling, dialled := context.WithTimeout(ctx, saverTime)
	conn, err := sessionbus.Dial(dialling, bus)
	dialled()
	if err != nil {
		return false
	}
	defer conn.Close()
	locked, _ := sessionbus.ScreenLocked(ctx, conn)
	return locked
}
