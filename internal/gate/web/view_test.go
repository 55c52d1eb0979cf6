package web

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// view has a browser view session vda1/2 by asking for it.
func view(t *testing.T, g *gate) (*tab, *screen) {
	t.Helper()
	g.row("vda1", "2", object{"monitors": monitors})
	p := g.open(t, "/?ask=vda1%2F2")
	p.click("dialog button", "Ask the user")
	g.grant(next(t, g.questions), "v1")
	s := next(t, g.screens)
	p.says(".badge", "Live, view only")
	return p, s
}

// shown is the size of a picture on the page, in CSS pixels.
type shown struct{ Width, Height float64 }

func (p *tab) size(selector string) shown {
	p.t.Helper()
	return eval[shown](p, `(({width: Width, height: Height}) => ({Width, Height}))(document.querySelector(%s).getBoundingClientRect())`, quote(selector))
}

// colour is the colour of the middle of what is seen of the picture's left or right half.
func (p *tab) sees(colour string) {
	p.t.Helper()
	p.until(`(() => {
		const canvas = document.querySelector(".target canvas"), all = canvas.getBoundingClientRect(), part = document.querySelector(".window").getBoundingClientRect();
		const x = (part.x + part.width / 2 - all.x) / all.width * canvas.width, y = canvas.height / 2;
		return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3).join() === %s;
	})()`, quote(colour))
}

const left, right = "49,80,110", "110,49,80"

// A page that nobody uses says so of what it asks, and a view goes on when that isn't answered any more.
func TestUnattendedView(t *testing.T) {
	g := startGate(t)
	p, _ := view(t, g)
	unattended := func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.background
	}
	require.Eventually(t, func() bool { return unattended() > 0 }, patience, 10*time.Millisecond)
	g.set(func() { g.signedIn = false })
	p.until(`performance.getEntriesByType("resource").filter((e) => e.name.includes("/shadows/") && e.responseStatus === 401).length > 1`)
	p.says(".badge", "Live, view only")
}

// The page says of which host's view it speaks, for another host can have one of the same id.
func TestViewNamesItsHost(t *testing.T) {
	g := startGate(t)
	p, s := view(t, g)
	s.drop()
	next(t, g.screens)
	p.says(".badge", "Live, view only")
	p.click("button", "Stop")
	p.says(".badge", "Ended")
	g.mu.Lock()
	assert.Greater(t, len(g.named), 4)
	for _, host := range g.named {
		assert.Equal(t, "vda1", host)
	}
	g.mu.Unlock()

	// A row of one's own leads there, whatever was said of another's view before.
	g.begin("v1", "vda2", "3")
	g.row("vda2", "3", object{"user": "ann", "shadow": object{"id": "v1", "admin": `CORP\alice`, "state": "viewing", "mine": true}})
	eval[any](p, `sessionStorage.setItem("view v1", JSON.stringify({ host: "vda1", session: "2" }))`)
	g.set(func() { g.named = nil })
	p.do(chromedp.Navigate(g.URL + "/?q=ann"))
	p.click(".row button", "Return")
	next(t, g.screens)
	p.says(".badge", "Live, view only")
	assert.Equal(t, "/view/v1?host=vda2", eval[string](p, "location.pathname + location.search"))
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, host := range g.named {
		assert.Equal(t, "vda2", host)
	}
}

// A tab that has signed out has nothing left of a view, also of one that was left by a link.
func TestSignOutForgetsViews(t *testing.T) {
	g := startGate(t)
	p, _ := view(t, g)
	p.click(".bar a", "← Sessions")
	p.says("h1", "Sessions")
	p.click(".site button", "Sign out")
	p.until(`location.pathname === "/signin"`)
	assert.Equal(t, 0.0, eval[float64](p, "sessionStorage.length"))
}

