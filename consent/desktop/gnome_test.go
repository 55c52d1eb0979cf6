package desktop

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/testgnome"
)

// In GNOME the user whose screen is only dark is asked, and whoever comes back answers. One that is locked isn't.
func TestGNOMEShellIsDark(t *testing.T) {
	shell := testgnome.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	require.NoError(t, shell.Settle(ctx, false))
	require.NoError(t, shell.Key(ctx, "Escape")) // it begins with its overview
	require.NoError(t, shell.Settle(ctx, false))
	shell.Set("lock-enabled", "false")
	shell.Blank()
	d := &desk{Desktop: shell.Desktop, t: t, ctx: ctx, answer: make(chan func() (consent.Decision, error), 1)}
	t.Cleanup(d.keepFailure)
	bus := func(r *consent.Request) { r.Bus = shell.Bus }
	d.put(bus)
	d.ready().key("Tab", "Return")
	d.expect(consent.Granted)
	assert.False(t, shell.Active())

	shell.Lock()
	d.ask(bus)
	d.expect(consent.Locked)
	assert.True(t, shell.Locked())
}
