package program

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sh(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"-c", script}}
}

func TestOutput(t *testing.T) {
	t.Setenv("DISPLAY", ":99")
	out, err := Output(t.Context(), sh(`echo "$PWD $DISPLAY $PATH"`))
	require.NoError(t, err)
	assert.Equal(t, "/  "+SearchPath+"\n", string(out))
}

func TestFailures(t *testing.T) {
	_, err := Output(t.Context(), sh(`echo half; echo "no such table" >&2; exit 3`))
	require.ErrorContains(t, err, `/bin/sh: exit status 3: "no such table"`)
	assert.Equal(t, 3, ExitCode(err))

	_, err = Output(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", "exec head -c 100 /dev/zero"}, Max: 99})
	require.ErrorIs(t, err, ErrTooMuch)
	require.ErrorContains(t, err, "printed more than 99 bytes")

	_, err = Output(t.Context(), Command{Path: "/no/such/program"})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Equal(t, -1, ExitCode(err))

	_, err = Output(t.Context(), Command{Path: "sh"})
	require.ErrorContains(t, err, "absolute path")
}

func TestTimeout(t *testing.T) {
	c := sh("sleep 600")
	c.Timeout = 50 * time.Millisecond
	_, err := Output(t.Context(), c)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualError(t, err, "/bin/sh did not answer within 0.05 s")

	// Whoever asks may have less time, or another reason.
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err = Output(ctx, c)
	require.EqualError(t, err, "/bin/sh was stopped: enough")
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tool"), nil, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), nil, 0o644))
	assert.Equal(t, filepath.Join(dir, "tool"), Find("/nonexistent:"+dir, "tool"))
	assert.Empty(t, Find(dir, "text"))
	assert.NotEmpty(t, Find("", "sh"))
}
