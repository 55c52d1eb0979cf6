package shadow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// directory is a host with three accounts.
func directory(_ context.Context, name string) (account, full string, err error) {
	known := map[string][2]string{
		`CORP\alice`: {`CORP\alice`, "Alice Ng"}, "alice@corp.example": {`CORP\alice`, "Alice Ng"}, "mallory": {"mallory", "Mallory Moe"}, "kim": {"kim", ""},
	}
	if a, ok := known[name]; ok {
		return a[0], a[1], nil
	}
	return "", "", errors.New("no such account")
}

// Who asks: an account that calls where it is a person's, whatever it calls itself; for a service the
// account of the name that it states; otherwise nobody knows.
func TestIdentity(t *testing.T) {
	alice := consent.Identity{Account: `CORP\alice`, Name: "Alice Ng"}
	mallory := consent.Identity{Account: "mallory", Name: "Mallory Moe"}
	root, agent, nobody, dynamic := shadow.Caller{User: "root"}, shadow.Caller{UID: 999, User: "director"}, shadow.Caller{UID: 65534}, shadow.Caller{UID: 61184, User: "gate"}
	person := shadow.Caller{UID: 4242, User: "mallory"}
	for name, c := range map[string]struct {
		caller *shadow.Caller
		admin  string
		want   consent.Identity
		shown  string // Admin
	}{
		"root":                         {&root, `CORP\alice`, alice, `CORP\alice`},
		"by another name":              {&root, "alice@corp.example", alice, `CORP\alice`},
		"a service":                    {&agent, `CORP\alice`, alice, `CORP\alice`},
		"a dynamic user":               {&dynamic, `CORP\alice`, alice, `CORP\alice`},
		"nobody":                       {&nobody, `CORP\alice`, alice, `CORP\alice`},
		"a name that isn't there":      {&root, "bob", consent.Identity{}, "bob"},
		"cleaned before":               {&root, "CORP\\al\u200bice", alice, `CORP\alice`},
		"the caller isn't known":       {nil, `CORP\alice`, alice, `CORP\alice`},
		"a person":                     {&person, "mallory", mallory, "mallory"},
		"a person as somebody else":    {&person, `CORP\alice`, mallory, `CORP\alice`},
		"a person with no full name":   {&shadow.Caller{UID: 4243, User: "kim"}, `CORP\alice`, consent.Identity{Account: "kim"}, `CORP\alice`},
		"a person who isn't found":     {&shadow.Caller{UID: 4244, User: "lee"}, `CORP\alice`, consent.Identity{Account: "lee"}, `CORP\alice`},
		"a person with no name at all": {&shadow.Caller{UID: 4245}, `CORP\alice`, consent.Identity{Account: "4245"}, `CORP\alice`},
	} {
		t.Run(name, func(t *testing.T) {
			asked, b := make(chan consent.Request, 1), newFakeBanner()
			h := start(t, shadow.Config{Banner: b, Accounts: directory, Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
				asked <- r
				return consent.Granted, nil
			})})
			ctx := t.Context()
			if c.caller != nil {
				ctx = shadow.WithCaller(ctx, *c.caller)
			}
			g, err := h.Shadow(ctx, shadow.Request{Session: "s1", Admin: c.admin})
			require.NoError(t, err)
			r := next(t, asked)
			assert.Equal(t, c.want, r.Identity)
			assert.Equal(t, c.shown, r.Admin)
			view(t, g.URL)
			r = next(t, b.shown)
			assert.Equal(t, c.want, r.Identity, "the banner, too")
			assert.Equal(t, c.shown, r.Admin)
			e := h.until(t, shadow.EventConnected)
			assert.Equal(t, c.want.String(), e.Identity)
			assert.Equal(t, c.admin, e.Admin, "what was stated is recorded, too")
		})
	}
}

