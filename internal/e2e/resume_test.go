package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// A viewer whose user pauses sees the session again on the same connection, whatever its decoders have
// seen before.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	text, err := session.Spawn("xterm", "-geometry", "80x24+50+50", "-e", "sh", "-c", "seq 100000 100500; sleep 1000")
	require.NoError(t, err)
	defer text.Stop(0, patience)
	_, err = session.FindWindow(t.Context(), "xterm")
	require.NoError(t, err)
	d := startDaemon(t, options{banner: true}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	// What noVNC decodes by Tight, before and after a pause.
	p.run(chromedp.Evaluate[chromedp.Void](`{
		const tight = rfb._decoders[7], decode = tight.decodeRect;
		window.tight = 0;
		tight.decodeRect = function (...args) { window.tight++; return decode.apply(this, args); };
	} 0`))
	for range 2 {
		p.resembles(session)
		toggle(t, d, session, shadow.EventPaused)
		require.NoError(t, session.SetRoot(t.Context(), "#208020"))
		toggle(t, d, session, shadow.EventResumed)
		p.resembles(session)
		seen, err := chromedp.Run(p.ctx, chromedp.Evaluate[int]("window.tight"))
		require.NoError(t, err)
		require.NoError(t, session.SetRoot(t.Context(), "#802080"))
		eventually(t, "Tight is used after the pause", func() bool {
			now, err := chromedp.Run(p.ctx, chromedp.Evaluate[int]("window.tight"))
			return err == nil && now > seen
		})
	}
	p.resembles(session)
	require.False(t, p.state().Closed)
}
