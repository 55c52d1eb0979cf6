package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

// withScript runs a script in every page before its own.
func withScript(source string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
		return err
	})
}

// hostile is what a host, its user or an administrator may call themselves: markup, code, what
// turns directions, what is not seen, and more than there is room for.
var hostile = "<img src=x onerror=window.hit=1><script>window.hit=1</script>\u202egnp.exe\u202c\u2066\u200b\x00\x1b[31m{user}" + strings.Repeat("e\u0301\u0301\u0301\u0301", 200)

// Names from hosts are text, and nothing else.
func TestHostileNames(t *testing.T) {
	g := startGate(t)
	g.hosts = []object{{"id": "vda1", "name": hostile, "state": "down", "detail": hostile}}
	names := object{"user": hostile, "hostname": hostile, "display": hostile, "detail": hostile,
		"monitors": []object{{"name": hostile, "x": 0, "y": 0, "width": 320, "height": 240}, {"name": "b", "x": 320, "y": 0, "width": 320, "height": 240}},
		"shadow":   object{"id": "x", "admin": hostile, "state": "viewing"}}
	g.row("vda1", "2", names)
	g.me["name"], g.me["full_name"], g.me["groups"] = hostile, hostile, []string{hostile}
	g.me["may"] = []object{{"rule": 1, "hosts": []string{hostile}, "users": []string{hostile}, "may": []string{"list", "shadow", "audit", hostile}}}
	event := object{"time": hostile, "type": hostile, "id": hostile, "reason": hostile, "consent": hostile, "rule": hostile, "ended_by": object{"user": hostile}}
	for _, key := range []string{"host", "session", "user", "admin", "purpose", "viewer", "client", "detail"} {
		event[key] = hostile
	}
	g.events = []object{event}
	check := func(p *tab, what string) {
		t.Helper()
		assert.False(t, eval[bool](p, `"hit" in window || document.querySelector("img, script:not([src])") !== null`), what)
		seen := eval[string](p, `document.body.innerText + [...document.querySelectorAll("[aria-label], [title]")].map((e) => (e.ariaLabel ?? "") + e.title).join() + document.title`)
		assert.Contains(t, seen, "<img src=x", "%s: shown as it is", what)
		assert.NotContains(t, seen, "\u202e", "%s: a direction is turned", what)
		assert.NotContains(t, seen, "\u200b", what)
		assert.NotContains(t, seen, "e\u0301\u0301\u0301", "%s: marks are heaped up", what)
		assert.False(t, eval[bool](p, `document.documentElement.scrollWidth > innerWidth`), "%s: wider than the window", what)
	}
	p := g.open(t, "/")
	p.says(".list", "<img src=x")
	check(p, "sessions")
	p.click(".row button", "Ask to view")
	p.says("dialog", "<img src=x")
	check(p, "the dialog")
	p.click("dialog button", "Ask the user")
	next(t, g.questions).refuse(409, "denied", object{"detail": hostile, "title": hostile})
	p.says("dialog", "The user said No")
	check(p, "refused")
	p.do(chromedp.Navigate(g.URL + "/activity"))
	p.says("tbody", "<img src=x")
	check(p, "activity")
	p.do(chromedp.Navigate(g.URL + "/me"))
	p.says("main", "<img src=x")
	check(p, "about me")
	g.begin("v1", "vda1", "2")
	g.set(func() { g.shadows["v1"]["user"], g.shadows["v1"]["admin"] = hostile, hostile })
	p.do(chromedp.Navigate(g.URL + "/view/v1"))
	s := next(t, g.screens)
	p.says(".badge", "Live")
	check(p, "a view")
	s.close(4000, "x\u202e"+strings.Repeat("<b>", 30))
	p.says(".over", "The connection was lost")
	check(p, "an ended view")
}

// The title that a host's screen has is text on the page of a granted port, too.
func TestHostileTitle(t *testing.T) {
	g := startPort(t, time.Hour)
	p := g.open(t, "/", speaks("en"))
	p.do(chromedp.Navigate(g.URL+"/#TOKEN"), chromedp.Reload())
	s := next(t, g.screens)
	p.until(`document.body.dataset.state === "live"`)
	s.names <- hostile
	p.says("h1", "<img src=x")
	assert.False(t, eval[bool](p, `"hit" in window || document.querySelector("img, script:not([src])") !== null`))
	seen := eval[string](p, `document.body.innerText + document.title`)
	assert.NotContains(t, seen, "\u202e", "a direction is turned")
	assert.NotContains(t, seen, "\u200b")
	assert.NotContains(t, seen, "e\u0301\u0301\u0301", "marks are heaped up")
	assert.False(t, eval[bool](p, `document.documentElement.scrollWidth > innerWidth`), "wider than the window")
}
