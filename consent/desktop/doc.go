// Package desktop asks a session's user on the session's own desktop, and says there who is
// viewing.
//
// [X11] is the prompter and the banner for real sessions. It shows a window of its own on the
// session's display, from a child process that runs as the session's user, so that the daemon
// never opens an X connection and nothing that goes wrong in one (a crash, a hang, a dead or
// hostile X server) is more than a refusal. [Notify] asks in a notification of the desktop. The
// child is the host program itself, executed again; so main begins with [Child]:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"os"
//		"time"
//
//		"vda.internal/shadow/consent"
//		"vda.internal/shadow/consent/desktop"
//	)
//
//	func main() {
//		desktop.Child()
//		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
//		defer cancel()
//		answer, err := desktop.X11{}.Ask(ctx, consent.Request{
//			Admin:      `CORP\alice`,
//			Host:       "vda1.corp.example",
//			Display:    os.Getenv("DISPLAY"),
//			Xauthority: os.Getenv("XAUTHORITY"),
//			UID:        uint32(os.Getuid()),
//			GID:        uint32(os.Getgid()),
//		})
//		fmt.Println(answer, err)
//	}
//
// # Between X11 or Notify and its child
//
// The child gets DISPLAY, which a notification may do without, XAUTHORITY if there is one, and nothing else
// in its environment; and one line of JSON on standard input, of at most 65536
// bytes. It holds finished sentences. For a question it is, without the line breaks here:
//
//	{"question":{"language":"en",
//	"head":[{"text":"CORP\\alice","role":"name"},{"text":" wants to view your screen"}],
//	"doubt":[…],"sees":[…],"cannot":[…],"replaces":[…],"watcher":[…],"purpose":[…],"locks":[…],
//	"countdown":[{"text":"No answer in "},{"role":"seconds"},{"text":" s counts as No"}],
//	"no":"No","yes":"Yes","timeout_ms":20000,"bus":"unix:path=/run/user/1000/bus","notify":false,"bell":false}}
//
// With "notice_ms":5000 and "basis":[…] it is a notice, which has no Yes: the child shows the
// basis, too, and answers yes when it has been in view for that time, or no when its button is
// pressed. With "seen_ms":5000, where silence is a Yes, a window says "seen" when it has been in view for that time;
// else nobody's silence counts. A notification never says it.
//
// See [consent.Wording] for the sentences; replaces is there only if a Yes ends somebody's
// viewing, watcher only if that one's name is merely claimed, purpose only if the administrator has given a
// reason, doubt only if something is merely claimed of who asks, and locks only if locking the screen is a Yes. With notify the question is a notification, else a window.
//
// The child answers on standard output in lines of at most 512 bytes. "shown" says that the
// question is on the screen. But for "seen", once, exactly one line follows, and then the child exits with status 0:
//
//	yes              the user said Yes; counts only after shown
//	no               the user said No
//	closed           the question was closed, or the window's connection killed
//	timeout          the notification was taken down by its service; counts only after shown
//	locked           the screen is locked; instead of shown, or after it
//	busy             another question is on the display; instead of shown
//	gone             the X server went away
//	display DETAIL   the X server could not be reached; instead of shown, too
//	failed DETAIL    anything else; instead of shown, too
//
// For the banner the line is
//
//	{"banner":{"language":"en","viewing":[…],"doubt":[…],"purpose":[…],"basis":[…],"stop":"Stop","ended":[…],"bus":"unix:path=…","why":"The viewer disconnected"}}
//
// in which "toggle" names another button, if there is one, and "left_ms" is the time for the seconds in
// "viewing". Standard input stays open: a line that begins with a tab and goes on like this one changes
// all of it. One more line says why viewing has ended, which the child
// shows with the sentence "ended" for some seconds, and the end of the input,
// before or after that line, takes the banner down at once. If "why" isn't empty, it holds
// these words already: the child shows nothing else, from the beginning, and there is no
// second line. The child answers "shown", and "alive" every four seconds after that as long as
// the X server answers it: a child that says nothing for ten seconds is ended, and the view
// with it, as its Stop would not be heard. "stopped" says, once, that the user has pressed
// Stop, and "pause" or "resume" what a press of the other button means, which is ignored if the
// viewing isn't in that state any more; the child stays, and is told why viewing has ended as ever. At the end it says
//
//	over             it was told that viewing has ended
//	unseen           the screen doesn't show the banner any more, which ends the view
//
// or closed, which is a Stop, too, or gone, display or failed.
//
// For {"turn":{}} the child shows nothing, and keeps others from asking on the display until its standard
// input ends: it answers shown when it has the turn, and at the end over, or busy, gone, display or
// failed.
//
// Everything that departs from this refuses, with an error: another word,
// another order, bytes after the answer, another exit status, no answer. The
// seconds that the child shows are decoration; the context of Ask decides, and
// an answer that comes after its end does not count.
//
// The child belongs to the session's user, who could make it say Yes as well as
// press the button. Consent is that user's to give, so nothing is lost by it.
package desktop
