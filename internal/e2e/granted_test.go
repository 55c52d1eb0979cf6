package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// Who opens the page of a granted port sees the session, and is told in words what ended it.
func TestThePageOfAGrantedPort(t *testing.T) {
	session := desktop(t)
	d := startDaemon(t, options{viewer: `reconnect = "1m"`}, session)
	g := d.grantWithYes("s1", "alice", session)
	require.True(t, strings.HasPrefix(g.Page, "http://localhost:"), g.Page)
	p := openPage(t, g.Page)
	p.says("live", "")
	p.shows(session)
	require.NoError(t, session.SetRoot(t.Context(), "#208020"))
	p.shows(session)
	assert.NotContains(t, d.logged(), g.Token, "the token is in the log")
	foreign, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](
		`performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith(location.origin) && !n.startsWith("data:") && !n.startsWith("blob:")).join(" ")`))
	require.NoError(t, err)
	assert.Empty(t, foreign, "something was asked of another host")

	// A reload comes back without a new question.
	p.run(chromedp.Reload())
	p.says("live", "")
	p.shows(session)
	d.event("returned", g.ID)

	require.NoError(t, d.client.Stop(t.Context(), g.ID))
	p.says("ended", "An administrator stopped the view")
	assert.Equal(t, shadow.StoppedByAdmin, d.event(shadow.EventEnded, g.ID).Reason)
}

// The address works once, and one that was cut off says so.
func TestThePageSaysWhatIsWrongWithItsAddress(t *testing.T) {
	session := desktop(t)
	d := startDaemon(t, options{}, session)
	g := d.grantWithYes("s1", "alice", session)
	bare, _, _ := strings.Cut(g.Page, "#")
	openPage(t, bare).says("ended", "This address is incomplete")
	openPage(t, bare+"#WRONG").says("ended", "This address isn't valid here")
	openPage(t, g.Page).says("live", "")
}
