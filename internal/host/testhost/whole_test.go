package testhost_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// A screen on which nothing is painted is no desktop, however long it has been still.
func TestSettle(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	assert.ErrorContains(t, d.Settle(ctx, true), "has painted nothing")
	require.NoError(t, d.Settle(t.Context(), false))
	img, err := d.Screenshot(t.Context())
	require.NoError(t, err)
	assert.True(t, testhost.Uniform(img))
}

// A desktop is there when its window manager is, and something is painted.
func TestFurnish(t *testing.T) {
	testenv.Program(t, "dbus-run-session", "dbus")
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	assert.ErrorContains(t, d.Furnish(ctx, testhost.Whole{Program: "none", Shell: "exit 3"}), "none ended: exit code 3")
	require.NoError(t, d.Furnish(ctx, testhost.Whole{Program: "openbox", Shell: "(sleep 5; exec xclock) & exec openbox --sm-disable"}))
	img, err := d.Screenshot(ctx)
	require.NoError(t, err)
	assert.False(t, testhost.Uniform(img))
}
