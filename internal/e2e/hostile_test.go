package e2e

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// What a session's user may do to the processes that run as him: he stops them, and they answer nobody.

// A source that was stopped shows a screen that isn't so any more: the view ends, and the viewer is told.
func TestUserStopsTheSource(t *testing.T) {
	t.Parallel()
	for kind, lines := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			session := desktop(t)
			d := startDaemon(t, options{source: lines}, session)
			g := d.grantWithYes("s1", "alice", session)
			p := view(t, g.URL)
			p.resembles(session)
			pids := d.sources()
			require.Len(t, pids, 1)
			require.NoError(t, syscall.Kill(pids[0], syscall.SIGSTOP))
			p.closed(1011, "source_failed")
			assert.Equal(t, shadow.SourceFailed, d.event(shadow.EventEnded, g.ID).Reason)
			d.noSource()
		})
	}
}

// With all of them stopped, the banner too, an administrator's stop is answered, the viewer is told, and another
// view is asked for as ever. The end of the daemon, which every test looks at, waits for none.
func TestUserStopsEverything(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{banner: true}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.resembles(session)
	d.event(shadow.EventConnected, g.ID)
	find := func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := session.FindWindow(ctx, "banner")
		require.NoError(t, err)
	}
	find()
	for _, pid := range childrenOf(d.cmd.Process.Pid) {
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, d.client.Stop(ctx, g.ID))
	p.closed(1000, "stopped_by_admin")
	assert.Equal(t, shadow.StoppedByAdmin, d.event(shadow.EventEnded, g.ID).Reason)
	assert.Empty(t, d.listening())

	second := d.grantWithYes("s1", "bob", session)
	q := view(t, second.URL)
	q.resembles(session)
	for _, pid := range childrenOf(d.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // some end just now
	}
}
