package desktop_test

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop"
)

// The user of a display is asked in a window. A stand-in for the child that shows it, which the zero X11
// starts, answers No here.
func ExampleX11() {
	desktop.Child() // first thing in main; it doesn't return in the child
	ask := desktop.X11{Command: []string{"/bin/sh", "-c", "read question; echo shown; echo no"}}
	me, err := user.Current()
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := ask.Ask(context.Background(), consent.Request{
		Admin: `CORP\alice`, Host: "vda1.corp.example", Purpose: "INC-1234", Display: ":1",
		User: me.Username, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), // the session's user
	})
	fmt.Println(answer, err)
	// Output: denied <nil>
}
