package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
)

// toggle presses the button Pause or Resume until d says that it has: for half a second after it has changed
// the banner takes no click.
func toggle(t *testing.T, d *daemon, session *testhost.Desktop, kind shadow.EventType) {
	t.Helper()
	before := d.count(kind)
	eventually(t, "the button has had its effect", func() bool {
		w := banner(t, session)
		require.NoError(t, session.Click(t.Context(), w.X+w.Width-112, w.Y+w.Height/2))
		for again := time.Now().Add(10 * time.Second); d.count(kind) == before && time.Now().Before(again); {
			time.Sleep(20 * time.Millisecond)
		}
		return d.count(kind) > before
	})
}

// stop presses Stop.
func stop(t *testing.T, d *testhost.Desktop) {
	t.Helper()
	w := banner(t, d)
	require.NoError(t, d.Click(t.Context(), w.X+w.Width-30, w.Y+w.Height/2))
}

// ruled is a daemon's [consent] with rules for several administrators.
const ruled = `timeout = "20s"
purpose = "required"
purpose_pattern = "^INC-[0-9]+"
purpose_hint = "begin with the ticket's number"
[[consent.rules]]
admins = ["eve"]
answer = "deny"
[[consent.rules]]
admins = ["auditor"]
answer = "notify"
[[consent.rules]]
admins = ["helper"]
answer = "ask"
unanswered = "allow"
locked = "allow"
`

// A reason is demanded, and seen by the user; rules deny, allow after silence, and announce. Whoever may not ask
// disturbs nobody, and what allowed a viewing the banner says.
func TestPurposeAndRules(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{banner: true, consent: ruled}, session)
	ask := func(admin, purpose string) *request {
		return d.asks(api.Request{Session: "s1", Admin: admin, Purpose: purpose})
	}
	for _, purpose := range []string{"", "it flickers"} {
		assert.Contains(t, ask("helper", purpose).refused(shadow.PurposeMissing), "begin with the ticket's number")
	}
	ask("eve", "INC-1").refused(shadow.NotAllowed)
	assert.NotContains(t, d.logged(), `"type":"prompted"`, "somebody was asked")
	windows, err := session.Windows(t.Context(), "consent")
	require.NoError(t, err)
	assert.Empty(t, windows)

	const purpose = "INC-1234 screen flickers"
	r := ask("helper", purpose)
	looksLike(t, session, "consent", "e2e-question")
	g := r.granted()
	e := d.event(shadow.EventGranted, g.ID)
	assert.Equal(t, []string{"3", "unanswered", purpose}, []string{e.Rule, e.Consent, e.Purpose})
	assert.Contains(t, d.logged(), "a rule allows viewing without the user's Yes")
	p := view(t, g.URL)
	looksLike(t, session, "banner", "e2e-unanswered")
	p.resembles(session)
	require.NoError(t, d.client.Stop(t.Context(), g.ID))
	p.closed(1000, "stopped_by_admin")
	d.noSource()

	begun := time.Now()
	r = ask("auditor", purpose)
	looksLike(t, session, "consent", "e2e-notice")
	assert.Empty(t, d.sources(), "the screen is captured before the notice was seen")
	g = r.granted()
	assert.GreaterOrEqual(t, time.Since(begun), 5*time.Second)
	e = d.event(shadow.EventGranted, g.ID)
	assert.Equal(t, []string{"2", "notice"}, []string{e.Rule, e.Consent})
	p = view(t, g.URL)
	p.resembles(session)
	stop(t, session)
	p.closed(4002, "stopped_by_user")

	r = ask("root", purpose) // whom this host knows; no rule is about root
	looksLike(t, session, "consent", "e2e-known")
	press(t, session, "Return")
	r.refused(shadow.Denied)
	var known shadow.Event
	eventually(t, "who was refused", func() bool { known = d.lastEvent(shadow.EventRefused); return known.Admin == "root" })
	assert.Equal(t, []string{"root", "none"}, []string{known.Identity, known.Rule})

	r = ask("auditor", purpose) // Stop was no No
	question(t, session)
	act(t, session, func(ctx context.Context) error { return session.Key(ctx, "Escape") })
	r.refused(shadow.Denied)
}

