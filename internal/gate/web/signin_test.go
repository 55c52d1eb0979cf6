package web

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

func TestSignIn(t *testing.T) {
	g := startGate(t)
	g.signedIn = false
	g.row("vda1", "2", nil)
	p := g.open(t, "/activity?admin=x")
	p.says("h1", "Sign in")
	assert.Equal(t, "/signin?next=%2Factivity%3Fadmin%3Dx", eval[string](p, `location.pathname + location.search`))

	p.fill(`input[name="username"]`, "alice")
	p.fill(`input[name="password"]`, "wrong")
	p.click(".check label", "Show password")
	p.until(`document.querySelector('input[name="password"]').type === "text"`)
	p.accessible("a password that is shown")
	p.fill(`input[name="password"]`, "wrong\r")
	p.says("[role=status]", "Name or password is wrong")
	assert.Empty(t, eval[string](p, `document.querySelector('input[type="password"]').value`))
	p.accessible("signing in, refused")

	g.set(func() { g.wait = 2 })
	p.fill(`input[name="password"]`, "right\r")
	p.says("[role=status]", "Too many attempts")
	p.until(`document.querySelector("form button").disabled`)
	g.set(func() { g.wait = 0 })
	p.click("form button", "Sign in")
	p.says("h1", "Activity")
	assert.Equal(t, "/activity?admin=x", eval[string](p, `location.pathname + location.search`))
	assert.Equal(t, 0, eval[int](p, `Object.keys(localStorage).length + Object.keys(sessionStorage).length`), "nothing is kept")

	p.click("button", "Sign out")
	p.says("h1", "Sign in")
	p.do(chromedp.Navigate(g.URL + "/me"))
	p.says("h1", "Sign in")
}

// Whoever has signed in goes to a page of this console, whatever the address says.
func TestSignInGoesNowhereElse(t *testing.T) {
	g := startGate(t)
	for _, next := range []string{"https://evil.example/", "//evil.example/", `/\evil.example/`, "javascript:alert(1)", "/%09/evil.example", "/.//evil.example/", "/me/..//evil.example/", "/signin?next=/me", "me"} {
		g.set(func() { g.signedIn = false })
		p := g.open(t, "/signin?next="+next)
		p.fill(`input[name="username"]`, "alice")
		p.fill(`input[name="password"]`, "right\r")
		p.says("h1", "Sessions")
		assert.Equal(t, g.URL+"/", eval[string](p, "location.href"), next)
	}
}

func TestSignInElsewhere(t *testing.T) {
	g := startGate(t)
	g.signedIn = false
	g.methods = []string{"oidc", "password"}
	p := g.open(t, "/signin?next=/me&error=provider")
	p.says("[role=status]", "The identity provider doesn't answer")
	p.says("a.button", "Sign in with Keycloak")
	assert.Equal(t, g.URL+"/signin/oidc?next=%2Fme", eval[string](p, `document.querySelector("a.button").href`))
	p.accessible("signing in at a provider")

	p = g.open(t, "/signin?error=exit")
	p.says("[role=status]", "You are signed out here")

	p = g.open(t, "/signin?error=clock")
	p.says("[role=status]", "A clock is wrong")

	g.set(func() { g.methods = []string{"header"} })
	p = g.open(t, "/signin")
	p.says("[role=status]", "You are not signed in")
	g.set(func() { g.signedIn = true })
	p = g.open(t, "/signin")
	p.says("h1", "Sessions")
}

// A session that has ended leads to signing in, and back.
func TestSignedOutMeanwhile(t *testing.T) {
	g := startGate(t)
	g.row("vda1", "2", nil)
	p := g.open(t, "/")
	p.says(".list", "vda1")
	g.set(func() { g.signedIn = false })
	g.send("sessions", "")
	p.says("h1", "Sign in")
	assert.Equal(t, "?next=%2F", eval[string](p, "location.search"))
}

// A browser whose clock is off is told by how much, for the times that it shows are the gate's.
func TestClockOfTheBrowser(t *testing.T) {
	g := startGate(t)
	p := g.open(t, "/me", withScript("{ const now = Date.now; Date.now = () => now() + 600_000; }"))
	p.says(".warn", "The clocks of this device and of the console differ by 10:0")
	p.accessible("a clock that is off")
	p = g.open(t, "/me")
	p.says("h1", "About me")
	assert.Empty(t, p.text(".warn"))
}

func TestGateThatDoesNotAnswer(t *testing.T) {
	g := startGate(t)
	p := g.open(t, "/me")
	p.says("h1", "About me")
	g.row("vda1", "2", nil)
	p.click("nav a", "Sessions")
	p.says(".list", "vda1")
	g.Listener.Close()
	g.CloseClientConnections()
	p.says(".warn", "The connection to the gate was lost")
	assert.Contains(t, p.text(".list"), "vda1", "the list stays")
	p.accessible("the gate is lost")
}
