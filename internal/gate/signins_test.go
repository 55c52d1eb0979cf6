package gate_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

const firefoxOnLinux = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// signIns is where c's owner is signed in.
func signIns(c *testgate.Client) gate.SignInList {
	var list gate.SignInList
	c.Get("/api/v1/me/signins", &list)
	return list
}

// One's own sign-ins are listed, and ended with all that they have going on, one or all others; nobody else's are.
func TestSignIns(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	first, second, third, helen := g.SignIn("alice"), g.SignIn("alice"), g.SignIn("alice"), g.SignIn("helen")
	second.Header.Set("User-Agent", firefoxOnLinux)
	second.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)

	list := signIns(second)
	require.Len(t, list.SignIns, 3)
	require.True(t, list.Whole)
	require.Empty(t, list.Proof, "it has just signed in")
	mine := list.SignIns[0]
	require.True(t, mine.Current)
	require.Equal(t, "127.0.0.1", mine.From)
	for _, other := range list.SignIns[1:] {
		require.False(t, other.Current)
		require.Equal(t, "Go-http-client", other.Browser)
	}
	require.Len(t, signIns(helen).SignIns, 1)

	view := second.View(second.Ask("s1").ID)
	theirs := signIns(helen).SignIns[0].ID
	refused(t, first, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{ID: theirs}, http.StatusNotFound, "")
	refused(t, first, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{}, http.StatusBadRequest, "")
	refused(t, first, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{ID: mine.ID, Others: true}, http.StatusBadRequest, "")
	first.Do(http.MethodPost, "/api/v1/me/signins/end", gate.Ending{ID: mine.ID}, http.StatusNoContent)
	refused(t, second, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	_, _ = view.End()
	require.Len(t, signIns(third).SignIns, 2)
	refused(t, first, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{ID: mine.ID}, http.StatusNotFound, "")

	first.Do(http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true}, http.StatusNoContent)
	refused(t, third, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	helen.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	require.Len(t, signIns(first).SignIns, 1)
	again := g.SignIn("alice") // in the same second
	require.Len(t, signIns(again).SignIns, 2)
	require.Equal(t, 2, strings.Count(g.Log.String(), "signed out elsewhere"))
}

// What the gate knew before a restart it knows afterwards; what it never knew is ended with the others all the same.
func TestSignInsAfterARestart(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	c, other := g.SignIn("alice"), g.SignIn("alice")
	require.Len(t, signIns(c).SignIns, 2)
	g.Stop()
	next := testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address()})
	c.Gate, other.Gate = next, next
	require.Len(t, signIns(c).SignIns, 2, "the other hasn't come back yet")

	elsewhere := testgate.New(t, d, testgate.Options{Dir: g.Dir, SignIn: func(c *signin.Config) { c.Board, c.Ended = nil, nil }})
	unknown := elsewhere.SignIn("alice")
	unknown.Gate = next
	c.Do(http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true}, http.StatusNoContent)
	refused(t, unknown, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	refused(t, other, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	next.Stop()
	last := testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address()})
	c.Gate, unknown.Gate = last, last
	refused(t, unknown, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
}

// Whoever has a cookie only can't end its owner's sign-ins, once a sign-in isn't new any more; guessing the password is limited.
func TestEndingNeedsProof(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	c, other := g.SignIn("alice"), g.SignIn("alice")
	g.Stop()
	late := testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address(), SignIn: func(c *signin.Config) {
		c.Now = func() time.Time { return time.Now().Add(signin.ProofTime + time.Minute) }
	}})
	c.Gate, other.Gate = late, late
	require.Equal(t, "password", signIns(c).Proof)
	p := refused(t, c, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true}, http.StatusForbidden, "prove_again")
	require.Contains(t, p.Detail, "password")
	other.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	for range 5 {
		refused(t, c, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true, Password: "a guess of hers"}, http.StatusForbidden, "prove_again")
	}
	refused(t, c, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true, Password: "a guess of hers"}, http.StatusTooManyRequests, "too_many")
	require.NotContains(t, late.Log.String(), "a guess of hers")
	late.Stop()
	fresh := testgate.New(t, d, testgate.Options{Dir: g.Dir, Listen: g.Address(), SignIn: func(c *signin.Config) {
		c.Now = func() time.Time { return time.Now().Add(signin.ProofTime + time.Minute) }
	}})
	c.Gate, other.Gate = fresh, fresh
	c.Do(http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true, Password: testgate.Password}, http.StatusNoContent)
	refused(t, other, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
}

// A script's token isn't a sign-in.
func TestTokenHasNoSignIns(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	_, text, err := g.Desk.Tokens.Add("script", []string{"administrators"}, time.Now().Add(time.Hour))
	require.NoError(t, err)
	c := g.Client()
	c.Header.Set("Authorization", "Bearer "+text)
	require.Empty(t, signIns(c).SignIns)
	refused(t, c, http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true}, http.StatusForbidden, "")
}

// A new sign-in of a browser takes the old one's place: copies of the old cookie are worth nothing.
func TestSignInReplacesTheOldOne(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	c := g.SignIn("alice")
	thief := g.Client()
	thief.HTTP.Jar.SetCookies(mustURL(t, g.URL), c.Cookies())
	thief.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
	c.Do(http.MethodPost, "/api/v1/signin", gate.Credentials{Name: "alice", Password: testgate.Password}, http.StatusNoContent)
	refused(t, thief, http.MethodGet, "/api/v1/me", nil, http.StatusUnauthorized, "sign_in")
	require.Len(t, signIns(c).SignIns, 1)
}

// Somebody whom a proxy states is signed in where a cookie comes back, and may end the others.
func TestSignInsByHeader(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{SignIn: func(c *signin.Config) {
		c.Header = &signin.Header{Name: "X-Remote-User", Groups: "X-Remote-Groups", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	}})
	browser := func() *testgate.Client {
		c := g.Client()
		c.Header.Set("X-Remote-User", "alice")
		c.Header.Set("X-Remote-Groups", "administrators")
		c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
		c.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK)
		return c
	}
	c, other := browser(), browser()
	view := other.View(other.Ask("s1").ID)
	list := signIns(c)
	require.Len(t, list.SignIns, 2)
	require.Empty(t, list.Proof)
	c.Do(http.MethodPost, "/api/v1/me/signins/end", gate.Ending{Others: true}, http.StatusNoContent)
	_, _ = view.End()
	other.Do(http.MethodGet, "/api/v1/me", nil, http.StatusOK) // as a new one, by the proxy's word
}
