package shadow_test

import (
	"context"
	"fmt"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/sessions"
)

// An agent embeds the engine: here with one session that it knows, a prompter
// of its own, and an RFB server in memory as the source.
func Example() {
	m, err := shadow.New(shadow.Config{
		Sessions: sessions.Static{{ID: "42", Display: ":1", User: "root"}},
		Source:   &fakeSource{}, // a host has &source.X11vnc{} here
		Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
			fmt.Printf("%s asks to watch session %s\n", r.Admin, r.Session)
			return consent.Granted, nil
		}),
		Ports: &portpool.Pool{Host: "127.0.0.1", First: 16001, Last: 16099},
		Host:  "vda1.corp.example",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Shutdown(context.Background())

	grant, err := m.Shadow(context.Background(), shadow.Request{Session: "42", Admin: `CORP\alice`})
	if err != nil {
		fmt.Println(err) // a *shadow.End says why
		return
	}
	fmt.Printf("%s://%s, one viewer until %v\n", grant.Scheme, grant.Host, !grant.Expires.IsZero())
	// Output:
	// CORP\alice asks to watch session 42
	// ws://vda1.corp.example, one viewer until true
}
