package e2e

import (
	"image/color"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
)

// toggle presses the button beside Stop.
func toggle(t *testing.T, d *testhost.Desktop) {
	t.Helper()
	w := banner(t, d)
	require.NoError(t, d.Click(t.Context(), w.X+w.Width-112, w.Y+w.Height/2))
}

// The user pauses what is viewed: no canvas that noVNC shows meanwhile has a pixel of the session. The
// page that is loaded anew during the pause comes back, and still sees nothing. Then it sees the whole screen.
func TestPauseAndReload(t *testing.T) {
	session := desktop(t)
	d := startDaemon(t, options{banner: true, viewer: `reconnect = "60s"`}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.resembles(session)

	toggle(t, session)
	d.event(shadow.EventPaused, g.ID)
	covered := func() int {
		foreign, canvas := 0, p.canvas()
		if canvas == nil || canvas.Rect.Dx() < 1000 {
			return -1 // it isn't drawn
		}
		for y := range canvas.Rect.Dy() {
			for x := range canvas.Rect.Dx() {
				c := canvas.RGBAAt(canvas.Rect.Min.X+x, canvas.Rect.Min.Y+y)
				if c != (color.RGBA{0x1d, 0x25, 0x2d, 0xff}) && c != (color.RGBA{0xd5, 0xdc, 0xe2, 0xff}) {
					foreign++
				}
			}
		}
		return foreign
	}
	eventually(t, "the picture of a pause", func() bool { return covered() == 0 })
	colours := []string{"#ff0000", "#00ff00", "#0000ff"}
	for i := range 15 {
		require.NoError(t, session.SetRoot(t.Context(), colours[i%len(colours)]))
		require.Zero(t, covered(), "pixels of the session")
	}
	d.noSource()

	p.run(chromedp.Reload())
	d.event(shadow.EventAway, g.ID)
	d.event(shadow.EventReturned, g.ID)
	eventually(t, "the picture of a pause, after a reload", func() bool { return covered() == 0 })
	toggle(t, session)
	d.event(shadow.EventResumed, g.ID)
	p.resembles(session)
}

// A notice must have been seen for five seconds before there is a picture; a rule that denies asks nobody.
func TestRules(t *testing.T) {
	session := desktop(t)
	d := startDaemon(t, options{banner: true, consent: "purpose = \"optional\"\n[[consent.rules]]\nadmins = [\"eve\"]\nanswer = \"deny\"\n[[consent.rules]]\nanswer = \"notify\"\n"}, session)
	refused := d.ask("s1", "eve")
	refused.wait()
	require.ErrorContains(t, refused.err, "not_allowed")

	begun := time.Now()
	r := d.ask("s1", "alice")
	question(t, session)
	g := r.granted()
	assert.GreaterOrEqual(t, time.Since(begun), 5*time.Second)
	e := d.event(shadow.EventGranted, g.ID)
	assert.Equal(t, "2", e.Rule)
	assert.Equal(t, "notice", e.Consent)
	p := view(t, g.URL)
	p.resembles(session)
	require.NoError(t, d.client.Stop(t.Context(), g.ID))
}
