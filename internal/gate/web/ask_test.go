package web

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

var monitors = []object{
	{"name": "DP-1", "x": 0, "y": 0, "width": 320, "height": 240, "primary": true},
	{"name": "DP-2", "x": 320, "y": 0, "width": 320, "height": 240},
}

func TestAsk(t *testing.T) {
	g := startGate(t)
	g.hosts = []object{{"id": "vda1", "name": "vda1.corp.example", "state": "up", "purpose": "required", "timeout": 20}}
	g.row("vda1", "2", object{"monitors": monitors})
	p := g.open(t, "/")
	p.click(".row button", "Ask to view")
	p.says("dialog h2", "View the screen of bob on vda1?")
	p.accessible("the dialog")

	// The host wants a reason.
	p.click("dialog button", "Ask the user")
	p.until(`document.activeElement === document.querySelector("dialog textarea:invalid")`)
	p.do(chromedp.KeyEvent("INC-1234"))
	p.do(chromedp.SetValue(chromedp.CSS("dialog select"), "DP-2"))
	p.click("dialog button", "Ask the user")
	q := next(t, g.questions)
	assert.Equal(t, object{"host": "vda1", "session": "2", "purpose": "INC-1234", "monitor": "DP-2"}, q.body)
	p.says("dialog", "Asking bob")
	p.until(`/^(20|1\d) s$/.test(document.querySelector(".number").innerText)`)
	p.accessible("the user is asked")

	// The question can be taken back.
	p.click("dialog button", "Take the question back")
	next(t, q.done)
	p.until(`!document.querySelector("dialog")`)
	p.until(`document.activeElement.matches(".row")`)

	// Esc does the same.
	p.do(chromedp.KeyEvent(kb.Enter))
	p.fill("dialog textarea", "INC-1234")
	p.click("dialog button", "Ask the user")
	q = next(t, g.questions)
	p.do(chromedp.KeyEvent(kb.Escape))
	next(t, q.done)
	p.until(`!document.querySelector("dialog")`)
}

func TestRefusalsInWords(t *testing.T) {
	g := startGate(t)
	g.row("vda1", "2", nil)
	p := g.open(t, "/?ask=vda1%2F2")
	words := catalogue(t, ownWords, "en")
	p.click("dialog button", "Ask the user")
	for _, reason := range shadow.Reasons() {
		q := next(t, g.questions)
		q.refuse(409, string(reason), object{"detail": "a detail of " + string(reason)})
		if reason == shadow.PurposeMissing {
			p.says("dialog", "A reason is needed")
			p.until(`document.activeElement.matches("dialog textarea[required]")`)
			p.do(chromedp.KeyEvent("INC-1"))
			p.click("dialog button", "Ask the user")
			continue
		}
		p.says("dialog", "a detail of "+string(reason))
		if sentences := words["why."+string(reason)]; sentences != nil {
			p.says("dialog", sentences[0])
			p.says("dialog", sentences[1])
		}
		p.until(`document.activeElement.innerText === "Ask again"`)
		if reason == shadow.Denied {
			p.accessible("refused")
		}
		p.do(chromedp.KeyEvent(kb.Enter))
		p.click("dialog button", "Ask the user")
	}
	// Somebody who was told No waits.
	next(t, g.questions).refuse(409, "prompt_busy", object{"retry_after": 2})
	p.says("dialog", "The user can't be asked now")
	p.until(`[...document.querySelectorAll("dialog button")].some((b) => b.disabled && /^Ask again in [12] s$/.test(b.innerText))`)
	p.accessible("refused for a time")
	p.click("dialog button", "Ask again")
	// A host that is gone has no reason.
	p.click("dialog button", "Ask the user")
	next(t, g.questions).refuse(502, "", object{"detail": "connection refused"})
	p.says("dialog", "The host doesn't answer")
	p.says("dialog", "connection refused")
}

