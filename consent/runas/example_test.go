package runas_test

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/runas"
)

// A site's own program asks: its exit status is the answer. Here it refuses at once.
func Example() {
	ask := consent.Exec{Command: []string{"/bin/sh", "-c", "exit 1"}, Run: runas.Run}
	me, err := user.Current()
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := ask.Ask(context.Background(), consent.Request{
		Admin: `CORP\alice`, Session: "c2", Display: ":1",
		User: me.Username, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), // the session's user
	})
	fmt.Println(answer, err)
	// Output: denied <nil>
}
