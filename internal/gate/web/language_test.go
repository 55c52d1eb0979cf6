package web

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

// The browser's language decides, and a choice is kept.
func TestLanguages(t *testing.T) {
	g := startGate(t)
	g.row("vda1", "2", nil)
	for preferred, want := range map[string][2]string{
		"de-AT,en": {"de", "Sitzungen"}, "fr": {"fr", "Sessions"}, "es-MX": {"es", "Sesiones"}, "ja": {"ja", "セッション"},
		"zh-CN": {"zh-Hans", "会话"}, "zh-TW,fr": {"fr", "Sessions"}, "it,nl": {"en", "Sessions"},
	} {
		p := g.open(t, "/", speaks(preferred))
		p.says("h1", want[1])
		assert.Equal(t, want[0], eval[string](p, "document.documentElement.lang"), preferred)
		p.until(`!document.body.innerText.match(/\b(?:sessions|state|why|nav)\.\w/)`)
	}
	p := g.open(t, "/", speaks("fr"))
	p.says("nav", "À mon sujet")
	p.do(chromedp.SetValue(chromedp.CSS("footer select"), "de"))
	eval[any](p, `document.querySelector("footer select").dispatchEvent(new Event("change"))`)
	p.says("nav", "Über mich")
	p.says(".list", "Kann angesehen werden")
	p.do(chromedp.Reload())
	p.says("nav", "Über mich")
}

// Every page can be used in every language, dark, and on a small screen.
func TestEveryPageInEveryLanguage(t *testing.T) {
	g := startGate(t)
	g.hosts = []object{{"id": "vda7", "name": "vda7", "state": "down", "detail": "no route to host"}}
	g.row("vda1", "2", object{"monitors": monitors})
	g.row("vda2", "3", object{"shadowable": false, "reason": "prompt_busy"})
	g.row("vda3", "4", object{"shadow": object{"id": "x", "admin": "eve", "state": "away"}})
	g.events = happened()
	for _, language := range languages {
		p := g.open(t, "/", speaks(language))
		dark(p)
		p.do(chromedp.EmulateViewport(390, 844))
		fits := func(what string) {
			t.Helper()
			assert.False(t, eval[bool](p, `document.documentElement.scrollWidth > innerWidth`), "%s, %s: wider than the window", language, what)
			p.accessible(language + ", " + what)
		}
		p.says(".list", "vda1")
		fits("sessions")
		eval[any](p, `document.querySelector(".row button.primary").click()`)
		p.until(`document.querySelector("dialog[open] form")`)
		fits("the dialog")
		for _, path := range []string{"/activity", "/me"} {
			p.do(chromedp.Navigate(g.URL + path))
			p.until(`document.querySelector("tbody tr")`)
			fits(path)
		}
		g.begin("v1", "vda1", "2")
		p.do(chromedp.Navigate(g.URL + "/view/v1"))
		s := next(t, g.screens)
		p.until(`document.querySelector(".view").dataset.state === "live" && !document.querySelector(".tools select").hidden`)
		fits("a view")
		s.close(4002, "stopped_by_user")
		p.until(`document.querySelector(".view").dataset.state === "ended"`)
		fits("an ended view")
		g.set(func() { g.signedIn = false })
		p.do(chromedp.Navigate(g.URL + "/signin"))
		p.until(`document.querySelector("form")`)
		fits("signing in")
		g.set(func() { g.signedIn = true })
	}
}
