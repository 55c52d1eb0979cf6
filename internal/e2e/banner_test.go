package e2e

import (
	"context"
	"fmt"
	"image"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
)

// banner waits for the banner in the session.
func banner(t testing.TB, d *testhost.Desktop) testhost.Window {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := d.FindWindow(ctx, "banner")
	require.NoError(t, err, "no banner in the session")
	return w
}

// noBanner waits until it is gone.
func noBanner(t testing.TB, d *testhost.Desktop) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	assert.NoError(t, d.WaitNoWindow(ctx, "banner"))
}

func TestUserStopsTheViewer(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{banner: true}, session)
	g := d.grantWithYes("s1", "alice", session)
	windows, err := session.Windows(t.Context(), "banner")
	require.NoError(t, err)
	assert.Empty(t, windows, "nobody is viewing yet")
	p := view(t, g.URL)
	w := banner(t, session)
	p.resembles(session) // with the banner in it
	require.NoError(t, session.Click(t.Context(), w.X+w.Width-30, w.Y+w.Height/2))
	p.closed(4002, "stopped_by_user")
	assert.Equal(t, shadow.StoppedByUser, d.event(shadow.EventEnded, g.ID).Reason)
	d.noSource()
	noBanner(t, session)
}

func TestUserIsToldOfTheEnd(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{banner: true}, session)
	told := func() bool {
		g := d.grantWithYes("s1", "alice", session)
		p := view(t, g.URL)
		banner(t, session)
		require.NoError(t, d.client.Stop(t.Context(), g.ID))
		// It is there for four seconds: on a busy machine it may be gone before anybody has looked.
		_, ok := looks(t, session, "banner", "e2e-ended", func(now *image.RGBA) bool { return now != nil })
		p.closed(1000, "stopped_by_admin")
		noBanner(t, session)
		return ok
	}
	for range 6 {
		if told() {
			return
		}
	}
	require.Fail(t, "the banner never said why")
}

// A daemon that is told to end tells the user, too, before it does. The reason's words are so long here
// that they take more lines than those of any other would.
func TestUserIsToldOfTheShutdown(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	words := strings.TrimSpace(strings.Repeat("The service is shut down. ", 7))
	told := func() (ok bool) {
		d := startDaemon(t, options{banner: true, consent: fmt.Sprintf("[consent.texts.reasons]\nshutdown = %q", words)}, session)
		p := view(t, d.grantWithYes("s1", "alice", session).URL)
		before := banner(t, session)
		require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
		for {
			windows, err := session.Windows(t.Context(), "banner")
			require.NoError(t, err)
			if len(windows) == 0 {
				break // it is there for four seconds: on a busy machine it may be gone before anybody has looked
			}
			if windows[0].Height > before.Height+30 {
				ok = true
				assert.False(t, d.exited(), "it stays for that")
				break
			}
		}
		p.closed(1001, "shutdown")
		noBanner(t, session)
		eventually(t, "shadowd has ended", d.exited)
		return ok
	}
	for range 6 {
		if told() {
			return
		}
	}
	require.Fail(t, "the banner never said why")
}