// What happens to the session while the dialog is open is said there.
func TestSessionThatChangesUnderTheDialog(t *testing.T) {
	g := startGate(t)
	g.row("vda1", "2", nil)
	p := g.open(t, "/?ask=vda1%2F2")
	p.says("dialog", "The user is asked first")
	g.row("vda1", "2", object{"shadow": object{"id": "x", "admin": "eve", "state": "viewing"}})
	p.says("dialog", "eve is viewing now. A Yes ends that view.")
	g.row("vda1", "2", object{"shadowable": false, "reason": "locked", "detail": "since 9:00"})
	p.says("dialog", "The screen is locked")
	p.says("dialog", "since 9:00")
	p.accessible("a session that can't be viewed")
	g.gone("vda1", "2")
	p.says("dialog", "The session has ended")
	p.click("dialog button", "Close")
	p.until(`!document.querySelector("dialog")`)
	require.Empty(t, g.questions)
}

// A session that ends while its user is asked is no more to be asked for.
func TestSessionEndsWhileAsking(t *testing.T) {
	g := startGate(t)
	g.row("vda1", "2", nil)
	g.row("vda2", "3", nil)
	p := g.open(t, "/?ask=vda1%2F2")
	p.click("dialog button", "Ask the user")
	q := next(t, g.questions)
	g.gone("vda1", "2")
	p.says(".count", "1 in all")
	p.says("dialog", "Asking bob") // the host answers
	q.refuse(409, "session_ended", object{"detail": "it ended while its user was asked"})
	p.says("dialog", "The session has ended")
	p.says("dialog", "Word for word: “it ended while its user was asked”")
	assert.Equal(t, "Close", eval[string](p, `[...document.querySelectorAll("dialog button")].map((b) => b.innerText).join()`))
	p.accessible("it has ended")
	p.click("dialog button", "Close")
	p.until(`!document.querySelector("dialog")`)
}

// What a host says in its own words is English whatever the page speaks: it is marked so, quoted, and beside the
// words for it.
func TestOwnWordsAreQuoted(t *testing.T) {
	g := startGate(t)
	g.hosts = []object{{"id": "vda7", "name": "vda7", "state": "down", "detail": "no route to host"}}
	g.row("vda1", "2", object{"shadowable": false, "reason": "of_a_newer_host", "detail": "the moon is full"})
	g.row("vda2", "3", nil)
	g.events = append(happened(), object{"time": "2026-11-30T08:00:00Z", "type": "refused", "id": "x", "host": "vda1", "session": "2", "admin": "a", "reason": "of_a_newer_host", "detail": "a wall"})
	p := g.open(t, "/?ask=vda1%2F2", speaks("de"))
	quoted := func(selector, words string) {
		t.Helper()
		p.says(selector, "Im Wortlaut: „"+words+"“")
		p.until(`[...document.querySelectorAll(%s + " [lang=en]")].some((e) => e.innerText === %s)`, quote(selector), quote(words))
	}
	quoted("dialog", "the moon is full")
	p.says("dialog", "Kann nicht angesehen werden")
	quoted("main", "no route to host")
	p.do(chromedp.Navigate(g.URL + "/?ask=vda2%2F3"))
	p.until(`document.querySelector("dialog form")`)
	eval[any](p, `document.querySelector("dialog form").requestSubmit()`)
	next(t, g.questions).refuse(409, "prompt_failed", object{"detail": "exit status 1"})
	quoted("dialog", "exit status 1")
	p.do(chromedp.Navigate(g.URL + "/activity"))
	quoted("tbody", "of_a_newer_host")
	quoted("tbody", "a wall")
}

// The user's time begins when the question is on the screen.
func TestCountdown(t *testing.T) {
	g := startGate(t)
	g.hosts = []object{{"id": "vda1", "state": "up", "timeout": 100, "purpose": "hidden"}}
	g.row("vda1", "2", nil)
	p := g.open(t, "/")
	p.says(".list", "vda1")
	p.click(".row button", "Ask to view")
	p.says("dialog", "The user sees that there is a reason, but not its text.")
	p.do(chromedp.SetValue(chromedp.CSS("dialog textarea"), "INC-7"))
	p.click("dialog button", "Ask the user")
	require.Equal(t, "INC-7", next(t, g.questions).body["purpose"])
	p.until(`/^9\d s$/.test(document.querySelector(".number").innerText)`)
	g.row("vda1", "2", object{"shadow": object{"id": "x", "admin": `CORP\alice`, "state": "prompting", "mine": true}})
	p.until(`/^(100|9\d) s$/.test(document.querySelector(".number").innerText) && document.querySelector("progress").max === 100`)
	p.says(".list", "You are asking")
}
