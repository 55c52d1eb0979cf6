package sessions_test

import (
	"context"
	"fmt"

	"vda.internal/shadow/sessions"
)

// A kiosk whose X server no login manager has started.
func ExampleStatic() {
	list := sessions.Static{{ID: "front-desk", Display: ":1", User: "root"}}
	s, err := list.Session(context.Background(), "front-desk")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.User, s.Display)
	// Output: root :1
}
