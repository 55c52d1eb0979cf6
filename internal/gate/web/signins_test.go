package web

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

// places are three sign-ins, the first the browser's own.
func places() []object {
	now := time.Now().UTC()
	place := func(id, browser, system, from string, since time.Duration, current bool) object {
		return object{"id": id, "current": current, "since": now.Add(-since).Format(time.RFC3339), "expires": now.Add(time.Hour).Format(time.RFC3339),
			"seen": now.Format(time.RFC3339), "from": from, "browser": browser, "system": system}
	}
	return []object{place("a1", "Chrome", "Linux", "192.0.2.7", time.Hour, true), place("b2", "Firefox", "Windows", "198.51.100.23", 26*time.Hour, false),
		place("c3", "<img src=x onerror=alert(1)>", "", "2001:db8::17", time.Minute, false)}
}

// endSignIns is the gate's answer to an end of sign-ins.
func (g *gate) endSignIns(w http.ResponseWriter, r *http.Request) {
	var body object
	if !read(w, r, &body) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = append(g.ended, body)
	if g.proof == "password" && body["password"] != "right" {
		problem(w, 403, object{"reason": "prove_again", "title": "show once more that it is you"})
		return
	}
	g.places = slices.DeleteFunc(g.places, func(p object) bool { return p["current"] == false && (body["others"] == true || p["id"] == body["id"]) })
	w.WriteHeader(204)
}

// Where I am signed in: one is ended, then all others, by pointer, by keyboard, and where the password is asked for.
func TestSignIns(t *testing.T) {
	g := startGate(t)
	g.places = places()
	p := g.open(t, "/me")
	p.says(".signins tbody", "Firefox on Windows")
	p.says(".signins tbody", "This browser")
	p.says(".signins tbody", "<img src=x onerror=alert(1)>")
	assert.Equal(t, 2, eval[int](p, `document.querySelectorAll(".signins tbody button").length`), "one's own ends by signing out")
	p.accessible("sign-ins")

	eval[any](p, `document.querySelectorAll(".signins tbody button")[0].focus()`)
	p.do(chromedp.KeyEvent("\r"))
	p.says("dialog", "End this sign-in?")
	p.says("dialog", "Firefox on Windows, from 198.51.100.23")
	p.accessible("ending a sign-in")
	p.click("dialog button", "Cancel")
	p.until(`!document.querySelector("dialog")`)
	p.click(".signins tbody button", "End")
	p.click("dialog button", "End")
	p.says(".signins [role=status]", "Ended.")
	p.until(`document.activeElement === document.querySelector(".signins h2") && document.querySelectorAll(".signins tbody tr").length === 2`)

	g.set(func() { g.proof = "password" })
	p.do(chromedp.Navigate(g.URL + "/me"))
	p.click(".signins button", "End all others")
	p.fill("dialog input", "wrong\r")
	p.says("dialog [role=status]", "The password is wrong")
	p.accessible("a wrong password")
	p.fill("dialog input", "right\r")
	p.says(".signins", "You are signed in nowhere else.")
	assert.Equal(t, "[map[id:b2] map[others:true password:wrong] map[others:true password:right]]", fmt.Sprint(g.ended))
	p.accessible("signed in nowhere else")
}

// Who has signed in at a provider does so again; a proxy's people are told what that proxy does.
func TestSignInsOfAProvider(t *testing.T) {
	g := startGate(t)
	g.places, g.proof = places(), "oidc"
	g.partly = true
	g.me["method"] = "oidc"
	p := g.open(t, "/me")
	p.says(".signins", "You may be signed in at more places than are listed")
	p.click(".signins button", "End all others")
	p.says("dialog", "sign in once more")
	assert.Equal(t, "/signin/oidc?again=1&next=%2Fme", eval[string](p, `document.querySelector("dialog a").getAttribute("href")`))
	p.accessible("signing in again")

	g.set(func() { g.proof, g.me["method"] = "", "header" })
	p = g.open(t, "/me")
	p.click(".signins button", "End all others")
	p.says("dialog", "proxy may sign that browser in again")
}