// The user pauses what is viewed: no frame that noVNC shows meanwhile has a pixel of the session, also not after the page was
// loaded anew. Somebody else's request names the one who is paused, and a No leaves all as it is. Then the viewer sees the whole screen.
func TestPauseAndReload(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{banner: true, viewer: `reconnect = "2m"`}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.resembles(session)
	p.watch()
	require.NoError(t, session.SetRoot(t.Context(), "#884400"))
	eventually(t, "a frame with pixels of the session, which the test would see", func() bool { return p.foreign() > 0 })

	toggle(t, d, session, shadow.EventPaused)
	eventually(t, "the picture of a pause", p.covered)
	p.run(chromedp.Evaluate[chromedp.Void]("state.foreign = state.frames = 0"))
	colours := []string{"#ff0000", "#00ff00", "#0000ff"}
	seen := 0
	hidden := func() { // the viewer asks for everything again and again while the screen changes
		for i := range 10 {
			require.NoError(t, session.SetRoot(t.Context(), colours[i%len(colours)]))
			p.run(chromedp.Evaluate[chromedp.Void]("rfb.constructor.messages.fbUpdateRequest(rfb._sock, false, 0, 0, rfb._fbWidth, rfb._fbHeight)"))
			eventually(t, "another frame", func() bool { return p.frames() > seen })
			seen = p.frames()
			require.Zero(t, p.foreign(), "pixels of the session")
			require.True(t, p.covered())
		}
	}
	hidden()
	d.noSource()

	r := d.ask("s1", "bob")
	looksLike(t, session, "consent", "e2e-takeover")
	press(t, session, "Return")
	r.refused(shadow.Denied)
	require.True(t, p.covered())

	p.run(chromedp.Reload())
	d.event(shadow.EventAway, g.ID)
	d.event(shadow.EventReturned, g.ID)
	eventually(t, "the picture of a pause, after a reload", p.covered)
	seen = 0
	hidden()
	toggle(t, d, session, shadow.EventResumed)
	p.resembles(session)
}

// A viewer whose connection is cut comes back with its token and without a question. Meanwhile nobody else does with it, the
// banner says so, and somebody else's request names the one who is away. A Yes to that ends it, and Stop the next one's way back.
func TestCutOff(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{banner: true, viewer: `reconnect = "2m"`}, session)
	g := d.grantWithYes("s1", "alice", session)
	line := newCable(t, g.Port)
	p := view(t, line.url(g.URL))
	p.resembles(session)
	watched := banner(t, session)
	away := func() {
		line.cut()
		p.wait("the viewer is cut off", func(s pageState) bool { return s.Closed })
		eventually(t, "it may return", func() bool {
			list, err := d.client.List(t.Context())
			return err == nil && list[0].State == shadow.Away
		})
	}
	away()
	eventually(t, "the banner says so", func() bool { return banner(t, session).Width != watched.Width })
	d.noSource()

	code, data := rawUpgradeFrom(t, "127.0.0.2", g.URL, nil)
	assert.Equal(t, 1008, code, "a thief with the token, elsewhere")
	assert.Empty(t, data)
	assert.Contains(t, d.event(shadow.EventRejected, g.ID).Viewer, "127.0.0.2")
	r := d.ask("s1", "bob")
	question(t, session)
	press(t, session, "Return")
	r.refused(shadow.Denied)

	p.run(chromedp.Evaluate[chromedp.Void]("state.closed = state.connected = false; connect(location.hash.slice(1))"))
	d.event(shadow.EventReturned, g.ID)
	p.wait("the viewer is back", func(s pageState) bool { return s.Connected })
	require.NoError(t, session.SetRoot(t.Context(), "#206080"))
	p.resembles(session)
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		_, err := dialFrom(t, from, g.Port)
		assert.Error(t, err, "the port listens although its viewer is there")
	}

	away()
	r = d.ask("s1", "daemon") // whom this host knows: another name that is only stated would wait
	yes(t, session)
	second := r.granted()
	assert.Equal(t, shadow.Superseded, d.event(shadow.EventEnded, g.ID).Reason)
	line = newCable(t, second.Port)
	p = view(t, line.url(second.URL))
	away()
	eventually(t, "Stop counts while the viewer is away", func() bool {
		stop(t, session)
		list, err := d.client.List(t.Context())
		return err == nil && len(list) == 0
	})
	assert.Equal(t, shadow.StoppedByUser, d.event(shadow.EventEnded, second.ID).Reason)
	_, err := dialFrom(t, "127.0.0.1", second.Port)
	assert.Error(t, err, fmt.Sprintf("port %d still listens", second.Port))
}
