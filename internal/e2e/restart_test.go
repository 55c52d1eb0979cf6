package e2e

import (
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// A gate that is restarted, or killed, while somebody views is missed for a moment: the page comes back by
// itself, signed in as before, with the same view, and the user isn't asked again.
func TestGateRestartedWhileViewing(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{viewer: `reconnect = "2m"`}, session)
	c := startConsole(t, d)
	page, closePage := c.open()
	defer closePage()
	id := c.ask(page, "s1")
	yes(t, session)
	view := id()
	p := &tab{t, page, closePage}
	p.run(chromedp.Navigate(c.url + "/view/" + view))
	is := func(state string) {
		t.Helper()
		eventually(t, "the view is "+state, func() bool {
			return inPage[string](t, page, `document.querySelector("section.view")?.dataset.state ?? ""`) == state
		})
	}
	is("live")
	p.resembles(session)
	for _, by := range []struct {
		signal syscall.Signal
		colour string
	}{{syscall.SIGTERM, "#208020"}, {syscall.SIGKILL, "#802080"}} {
		c.end(by.signal)
		is("away")
		require.NoError(t, session.SetRoot(t.Context(), by.colour))
		c.start()
		is("live")
		p.resembles(session)
	}
	assert.Equal(t, 1, d.count(shadow.EventPrompted), "the user was asked again")
	assert.Equal(t, 2, d.count("returned"))
	assert.Zero(t, d.count(shadow.EventEnded))

	p.run(chromedp.Navigate(c.url + "/"))
	d.event(shadow.EventEnded, view) // the page was left for good
}
