package consent_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/runas"
	"vda.internal/shadow/internal/host/testhost"
)

// example is the command of an example of ../dist, where every user can run it.
func example(t *testing.T, name string) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "dist", name))
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "example-") // t.TempDir is the tester's alone
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, script, 0o755))
	require.NoError(t, os.Chmod(path, 0o755))
	return path
}

// The example for zenity, with zenity.
func TestZenity(t *testing.T) {
	t.Parallel()
	command := []string{example(t, "ask-zenity")}
	for name, c := range map[string]struct {
		keys []string
		want consent.Decision
	}{
		"nothing":       {nil, consent.TimedOut},
		"Enter":         {[]string{"Return"}, consent.Denied},
		"Escape":        {[]string{"Escape"}, consent.Denied},
		"Yes":           {[]string{"Tab", "Return"}, consent.Granted},
		"window closed": {[]string{"alt+F4"}, consent.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testhost.Require(t, testhost.Options{Width: 640, Height: 480, WindowManager: true})
			r := self()
			r.Display, r.Xauthority, r.UID, r.GID = d.Display, d.Xauthority, d.Identity.UID, d.Identity.GID
			r.Admin, r.Timeout = `CORP\nina <b>&amp;`, 3*time.Minute
			if c.keys == nil {
				r.Timeout = 2 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			answer := make(chan consent.Decision, 1)
			failed := make(chan error, 1)
			go func() {
				got, err := consent.Exec{Run: runas.Run, Command: command}.Ask(ctx, r)
				failed <- err
				answer <- got
			}()
			if c.keys == nil {
				// zenity's own time and the request's end together, and mean the same.
				require.NoError(t, <-failed)
				assert.Equal(t, c.want, <-answer)
				return
			}
			w, err := d.FindWindow(ctx, "zenity")
			require.NoError(t, err)
			id := strconv.FormatUint(uint64(w.ID), 10)
			_, err = d.Run(ctx, "xdotool", "windowactivate", "--sync", id)
			require.NoError(t, err)
			title, err := d.Run(ctx, "xdotool", "getwindowname", id)
			require.NoError(t, err)
			assert.Equal(t, `CORP\nina <b>&amp; wants to view your screen`, strings.TrimSpace(string(title)))
			require.NoError(t, d.Key(ctx, c.keys...))
			for answered := false; !answered; {
				select {
				case err := <-failed:
					require.NoError(t, err)
					answered = true
				case <-time.After(3 * time.Second):
					if len(c.keys) == 1 { // the window manager may not have listened yet
						_ = d.Key(ctx, c.keys...)
					}
				}
			}
			assert.Equal(t, c.want, <-answer)
		})
	}
}

// The example for kdialog, with a program in kdialog's place that does as that does.
func TestKDialog(t *testing.T) {
	dir := filepath.Dir(example(t, "ask-kdialog"))
	script := filepath.Join(dir, "ask-kdialog")
	out := filepath.Join(dir, "args")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kdialog"), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" > "+out+"; eval \"$CONSENT_SESSION\"\n"), 0o755))
	command := []string{"/usr/bin/env", "PATH=" + dir + ":/usr/bin:/bin", script}
	for does, want := range map[string]consent.Decision{
		"echo yes": consent.Granted, "echo no": consent.Denied, "exit 1": consent.Closed, "echo yes; exit 1": consent.Closed, "exec sleep 60": consent.TimedOut,
	} {
		r := self()
		r.Session, r.Timeout = does, 5*time.Minute
		if want == consent.TimedOut {
			r.Timeout = 2 * time.Second
		}
		got, err := consent.Exec{Run: runas.Run, Command: command}.Ask(t.Context(), r)
		require.NoError(t, err, does)
		assert.Equal(t, want, got, does)
	}
	for _, does := range []string{"exit 0", "echo maybe", "echo yes; exit 2", "exit 255", "echo yes; kill -9 $$", "echo yes; echo yes"} {
		r := self()
		r.Session = does
		got, err := consent.Exec{Run: runas.Run, Command: command}.Ask(t.Context(), r)
		assert.ErrorContains(t, err, "gave no answer", does)
		assert.Equal(t, consent.Denied, got, does)
	}
	r := self()
	r.Admin, r.Session = `CORP\nina <b>`, "exit 1"
	_, err := consent.Exec{Run: runas.Run, Command: command}.Ask(t.Context(), r)
	require.NoError(t, err)
	args, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, `--title
CORP\nina <b> wants to view your screen
--default
No
--menu
CORP\\nina ‹b› wants to view your screen

The caller gave this name; this computer could not verify it.
They will see everything that you see on vda1.corp.example.
They cannot use your mouse or keyboard.
No answer in 20 s counts as No
no
No
yes
Yes
`, string(args))
}
