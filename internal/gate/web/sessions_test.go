package web

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
)

func TestSessions(t *testing.T) {
	g := startGate(t)
	g.hosts = []object{{"id": "vda7", "name": "vda7", "state": "down", "detail": "no route to host"}}
	g.row("vda1", "2", nil)
	g.row("vda2", "c1", object{"user": "carol", "shadowable": false, "reason": "locked"})
	g.row("vda3", "5", object{"user": "", "shadowable": false, "reason": "no_user"})
	g.row("vda4", "1", object{"user": "dan", "shadow": object{"id": "x1", "admin": "CORP\\eve", "state": "viewing"}})
	p := g.open(t, "/")
	p.says("h1", "Sessions")
	for _, words := range []string{"vda1", "Can be viewed", "The screen is locked", "Nobody is logged on", "CORP\\eve is viewing"} {
		p.says(".list", words)
	}
	p.says(".warn:not([hidden])", "vda7 doesn't answer.")
	p.says(".warn:not([hidden]) .detail", "no route to host")
	p.says(".count", "4 in all")
	p.accessible("sessions")

	// It is searched in as one types, in names and states.
	p.fill("#search", "CAROL lock")
	p.says(".count", "1 of 4")
	assert.NotContains(t, p.text(".list"), "vda1")
	p.until(`location.search === "?q=CAROL+lock"`)
	p.fill("#search", "nobody like this")
	p.says(".empty", "No session matches")
	p.click("button", "Show all")
	p.says(".count", "4 in all")

	// It is as it is now.
	g.row("vda2", "c1", object{"user": "carol"})
	p.until(`[...document.querySelectorAll(".row")].some((r) => r.innerText.includes("carol") && r.innerText.includes("Can be viewed"))`)
	g.gone("vda1", "2")
	p.says(".count", "3 in all")
	assert.NotContains(t, p.text(".list"), "vda1")
	g.send("sessions", event("hosts", object{"hosts": []object{{"id": "vda7", "name": "vda7", "state": "up"}}}))
	p.until(`!document.querySelector(".warn:not([hidden])")`)

	// A stream that ends is followed anew.
	g.set(func() { delete(g.rows, "vda3/5") })
	g.send("sessions", "")
	p.says(".count", "2 in all")
}

// A host that has left is no longer said not to answer, and what hasn't changed isn't read out again.
func TestHostsThatDoNotAnswer(t *testing.T) {
	g := startGate(t)
	down := func(name string) object { return object{"id": name, "name": name, "state": "down"} }
	g.hosts = []object{down("vda7"), down("vda8")}
	g.row("vda1", "2", nil)
	p := g.open(t, "/")
	p.says(".warn:not([hidden])", "vda7 doesn't answer")
	eval[any](p, `(() => {
		window.heard = [];
		const region = document.querySelector(".warn:not([hidden])").parentElement;
		new MutationObserver((all) => all.forEach((m) => m.addedNodes.forEach((n) => heard.push(n.textContent.replace(/[\u2068\u2069]/g, "")))))
			.observe(region, {childList: true, subtree: true, characterData: true});
	})()`)
	hosts := func(now ...object) { g.send("sessions", event("hosts", object{"hosts": now})) }
	shown := `[...document.querySelectorAll(".warn:not([hidden])")].map((e) => e.innerText.replace(/[\u2068\u2069]/g, "").trim()).join()`
	hosts(down("vda7"), object{"id": "vda1", "name": "vda1", "state": "up"}, down("vda8"), down("vda9"))
	p.until(`%s === "vda7 doesn't answer.,vda8 doesn't answer.,vda9 doesn't answer."`, shown)
	hosts(down("vda8"), down("vda9"))
	p.until(`%s === "vda8 doesn't answer.,vda9 doesn't answer."`, shown)
	assert.Equal(t, []string{"vda9 doesn't answer."}, eval[[]string](p, `heard.map((s) => s.trim())`))
	hosts(object{"id": "vda1", "name": "vda1", "state": "up"})
	p.until(`!document.querySelector(".warn:not([hidden])")`)
}

// A list that isn't whole says so.
func TestHostsWithMoreSessionsThanAreListed(t *testing.T) {
	g := startGate(t)
	crowded := func(name string) object { return object{"id": name, "name": name, "state": "up", "crowded": true} }
	g.hosts = []object{crowded("vda1"), {"id": "vda2", "name": "vda2", "state": "up"}}
	g.row("vda1", "2", nil)
	p := g.open(t, "/")
	p.says(".warn:not([hidden])", "vda1 has more sessions than are listed here.")
	p.accessible("crowded")
	var all []object
	for i := range 5 {
		all = append(all, crowded(fmt.Sprint("vda", i+1)))
	}
	g.send("sessions", event("hosts", object{"hosts": all}))
	p.until(`[...document.querySelectorAll(".warn:not([hidden])")].at(-1).innerText.includes("2 more hosts have more sessions than are listed here.")`)
	g.send("sessions", event("hosts", object{"hosts": []object{{"id": "vda1", "name": "vda1", "state": "up"}}}))
	p.until(`!document.querySelector(".warn:not([hidden])")`)
}

