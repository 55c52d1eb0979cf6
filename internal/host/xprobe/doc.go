// Package xprobe finds out whether a session's display can be reached with the
// session's cookie: it connects as the session's user, in a child process, and
// hangs up as soon as the X server has said who it is. In the same way it finds
// out whether the session's desktop has notifications that can ask. Nothing is
// drawn, read or changed.
//
//	func main() {
//		xprobe.Child() // the child is this program, started again
//		screen, err := xprobe.Probe(ctx, xprobe.Target{Display: ":1", Xauthority: "/home/alice/.Xauthority", Identity: alice})
//		if err != nil {
//			log.Fatal(err) // an *Error says whether it is the server or the cookie
//		}
//		fmt.Println(screen.Width, screen.Height)
//	}
//
// See X(7), Xsecurity(7), the X Window System Protocol, X Version 11, chapter
// 8, and the Desktop Notifications Specification 1.2.
package xprobe