// Name services that hang, and those that panic, cost the name and not the question.
func TestIdentityThatHangs(t *testing.T) {
	var release chan struct{}
	for name, accounts := range map[string]func(context.Context, string) (string, string, error){
		"hang": func(ctx context.Context, _ string) (string, string, error) {
			<-ctx.Done()
			<-release
			return "alice", "", nil
		},
		"panic": func(context.Context, string) (string, string, error) { panic("oh dear") },
	} {
		t.Run(name, func(t *testing.T) {
			release = make(chan struct{})
			asked := make(chan consent.Request, 1)
			h := start(t, shadow.Config{Accounts: accounts, Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
				asked <- r
				return consent.Granted, nil
			})})
			h.TidyFor(50 * time.Millisecond)
			h.granted(t, "s1", "alice")
			assert.Zero(t, next(t, asked).Identity)
			ctx := shadow.WithCaller(t.Context(), shadow.Caller{UID: 4242, User: "mallory"})
			_, err := h.Shadow(ctx, shadow.Request{Session: "s1", Admin: "alice"})
			require.NoError(t, err)
			assert.Equal(t, consent.Identity{Account: "mallory"}, next(t, asked).Identity, "the kernel has said so much")
			close(release)
		})
	}
}

// Who was told No waits whatever name comes next, and whoever watches is named by the account.
func TestAskerIsTheAccount(t *testing.T) {
	asked := make(chan consent.Request, 9)
	says := consent.Granted
	h := start(t, shadow.Config{Accounts: directory, Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
		asked <- r
		return says, nil
	})})
	mallory := shadow.WithCaller(t.Context(), shadow.Caller{UID: 4242, User: "mallory"})
	g, err := h.Shadow(mallory, shadow.Request{Session: "s1", Admin: "boss"})
	require.NoError(t, err)
	next(t, asked)
	v := view(t, g.URL)
	v.update()
	h.until(t, shadow.EventConnected)

	says = consent.TimedOut
	_, err = h.Shadow(mallory, shadow.Request{Session: "s1", Admin: "somebody else"})
	require.ErrorContains(t, err, "timeout")
	assert.Empty(t, next(t, asked).Replaces, "it is the same person who asks again")
	_, err = h.ask("s1", "alice")
	require.ErrorContains(t, err, "timeout")
	r := next(t, asked)
	assert.Equal(t, "Mallory Moe (mallory)", r.Replaces)
	assert.False(t, r.ReplacesUnverified, "this host knows the account")

	says = consent.Denied
	_, err = h.Shadow(mallory, shadow.Request{Session: "s1", Admin: "boss"})
	require.ErrorContains(t, err, "denied")
	_, err = h.Shadow(mallory, shadow.Request{Session: "s1", Admin: "yet another name"})
	require.ErrorContains(t, err, "prompt_busy")
	_, err = h.ask("s1", "boss")
	require.ErrorContains(t, err, "denied", "it is another who asks by that name")
}

// Names are told apart as a gate's access table does it: what one is refused another may ask for.
func TestAskersOfLikeNames(t *testing.T) {
	h := start(t, shadow.Config{Prompter: answer(consent.Denied)})
	for _, name := range []string{"kim", "\u212Aim"} {
		_, err := h.ask("s1", name)
		require.ErrorContains(t, err, "denied", name)
	}
	_, err := h.ask("s1", "KIM")
	require.ErrorContains(t, err, "prompt_busy", "A to Z have no case")
}

// Who stops a view is recorded by the account's name, even if that is known only when the view has ended.
func TestStopperIsNamedLater(t *testing.T) {
	h := start(t, shadow.Config{})
	for _, c := range []struct{ known, later, want string }{{"", "director", "director"}, {"", "", ""}, {"known", "later", "known"}} {
		g := h.granted(t, "s1", "alice")
		var ended bool
		ctx := shadow.WithCallerName(shadow.WithCaller(t.Context(), shadow.Caller{UID: 7, User: c.known}), func() string {
			ended = h.PortsInUse() == 0
			return c.later
		})
		require.NoError(t, h.Stop(ctx, g.ID, shadow.StoppedByAdmin))
		assert.Equal(t, &shadow.Caller{UID: 7, User: c.want}, h.until(t, shadow.EventEnded).EndedBy)
		assert.Equal(t, c.known == "", ended, "the end waited for the name")
	}
}
