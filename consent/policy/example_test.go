package policy_test

import (
	"fmt"

	"vda.internal/shadow/consent/policy"
)

func ExampleRules_Decide() {
	rules := policy.Rules{
		{Users: []string{"kiosk*"}, Answer: policy.Notify},
		{Groups: []string{"interns"}, Answer: policy.Deny},
	}
	for _, r := range []policy.Request{
		{Admin: `CORP\alice`, User: "kiosk3"},
		{Admin: `CORP\ian`, Groups: []string{"interns"}, User: "ann"},
		{Admin: `CORP\alice`, User: "ann"},
	} {
		v := rules.Decide(r)
		fmt.Println(v.Name(), v.Answer)
	}
	// Output:
	// 1 notify
	// 2 deny
	// none ask
}
