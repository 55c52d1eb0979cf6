package web

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// happened is a life of one shadow, newest event first, and one refusal.
func happened() []object {
	base := object{"host": "vda1", "session": "2", "user": "bob", "admin": `CORP\alice`, "id": "4k7qz2ha"}
	at := func(second int, kind string, more object) object {
		e := object{"time": fmt.Sprintf("2026-11-30T09:00:%02dZ", second), "type": kind}
		for _, from := range []object{base, more} {
			for k, v := range from {
				e[k] = v
			}
		}
		return e
	}
	return []object{
		at(50, "refused", object{"id": "other", "admin": "eve", "reason": "denied"}),
		at(40, "ended", object{"reason": "stopped_by_user", "seconds": 62.5, "sent": 1234567, "dropped": 7}),
		at(30, "resumed", nil), at(20, "paused", nil),
		at(12, "connected", object{"viewer": "192.0.2.7:4711"}),
		at(10, "granted", object{"consent": "answer", "rule": "none"}),
		at(2, "prompted", nil),
		at(1, "requested", object{"purpose": "INC-1234 flickers", "client": "192.0.2.7"}),
	}
}

func TestActivity(t *testing.T) {
	g := startGate(t)
	g.events = happened()
	p := g.open(t, "/activity")
	for _, words := range []string{"The user said No", "The user stopped the view", "Viewed for 1:02", "1.23 MB sent", "Input messages stopped: 7", "From 192.0.2.7:4711", "The user said Yes", "Reason: INC-1234 flickers"} {
		p.says("tbody", words)
	}
	p.says(".count", "8 shown")
	p.accessible("activity")

	// What is chosen is in the address, in the question and in the downloads.
	p.fill(`form input:not([type="search"])`, "eve")
	p.click("form button", "Show")
	p.says(".count", "1 shown")
	assert.Equal(t, "?admin=eve", eval[string](p, "location.search"))
	hrefs := eval[[]string](p, `[...document.querySelectorAll("a[download]")].map((a) => a.getAttribute("href"))`)
	assert.Equal(t, []string{"/api/v1/activity?admin=eve&format=csv", "/api/v1/activity?admin=eve&format=jsonl"}, hrefs)
	p.do(chromedp.NavigateBack())
	p.says(".count", "8 shown")

	p.do(chromedp.SetValue(chromedp.CSS(`input[type="datetime-local"]`), "2026-11-30T10:00"))
	p.click("form button", "Show")
	p.until(`location.search.startsWith("?since=2026-11-30T")`)
	g.mu.Lock()
	query, err := url.ParseQuery(g.asked[len(g.asked)-1])
	g.mu.Unlock()
	require.NoError(t, err)
	assert.Regexp(t, `^2026-11-30T\d\d:00:00.000Z$`, query.Get("since"))

	// One shadow's life is shown from its beginning.
	p.do(chromedp.Navigate(g.URL + "/activity"))
	p.click("tbody a", "Ended")
	p.says("h1", "4k7qz2ha")
	p.says(".count", "7 shown")
	assert.Contains(t, p.text("tbody tr:first-child"), "Requested")
	p.accessible("one shadow's life")

	// What happens now comes by itself.
	g.set(func() {
		g.events = append([]object{{"time": "2026-11-30T09:01:00Z", "type": "away", "id": "4k7qz2ha", "host": "vda1", "session": "2", "admin": "a"}}, g.events...)
	})
	g.send("audit", event("away", object{"type": "away"}))
	p.says("tbody tr:last-child", "Viewer cut off")

	// So does what the stream has left out: the list is asked for.
	g.set(func() {
		g.events = append([]object{{"time": "2026-11-30T09:02:00Z", "type": "returned", "id": "4k7qz2ha", "host": "vda1", "session": "2", "admin": "a"}}, g.events...)
	})
	g.send("audit", event("left_out", object{"host": "vda1", "events": 300}))
	p.says("tbody tr:last-child", "Viewer returned")
}

func TestOlderActivity(t *testing.T) {
	g := startGate(t)
	for i := range 250 {
		g.events = append(g.events, object{"time": fmt.Sprintf("2026-11-30T09:%02d:%02dZ", 59-i/60, 59-i%60), "type": "requested", "id": fmt.Sprint(i), "host": "vda1", "session": "2", "admin": fmt.Sprint("admin", i)})
	}
	p := g.open(t, "/activity")
	p.says(".count", "100 shown")
	p.click("button", "Show older")
	p.says(".count", "200 shown")
	// A new event leaves what was read where it is.
	g.set(func() {
		g.events = append([]object{{"time": "2026-11-30T10:00:00Z", "type": "requested", "id": "new", "host": "vda1", "session": "2", "admin": "newest"}}, g.events...)
	})
	g.send("audit", event("requested", object{"type": "requested"}))
	p.says(".count", "201 shown")
	p.click("button", "Show older")
	p.until(`![...document.querySelectorAll("button")].some((b) => b.innerText === "Show older" && b.checkVisibility())`)
	p.says("tbody tr:last-child", "admin249")
}
