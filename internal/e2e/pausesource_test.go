package e2e

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// Sources of other programs are closed in a pause, too, and what they open anew shows the session as it is then.
func TestPauseOfOtherSources(t *testing.T) {
	t.Parallel()
	for kind, source := range map[string]func(t *testing.T, session *testhost.Desktop) string{
		"x11vnc": func(*testing.T, *testhost.Desktop) string { return `kind = "x11vnc"` },
		"dial": func(t *testing.T, session *testhost.Desktop) string {
			return fmt.Sprintf("kind = \"dial\"\ndial = \"tcp:127.0.0.1:%d\"", rfbServer(t, session))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, "x11vnc", "x11vnc")
			session := desktop(t)
			d := startDaemon(t, options{banner: true, source: source(t, session)}, session)
			g := d.grantWithYes("s1", "alice", session)
			p := view(t, g.URL)
			p.resembles(session)
			p.watch()
			toggle(t, d, session, shadow.EventPaused)
			eventually(t, "the picture of a pause", p.covered)
			p.run(chromedp.Evaluate[chromedp.Void]("state.foreign = state.frames = 0"))
			seen := 0
			for _, colour := range []string{"#ff0000", "#00ff00", "#0000ff"} { // the viewer asks for everything while the screen changes
				require.NoError(t, session.SetRoot(t.Context(), colour))
				p.run(chromedp.Evaluate[chromedp.Void]("rfb.constructor.messages.fbUpdateRequest(rfb._sock, false, 0, 0, rfb._fbWidth, rfb._fbHeight)"))
				eventually(t, "another frame", func() bool { return p.frames() > seen })
				seen = p.frames()
				require.Zero(t, p.foreign(), "pixels of the session")
				require.True(t, p.covered())
			}
			toggle(t, d, session, shadow.EventResumed)
			p.resembles(session)
		})
	}
}

// rfbServer is the port of a server of the session's own.
func rfbServer(t *testing.T, session *testhost.Desktop) int {
	t.Helper()
	port := freePort(t)
	vnc, err := child.Start(exec.Command("x11vnc", "-display", session.Display, "-auth", session.Xauthority, "-localhost",
		"-rfbport", strconv.Itoa(port), "-nopw", "-forever", "-shared", "-quiet", "-noipv6", "-no6"), session.Identity)
	require.NoError(t, err)
	t.Cleanup(func() { vnc.Stop(0, 5*time.Second) })
	listening(t, port)
	return port
}
