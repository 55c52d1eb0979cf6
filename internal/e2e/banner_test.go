package e2e

import (
	"context"
	"fmt"
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
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	banner(t, session)
	require.NoError(t, d.client.Stop(t.Context(), g.ID))
	p.closed(1000, "stopped_by_admin")
	looksLike(t, session, "banner", "e2e-ended")
	noBanner(t, session)
}

// A daemon that is told to end tells the user, too, before it does. The reason's words are so long here
// that they take more lines than those of any other would.
func TestUserIsToldOfTheShutdown(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	words := strings.TrimSpace(strings.Repeat("The service is shut down. ", 7))
	d := startDaemon(t, options{banner: true, consent: fmt.Sprintf("[consent.texts.reasons]\nshutdown = %q", words)}, session)
	p := view(t, d.grantWithYes("s1", "alice", session).URL)
	before := banner(t, session)
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	p.closed(1001, "shutdown")
	eventually(t, "the banner says why", func() bool { return banner(t, session).Height > before.Height+30 })
	assert.False(t, d.exited(), "it stays for that")
	noBanner(t, session)
	eventually(t, "shadowd has ended", d.exited)
}
