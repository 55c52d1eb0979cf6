package web

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

var pictures = flag.String("pictures", "", "write pictures of every page to this `folder`, to be looked at")

// shoot writes what the page looks like, if pictures are wanted.
func (p *tab) shoot(name string) {
	p.t.Helper()
	if *pictures == "" {
		return
	}
	require.NoError(p.t, os.MkdirAll(*pictures, 0o755))
	eval[any](p, `new Promise((drawn) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => drawn(1))), 500))`) // what was drawn is shown
	shot, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(*pictures, name+".png"), shot, 0o644))
}

// TestPictures writes each page as it looks at 1280 and 390 pixels and dark.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("only with -pictures DIR")
	}
	for _, look := range []struct {
		name          string
		width, height int64
		dark          bool
		language      string
	}{{"1280", 1280, 800, false, "en"}, {"dark", 1280, 800, true, "en"}, {"390", 390, 844, false, "en"}, {"390-de", 390, 844, true, "de"}, {"ja", 1280, 800, false, "ja"}} {
		g := startGate(t)
		g.hosts = []object{{"id": "vda7", "name": "vda7", "state": "down", "detail": "no route to host"}}
		fill(g, 200)
		g.row("vda00001", "1", object{"user": "carol", "monitors": monitors})
		g.row("vda00002", "1", object{"user": "dan", "shadow": object{"id": "x", "admin": `CORP\eve`, "state": "viewing"}})
		g.row("vda00003", "1", object{"user": "", "shadowable": false, "reason": "no_user"})
		g.events = happened()
		p := g.open(t, "/", speaks(look.language))
		if look.dark {
			dark(p)
		}
		p.do(chromedp.EmulateViewport(look.width, look.height))
		shoot := func(name string) { p.shoot(name + "-" + look.name) }
		p.says(".list", "carol")
		shoot("sessions")
		eval[any](p, `[...document.querySelectorAll(".row")].find((r) => r.innerText.includes("carol")).querySelector("button").click()`)
		p.until(`document.querySelector("dialog form")`)
		shoot("ask")
		eval[any](p, `document.querySelector("dialog form").requestSubmit()`)
		q := next(t, g.questions)
		p.until(`document.querySelector(".number")`)
		shoot("asking")
		q.refuse(409, "denied", object{"retry_after": 15})
		p.until(`document.querySelector("dialog").dataset.state === "refused"`)
		shoot("refused")
		p.do(chromedp.Navigate(g.URL + "/activity"))
		p.until(`document.querySelector("tbody tr")`)
		shoot("activity")
		p.do(chromedp.Navigate(g.URL + "/activity?shadow=4k7qz2ha"))
		p.until(`document.querySelector("tbody tr")`)
		shoot("life")
		g.places, g.proof = places(), "password"
		p.do(chromedp.Navigate(g.URL + "/me"))
		p.until(`document.querySelector(".signins tbody tr")`)
		shoot("me")
		eval[any](p, `document.querySelector(".signins .actions").scrollIntoView()`)
		shoot("signins")
		eval[any](p, `document.querySelector(".signins .actions button").click()`)
		shoot("ending")
		g.begin("v1", "vda00001", "1")
		p.do(chromedp.Navigate(g.URL + "/view/v1"))
		s := next(t, g.screens)
		p.until(`document.querySelector(".view").dataset.state === "live" && !document.querySelector(".tools select").hidden`)
		p.until(`[...document.querySelector(".target canvas").getContext("2d").getImageData(10, 10, 1, 1).data].slice(0, 3).join() === %s`, quote(left))
		shoot("view")
		s.drop()
		p.until(`document.querySelector(".view").dataset.state === "away"`)
		shoot("away")
		s = next(t, g.screens)
		p.until(`document.querySelector(".view").dataset.state === "live"`)
		s.close(4002, "stopped_by_user")
		p.until(`document.querySelector(".view").dataset.state === "ended"`)
		shoot("ended")
		g.set(func() { g.signedIn = false; g.methods = []string{"oidc", "password"} })
		p.do(chromedp.Navigate(g.URL + "/signin"))
		p.until(`document.querySelector("form")`)
		shoot("signin")
	}
}
