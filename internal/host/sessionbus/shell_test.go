package sessionbus

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testgnome"
)

// GNOME's own shell: its saver is ended where it only makes the screen dark, and not where it is locked, or about to be.
func TestGNOMEShell(t *testing.T) {
	shell := testgnome.Start(t)
	conn, err := Dial(t.Context(), shell.Bus)
	require.NoError(t, err)
	defer conn.Close()
	screen := func() (locked bool) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		locked, known := ScreenLocked(ctx, conn)
		require.True(t, known)
		return locked
	}
	shell.Set("lock-enabled", "false")
	shell.Blank()
	assert.False(t, screen(), "it is only dark")
	assert.False(t, shell.Active())

	shell.Set("lock-enabled", "true")
	shell.Blank()
	assert.True(t, screen(), "it will lock by itself")
	assert.True(t, shell.Active())

	shell.Set("lock-enabled", "false")
	shell.Lock()
	assert.True(t, screen(), "it is locked")
	assert.True(t, shell.Active())
	assert.True(t, shell.Locked())
}