func TestView(t *testing.T) {
	g := startGate(t)
	p, s := view(t, g)
	p.says("h1", "bob on vda1")
	p.says(".facts", `CORP\alice · since`)
	assert.Equal(t, "/view/v1", eval[string](p, "location.pathname"))
	p.until(`document.querySelector(".target canvas").getAttribute("aria-label").replace(/[\u2068\u2069]/g, "") === "Screen of bob on vda1"`)
	assert.Equal(t, "default", eval[string](p, `getComputedStyle(document.querySelector(".target canvas")).cursor`), "the administrator sees the own pointer")
	p.accessible("a view")

	// It is fitted, pixel by pixel, or one monitor.
	stage := p.size(".stage")
	assert.InDelta(t, stage.Width, p.size(".window").Width, 1, "as wide as there is room")
	p.click("button", "1:1")
	p.until(`document.querySelector(".target canvas").getBoundingClientRect().width === 640`)
	p.do(chromedp.SetValue(chromedp.CSS(".tools select"), "DP-2"))
	eval[any](p, `document.querySelector(".tools select").dispatchEvent(new Event("change"))`)
	p.until(`document.querySelector(".window").getBoundingClientRect().width === 320`)
	p.sees(right)
	p.click("button", "Fit")
	assert.InDelta(t, stage.Height, p.size(".window").Height, 1)
	p.sees(right)
	p.do(chromedp.SetValue(chromedp.CSS(".tools select"), "DP-1"))
	eval[any](p, `document.querySelector(".tools select").dispatchEvent(new Event("change"))`)
	p.sees(left)

	p.click("button", "Full screen")
	p.until("document.fullscreenElement")
	p.do(chromedp.Focus(chromedp.CSS(".tools button:nth-of-type(3)")))
	p.click("button", "Leave full screen")
	p.until("!document.fullscreenElement")

	// The way to the host and back is measured.
	next(t, s.probes)
	p.until(`/^\d+ ms$/.test(document.querySelector(".facts span:last-child").innerText)`)

	// The user pauses.
	paused := object{"id": "v1", "admin": `CORP\alice`, "state": "viewing", "mine": true, "paused": true}
	g.set(func() { g.shadows["v1"]["paused"] = true })
	g.row("vda1", "2", object{"monitors": monitors, "shadow": paused})
	p.says(".badge", "Paused by the user")
	p.accessible("paused")
	g.set(func() { g.shadows["v1"]["paused"] = false })
	paused["paused"] = false
	g.row("vda1", "2", object{"monitors": monitors, "shadow": paused})
	p.says(".badge", "Live, view only")

	p.click("button", "Stop")
	p.says(".over", "An administrator stopped the view")
	next(t, s.gone)
	p.says(".badge", "Ended")
	p.accessible("a view that has ended")
	p.click("a", "Ask again")
	p.says("dialog", "View the screen of bob on vda1?")
}

// In full screen a tap shows the bar, and does nothing else; the next one beside it hides it.
func TestTapInFullScreen(t *testing.T) {
	g := startGate(t)
	p, _ := view(t, g)
	p.click("button", "Full screen")
	p.until("document.fullscreenElement")
	p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 640, 600))
	eval[any](p, `document.activeElement.blur()`)
	opacity := `getComputedStyle(document.querySelector(".bar")).opacity === %s`
	p.until(opacity, `"0"`)
	tap := func(x, y float64) {
		t.Helper()
		_, err := chromedp.Call(p.ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchStart, TouchPoints: []*input.TouchPoint{{X: x, Y: y}}})
		require.NoError(t, err)
		_, err = chromedp.Call(p.ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchEnd, TouchPoints: []*input.TouchPoint{}})
		require.NoError(t, err)
	}
	at := eval[struct{ X, Y float64 }](p, `(() => { const b = document.querySelector(".tools .danger").getBoundingClientRect(); return {X: b.x + b.width / 2, Y: b.y + b.height / 2}; })()`)
	tap(at.X, at.Y)
	p.until(opacity, `"1"`)
	p.says(".badge", "Live, view only")
	tap(640, 600)
	p.until(opacity, `"0"`)
	tap(640, 600)
	p.until(opacity, `"1"`)
	tap(at.X, at.Y)
	p.says(".over", "An administrator stopped the view")
}

func TestViewComesBack(t *testing.T) {
	g := startGate(t)
	p, s := view(t, g)
	for _, lose := range []func(*screen){(*screen).drop, func(s *screen) { s.close(1012, "") }, func(s *screen) { s.close(1013, "host_unreachable") }} {
		lose(s)
		p.says(".badge", "Cut off, coming back")
		p.says(".over", "The connection was lost")
		s = next(t, g.screens)
		p.says(".badge", "Live, view only")
	}
	// A view that the host has given up doesn't come back; the audit says why.
	g.set(func() {
		delete(g.shadows, "v1")
		g.events = []object{{"time": "2026-11-30T09:00:00Z", "type": "ended", "id": "v1", "session": "2", "admin": "alice", "host": "vda1", "reason": "session_ended"}}
	})
	s.drop()
	p.says(".over", "The session has ended")
}