// Of ten thousand sessions only some are elements, and the keyboard reaches all.
func TestManySessions(t *testing.T) {
	const many = 10_000
	g := startGate(t)
	fill(g, many)
	p := g.open(t, "/")
	p.says(".count", "10,000 in all")
	assert.Less(t, eval[int](p, `document.querySelectorAll(".row").length`), 60)
	grid := `document.querySelector("[role=grid]")`
	assert.Equal(t, "10001", eval[string](p, `%s.getAttribute("aria-rowcount")`, grid))
	focused := func(rowIndex int, words string) {
		t.Helper()
		p.until(`document.activeElement.getAttribute("aria-rowindex") === "%d" && document.activeElement.innerText.includes(%s)`, rowIndex, quote(words))
		p.until(`(() => { const r = document.activeElement.getBoundingClientRect(), g = %s.getBoundingClientRect(); return r.top >= g.top && r.bottom <= g.bottom + 1; })()`, grid)
	}
	p.do(chromedp.Focus(chromedp.CSS("#search")), chromedp.KeyEvent(kb.ArrowDown))
	focused(2, "vda00000")
	p.do(chromedp.KeyEvent(kb.ArrowDown))
	focused(3, "vda00001")
	p.do(chromedp.KeyEvent(kb.End))
	focused(many+1, "vda09999")
	p.do(chromedp.KeyEvent(kb.ArrowDown))
	focused(many+1, "vda09999")
	p.do(chromedp.KeyEvent(kb.PageUp))
	assert.Less(t, eval[int](p, `Number(document.activeElement.getAttribute("aria-rowindex"))`), many)
	p.do(chromedp.KeyEvent(kb.Home))
	focused(2, "vda00000")
	p.accessible("ten thousand sessions")

	// The row that has the focus stays, wherever the list is scrolled to.
	eval[any](p, `%s.scrollTop = 200000`, grid)
	p.says(".list", "vda04")
	p.until(`document.activeElement.innerText.includes("vda00000")`)
	p.do(chromedp.KeyEvent(kb.ArrowDown))
	focused(3, "vda00001")
	// A row that goes leaves the focus to the next.
	g.gone("vda00001", "1")
	focused(3, "vda00002")
	// Rows are in the document as they are shown.
	assert.True(t, eval[bool](p, `[...document.querySelectorAll(".body .row")].map((r) => Number(r.getAttribute("aria-rowindex"))).every((n, i, all) => !i || n > all[i - 1])`))
}

// fill has a gate list that many sessions.
func fill(g *gate, many int) {
	g.set(func() {
		for i := range many {
			host := fmt.Sprintf("vda%05d", i)
			g.rows[host+"/1"] = object{"host": host, "id": "1", "user": fmt.Sprintf("user%d", i%977), "display": ":1", "type": "x11", "shadowable": i%7 != 0, "reason": map[bool]string{true: "locked"}[i%7 == 0], "since": "2026-11-30T07:30:00Z"}
		}
	})
}

// Whoever may not see a page is told so.
func TestWhatAUserMayNot(t *testing.T) {
	g := startGate(t)
	g.me["may"] = []object{{"rule": 2, "hosts": []string{"vda1"}, "users": []string{"*"}, "may": []string{"list"}}}
	g.row("vda1", "2", nil)
	p := g.open(t, "/")
	p.says(".list", "vda1")
	assert.NotContains(t, p.text("nav"), "Activity")
	p.click(".row button", "Details")
	p.says("dialog", "You may only see this session")
	p.accessible("a session that may only be seen")
	p = g.open(t, "/activity")
	p.says("main", "No access rule lets you see this page")
	p.accessible("a page that may not be seen")

	g.set(func() { g.me["may"] = []object{} })
	p = g.open(t, "/me")
	p.says("main", "No rule gives you anything")
	p.accessible("nothing is allowed")
}

func TestMe(t *testing.T) {
	g := startGate(t)
	p := g.open(t, "/me")
	for _, words := range []string{`CORP\alice`, "Alice Adams", "helpdesk, staff", "Name and password", "see sessions, ask to view, read the activity, stop views"} {
		p.says("main", words)
	}
	p.accessible("about me")
}
