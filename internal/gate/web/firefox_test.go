package web

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/internal/testfirefox"
)

// A fox is a Firefox that tests look at.
type fox struct{ *testfirefox.Browser }

// press clicks a button or link by its text once it is there.
func (f fox) press(selector, text string) {
	f.Until(`(() => { const e = [...document.querySelectorAll(%s)].find((e) => e.innerText.replace(/[\u2068\u2069]/g, "").trim() === %s && !e.disabled); e?.click(); return e; })()`, quote(selector), quote(text))
}

// says waits until an element shows a text somewhere, whatever isolates names, and on however many lines.
func (f fox) says(selector, text string) {
	f.Until(`(document.querySelector(%s)?.innerText ?? "").replace(/[\u2068\u2069]/g, "").replace(/\s+/g, " ").includes(%s)`, quote(selector), quote(text))
}

// types moves the focus to an element once it is there, and types.
func (f fox) types(selector, keys string) {
	f.Until(`(() => { const e = document.querySelector(%s); e?.select?.(); e?.focus(); return e; })()`, quote(selector))
	f.Keys(keys)
}

// chooses has an option of a select chosen.
func (f fox) chooses(selector, value string) {
	f.Until(`(() => { const e = document.querySelector(%s); if (e) { e.value = %s; e.dispatchEvent(new Event("change")); } return e; })()`, quote(selector), quote(value))
}

// sees waits until the picture has a colour at a place.
func (f fox) sees(selector string, x int, colour string) {
	f.Until(`[...document.querySelector(%s).getContext("2d").getImageData(%d, 10, 1, 1).data].slice(0, 3).join() === %s`, quote(selector), x, quote(colour))
}

const enter = "\ue007"

// Every page and flow in Firefox ESR, in the order in which somebody would come by.
func TestFirefox(t *testing.T) {
	g := startGate(t)
	port := startPort(t, time.Hour)
	firefox := testfirefox.Start(t, 10*time.Minute)
	g.set(func() { g.signedIn = false })
	fill(g, 1000)
	g.row("vda1", "2", object{"monitors": monitors})
	for _, step := range []struct {
		name string
		goes func(*testing.T, *gate, fox)
	}{
		{"sign in", foxSignsIn}, {"sessions", foxSessions}, {"ask", foxAsks}, {"view", foxViews}, {"ends", foxEnds},
		{"activity", foxActivity}, {"about me", foxMe}, {"sign out", foxSignsOut},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.goes(t, g, fox{firefox.For(t)}) }) {
			return
		}
	}
	t.Run("granted port", func(t *testing.T) { foxGranted(t, port, fox{firefox.For(t)}) })
	assert.Empty(t, g.questions)
}

func foxSignsIn(t *testing.T, g *gate, f fox) {
	f.Open(g.URL + "/activity")
	f.Until(`document.activeElement?.name === "username"`)
	f.Keys("alice\ue004wrong" + enter)
	f.says("[role=status]", "Name or password is wrong")
	g.set(func() { g.wait = 2 })
	f.types("input[type=password]", "right"+enter)
	f.says("[role=status]", "Too many attempts")
	g.set(func() { g.wait = 0 })
	f.press("form button", "Sign in")
	f.says("h1", "Activity")
}

func foxSessions(t *testing.T, g *gate, f fox) {
	f.press("nav a", "Sessions")
	f.says(".count", "1,001 in all")
	f.types("#search", "vda1 ")
	f.says(".count", "1 of 1,001")
	g.row("vda1", "2", object{"shadowable": false, "reason": "locked"})
	f.says(".list", "The screen is locked")
	g.gone("vda1", "2")
	f.says(".empty", "No session matches")
	g.row("vda1", "2", object{"monitors": monitors})
	f.says(".list", "Can be viewed")
}

func foxAsks(t *testing.T, g *gate, f fox) {
	f.types("#search", "vda1 \ue015"+enter) // down, Enter
	f.says("dialog[open] h2", "View the screen of bob on vda1?")
	f.types("dialog textarea", "INC-1")
	f.chooses("dialog select", "DP-2")
	f.press("dialog button", "Ask the user")
	q := next(t, g.questions)
	assert.Equal(t, object{"host": "vda1", "session": "2", "purpose": "INC-1", "monitor": "DP-2"}, q.body)
	f.Until(`/^(20|1?\d) s$/.test(document.querySelector(".number").innerText)`)
	q.refuse(409, "denied", nil)
	f.says("dialog", "The user said No")
	f.press("dialog button", "Ask again")
	f.press("dialog button", "Ask the user")
	q = next(t, g.questions)
	f.Keys("\ue00c") // Esc takes it back
	next(t, q.done)
	f.Until(`!document.querySelector("dialog")`)
}