// Who listens to the page hears that the view was cut off, and not each second that is left.
func TestViewIsReadOut(t *testing.T) {
	g := startGate(t)
	p, s := view(t, g)
	p.listens()
	g.set(func() { g.away = true })
	s.drop()
	p.says(".over", "The host keeps this view for")
	left := p.text(".over")
	p.until(`document.querySelector(".over").innerText !== %s`, quote(left))
	p.accessible("cut off")
	g.set(func() { g.away = false })
	s = next(t, g.screens)
	p.says(".badge", "Live, view only")
	s.close(4002, "stopped_by_user")
	p.says(".over", "The user stopped the view")
	var over []string
	for _, words := range p.said() {
		if words != "Cut off, coming back" && words != "Live, view only" && words != "Ended" {
			over = append(over, words)
		}
	}
	assert.Equal(t, []string{"The connection was lost Coming back …", "The user stopped the view Ask the user before you ask again."}, over)
}

// A page whose network has changed comes back, though its old connection is in the way until somebody misses it, and
// so does one that took nothing for too long.
func TestComesBackBehindItsOldConnection(t *testing.T) {
	g := startGate(t)
	p, s := view(t, g)
	g.set(func() { g.busy = 3 })
	s.drop()
	s = next(t, g.screens)
	p.says(".badge", "Live, view only")
	g.set(func() { require.Zero(t, g.busy) })
	s.close(4008, "viewer_left")
	next(t, g.screens)
	p.says(".badge", "Live, view only")
}

// A page that is loaded anew shows the view again, and one that is left ends it.
func TestViewAndTheBrowsersButtons(t *testing.T) {
	g := startGate(t)
	p, s := view(t, g)
	p.do(chromedp.Reload())
	next(t, s.gone)
	s = next(t, g.screens)
	p.says(".badge", "Live, view only")
	p.says("h1", "bob on vda1")
	p.do(chromedp.NavigateBack())
	next(t, s.gone)
	p.says("h1", "Sessions")
}

func TestEndsInWords(t *testing.T) {
	g := startGate(t)
	words := catalogue(t, sharedWords, "en")
	p, s := view(t, g)
	for _, end := range []struct {
		code   int
		reason string
		says   []string
	}{
		{1001, "session_ended", words["end.session_ended"]},
		{4002, "stopped_by_user", words["end.stopped_by_user"]},
		{4001, "superseded", words["end.superseded"]},
		{1011, "source_failed", words["end.source_failed"]},
		{1001, "shutdown", words["end.shutdown"]},
		{1011, "host_certificate", words["end.host_certificate"]},
		{1008, "token used", words["end.token used"]},
		{1008, "viewed_elsewhere", words["end.viewed_elsewhere"]},
		{1008, "not_yours", words["end.not_yours"]},
		{1000, "ended", words["end.ended"]},
		{1009, "", words["code.1009"]},
		{1013, "", words["code.1013"]},
	} {
		s.close(end.code, end.reason)
		p.says(".over", end.says[0])
		p.says(".over", end.says[1])
		g.begin("v1", "vda1", "2")
		p.do(chromedp.Navigate(g.URL + "/view/v1"))
		s = next(t, g.screens)
		p.says(".badge", "Live, view only")
	}
}

func TestViewThatIsNot(t *testing.T) {
	g := startGate(t)
	p := g.open(t, "/view/none")
	p.says(".over", "Close code 1008, ended")
	p.says(".over", "The view has ended")
	p.accessible("no view")
	g.begin("v2", "vda1", "2")
	g.set(func() { g.shadows["v2"]["mine"] = false })
	p = g.open(t, "/view/v2")
	p.says(".over", "This view belongs to somebody else")
	assert.Empty(t, g.screens)

	// A gate that was restarted knows a view by its WebSocket only.
	g.begin("v3", "vda1", "2")
	g.set(func() { g.unknown = true })
	p = g.open(t, "/view/v3")
	next(t, g.screens)
	p.says(".badge", "Live, view only")
}

// A browser without WebSocket is told so.
func TestOldBrowser(t *testing.T) {
	g := startGate(t)
	g.begin("v1", "vda1", "2")
	p := g.open(t, "/", withScript("delete window.WebSocket"))
	p.do(chromedp.Navigate(g.URL + "/view/v1"))
	p.says(".over", "This browser is too old")
}
