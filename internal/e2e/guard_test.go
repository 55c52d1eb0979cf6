package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/testlogind"
)

// Switching shadowing off ends what is being watched, soon and with a word.
func TestSwitchedOffWhileSomebodyWatches(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.shows(session)
	require.NoError(t, config.Set(d.config, ctxreg.EnableSessionShadowing, 0))
	p.closed(1008, "disabled")
	e := d.event(shadow.EventEnded, g.ID)
	assert.Equal(t, shadow.Disabled, e.Reason)
	assert.Equal(t, "EnableSessionShadowing is 0", e.Detail)
	d.noSource()
	d.ask("s1", "alice").refused(shadow.Disabled)

	require.NoError(t, config.Set(d.config, ctxreg.EnableSessionShadowing, 1))
	d.grantWithYes("s1", "alice", session)
}

// A session that ends takes its shadow with it, even if its X server stays.
func TestSessionEndsWhileSomebodyWatches(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	leader, err := session.Spawn("sleep", "1000") // which has the session's DISPLAY and XAUTHORITY
	require.NoError(t, err)
	logind := testlogind.Start(t)
	add := func(id string) {
		logind.Add(id, session.Identity.UID, map[string]any{"Name": userName(t, session.Identity.UID), "Leader": uint32(leader.PID()), "Display": ""})
	}
	add("c2")
	d := startDaemon(t, options{logind: logind.Address})
	sessions, err := d.client.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	assert.True(t, sessions[0].Shadowable, "%+v", sessions[0])
	assert.Equal(t, session.Display, sessions[0].Display)

	g := d.grantWithYes("c2", "alice", session)
	p := view(t, g.URL)
	p.shows(session)
	logind.Remove("c2")
	p.closed(1001, "session_ended")
	assert.Equal(t, shadow.SessionEnded, d.event(shadow.EventEnded, g.ID).Reason)
	d.noSource()
	d.ask("c2", "alice").refused(shadow.NoSession)

	// While the user is asked, too.
	add("c3")
	r := d.ask("c3", "alice")
	question(t, session)
	logind.Remove("c3")
	r.refused(shadow.SessionEnded)
}