func foxViews(t *testing.T, g *gate, f fox) {
	f.press(".row button", "Ask to view")
	f.press("dialog button", "Ask the user")
	g.grant(next(t, g.questions), "v1")
	s := next(t, g.screens)
	f.says(".badge", "Live, view only")
	f.says("h1", "bob on vda1")
	f.sees(".target canvas", 10, left)
	f.sees(".target canvas", 630, right)
	f.press(".tools button", "1:1")
	f.Until(`document.querySelector(".target canvas").getBoundingClientRect().width === 640 / devicePixelRatio`)
	f.chooses(".tools select", "DP-2")
	f.Until(`document.querySelector(".window").getBoundingClientRect().width === 320 / devicePixelRatio`)
	f.press(".tools button", "Fit")

	shadow := object{"id": "v1", "admin": `CORP\alice`, "state": "viewing", "mine": true}
	for _, is := range []struct {
		paused bool
		badge  string
	}{{true, "Paused by the user"}, {false, "Live, view only"}} {
		g.set(func() { g.shadows["v1"]["paused"] = is.paused })
		now := maps.Clone(shadow)
		now["paused"] = is.paused
		g.row("vda1", "2", object{"monitors": monitors, "shadow": now})
		f.says(".badge", is.badge)
	}
	f.sees(".target canvas", 10, left)

	s.drop()
	f.says(".badge", "Cut off, coming back")
	s = next(t, g.screens)
	f.sees(".target canvas", 10, left)
	f.Open(g.URL + "/view/v1") // loaded anew
	next(t, s.gone)
	s = next(t, g.screens)
	f.sees(".target canvas", 10, left)
	g.set(func() { g.events = happened() })
	f.press("button", "Stop")
	next(t, s.gone)
	f.says(".over", "An administrator stopped the view")
	f.press("a", "Sessions")
	f.says("h1", "Sessions")
}

func foxEnds(t *testing.T, g *gate, f fox) {
	words := catalogue(t, sharedWords, "en")
	for _, reason := range []string{"session_ended", "stopped_by_user", "superseded", "source_failed", "shutdown", "viewed_elsewhere"} {
		g.begin("v2", "vda1", "2")
		f.Open(g.URL + "/view/v2")
		s := next(t, g.screens)
		f.says(".badge", "Live, view only")
		s.close(4001, reason)
		f.says(".over", words["end."+reason][0])
		f.says(".over", words["end."+reason][1])
	}
	g.begin("v2", "vda1", "2")
	f.Open(g.URL + "/")
	f.says("h1", "Sessions")
	f.Until(`(history.pushState(null, "", "/view/v2"), dispatchEvent(new PopStateEvent("popstate")), true)`)
	s := next(t, g.screens)
	f.says(".badge", "Live, view only")
	f.Until(`(history.back(), true)`)
	next(t, s.gone) // leaving the page ends the view
	f.says("h1", "Sessions")
}

func foxActivity(t *testing.T, g *gate, f fox) {
	f.press("nav a", "Activity")
	for _, words := range []string{"The user said Yes", "The user stopped the view", "1.23 MB sent", "Reason: INC-1234 flickers"} {
		f.says("tbody", words)
	}
	f.types(`form input:not([type="search"])`, "eve")
	f.press("form button", "Show")
	f.says(".count", "1 shown")
	f.Until(`[...document.querySelectorAll("a[download]")].map((a) => a.getAttribute("href")).join() === "/api/v1/activity?admin=eve&format=csv,/api/v1/activity?admin=eve&format=jsonl"`)
	f.press("a", "Clear")
	f.press("tbody a", "Ended")
	f.says("h1", "4k7qz2ha")
	f.says(".count", "7 shown")
}

func foxMe(t *testing.T, g *gate, f fox) {
	g.set(func() { g.places, g.proof = places(), "password" })
	f.press("nav a", "About me")
	f.says(".signins tbody", "Firefox on Windows")
	f.press(".signins button", "End all others")
	f.types("dialog input", "right"+enter)
	f.says(".signins", "You are signed in nowhere else.")
	f.says("dl", `CORP\alice`)
	f.says("dl", "helpdesk")
	f.says("tbody", "stop views")
	f.chooses("footer select", "de")
	f.says("h1", "Über mich")
	f.chooses("footer select", "en")
	f.says("h1", "About me")
}

func foxSignsOut(t *testing.T, g *gate, f fox) {
	f.press("button", "Sign out")
	f.says("h1", "Sign in")
	f.Open(g.URL + "/me")
	f.says("h1", "Sign in")
}

func foxGranted(t *testing.T, g *gate, f fox) {
	f.Open(g.URL + "/")
	f.says("h1", "This address is incomplete")
	f.Open(g.URL + "/?#TOKEN")
	s := next(t, g.screens)
	f.Until(`document.body.dataset.state === "live"`)
	f.sees("canvas", 10, left)
	g.set(func() { g.away = true })
	s.drop()
	f.says("h1", "The connection was lost")
	g.set(func() { g.away = false })
	s = next(t, g.screens)
	f.sees("canvas", 630, right)
	s.close(4002, "stopped_by_user")
	f.says("h1", "The user stopped the view")
}
