// Package shadow is the engine of session shadowing: an administrator asks to
// see a user's desktop session, the user is asked in the session, and on Yes
// one viewer (noVNC) may connect, watch, and only watch.
//
// A [Manager] runs it. Everything it needs from its host is a value in its
// [Config]: who the sessions are ([Resolver]), how the user is asked
// ([consent.Prompter]), where the picture comes from ([Source]), which ports
// viewers connect to, which certificate they see, and the two settings of the
// VDA. The program below serves the sessions of logind:
//
//	func main() {
//		desktop.Child() // a child of this program asks the question,
//		capture.Child() // and another captures the screen
//		m, err := shadow.New(shadow.Config{
//			Sessions: &sessions.Logind{},
//			Prompter: desktop.X11{},
//			Source:   &source.X11{},
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer m.Shutdown(context.Background())
//		grant, err := m.Shadow(context.Background(), shadow.Request{Session: "c2", Admin: `CORP\alice`})
//		if err != nil {
//			log.Fatal(err) // a *shadow.End says why
//		}
//		fmt.Println(grant.URL)
//		...
//	}
//
// It offers no network API (shadowd does), draws nothing itself, and never opens an X
// connection: whatever talks to a session is a child process that runs as the
// session's user.
package shadow
