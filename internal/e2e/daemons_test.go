package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testlogind"
	"vda.internal/shadow/internal/testnotify"
)

// Two daemons with sockets of their own put one question to a display at a time, in whichever way each of
// them asks.
func TestTwoDaemonsOnOneDisplay(t *testing.T) {
	own := child.Own() // whose bus the test's is
	session := testhost.Require(t, testhost.Options{WindowManager: true, Identity: &own})
	bus := testlogind.StartBus(t)
	service := testnotify.Start(t, bus, "actions", "body")
	byWindow := startDaemon(t, options{}, session)
	byNotice := startDaemon(t, options{consent: `prompter = "notify"`, bus: bus}, session)

	first := byWindow.ask("s1", "alice")
	question(t, session)
	assert.Contains(t, byNotice.ask("s1", "bob").refused(shadow.PromptBusy), "another question")
	assert.Empty(t, service.Shown, "a second question was put")
	press(t, session, "Return")
	first.refused(shadow.Denied)

	second := byNotice.ask("s1", "bob")
	select {
	case n := <-service.Shown:
		// An account of the host, which needn't wait for the No that another name was given.
		assert.Contains(t, byWindow.ask("s1", userName(t, 2)).refused(shadow.PromptBusy), "another question")
		service.Invoke(n.ID, "no")
	case <-time.After(patience):
		require.FailNow(t, "no notification")
	}
	second.refused(shadow.Denied)
}
