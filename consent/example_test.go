package consent_test

import (
	"context"
	"fmt"
	"strings"

	"vda.internal/shadow/consent"
)

// A prompter of one's own: a help desk that has the user on the telephone.
func ExampleFunc() {
	ask := consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		if strings.HasPrefix(r.Purpose, "CALL-") {
			return consent.Granted, nil
		}
		return consent.Denied, nil
	})
	answer, err := ask.Ask(context.Background(), consent.Request{Admin: `CORP\alice`, Purpose: "CALL-17"})
	fmt.Println(answer, err)
	// Output: granted <nil>
}

func ExampleCleanName() {
	fmt.Printf("%q\n", consent.CleanName("alice\u202e\n(trusted)"))
	// Output: "alice (trusted)"
}
