package e2e

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/viewer"
)

// Who opens the page of a granted port sees the session, and is told in words what ended it.
func TestThePageOfAGrantedPort(t *testing.T) {
	t.Parallel()
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

// A pause is said in the page's live region, also to who comes back during it, and its end.
func TestThePageSaysThatItIsPaused(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{banner: true, viewer: `reconnect = "1m"`}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := openPage(t, g.Page)
	p.says("live", "")
	p.resembles(session)
	toggle(t, d, session, shadow.EventPaused)
	p.says("live", "Paused by the user")
	p.run(chromedp.Reload())
	p.says("live", "Paused by the user")
	toggle(t, d, session, shadow.EventResumed)
	eventually(t, "the page no longer says so", func() bool {
		paused, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`document.title.includes("Paused") || document.getElementById("title").textContent.includes("Paused")`))
		return err == nil && !paused
	})
	p.resembles(session)
}

// One monitor of two is shown. When it goes, the whole screen is, and the audit and the page's title say so.
func TestOneMonitorThatGoes(t *testing.T) {
	session := desktop(t)
	draw := func(args ...string) {
		t.Helper()
		_, err := session.Run(t.Context(), "xrandr", args...)
		require.NoError(t, err)
	}
	draw("--setmonitor", "left", "600/100x768/100+0+0", "screen")
	draw("--setmonitor", "right", "424/100x500/100+600+0", "none")
	d := startDaemon(t, options{}, session)
	r := d.askFor("s1", "alice", "2")
	yes(t, session)
	g := r.granted()
	assert.Equal(t, "only monitor right is shown", d.event(shadow.EventGranted, g.ID).Detail)
	p := openPage(t, g.Page)
	p.says("live", "")
	shown := func(width, height int, title string) {
		t.Helper()
		eventually(t, title, func() bool {
			got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`(c => c.width + "x" + c.height + " " + document.title)(document.querySelector("canvas"))`))
			return err == nil && strings.HasPrefix(got, fmt.Sprintf("%dx%d ", width, height)) && strings.Contains(got, title)
		})
	}
	shown(424, 500, "right of ")
	cursor, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("canvas")).cursor`))
	require.NoError(t, err)
	assert.Equal(t, "default", cursor, "the administrator sees the own pointer")
	draw("--delmonitor", "right")
	assert.Equal(t, "now shown: the whole screen, since monitor right is gone", d.event(shadow.EventChanged, g.ID).Detail)
	shown(1024, 768, "monitor right is gone")
	p.shows(session)
}

// The address works once, and one that was cut off says so.
func TestThePageSaysWhatIsWrongWithItsAddress(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{}, session)
	g := d.grantWithYes("s1", "alice", session)
	bare, _, _ := strings.Cut(g.Page, "#")
	openPage(t, bare).says("ended", "This address is incomplete")
	openPage(t, bare+"#WRONG").says("ended", "This address isn't valid here")
	openPage(t, g.Page).says("live", "")
}

// The page speaks the question's languages, as the browser prefers them.
func TestThePageSpeaksTheBrowsersLanguage(t *testing.T) {
	if suite.lack != "" {
		testenv.Lack(t, "%s", suite.lack)
	}
	server := httptest.NewServer(viewer.Page(0))
	defer server.Close()
	for preferred, want := range map[string][2]string{
		"en-GB": {"en", "This address is incomplete"}, "de-CH,fr": {"de", "Diese Adresse ist unvollständig"},
		"fr": {"fr", "Cette adresse est incomplète"}, "es": {"es", "Esta dirección está incompleta"}, "ja": {"ja", "アドレスが不完全です"},
		"zh-CN": {"zh-Hans", "地址不完整"}, "zh-TW,fr": {"fr", "Cette adresse est incomplète"}, "it": {"en", "This address is incomplete"},
	} {
		ctx, cancel := chromedp.NewContext(suite.browser, chromedp.WithNewBrowserContext())
		_, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Test", AcceptLanguage: preferred})
		require.NoError(t, err)
		ctx, cancelTimeout := context.WithTimeout(ctx, patience)
		p := &tab{t, ctx, cancel}
		p.run(chromedp.Navigate(server.URL))
		p.says("ended", want[1])
		language, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.lang"))
		require.NoError(t, err)
		assert.Equal(t, want[0], language, preferred)
		cancelTimeout()
		cancel()
	}
}
