package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// --open hands the page's address to xdg-open, and says what is wrong when that isn't possible.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	browser := func(script string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\n"+script), 0o700))
	}
	opened := filepath.Join(dir, "opened")
	page := "http://vda1.corp:6001/#t"
	e := &fakeEngine{}
	e.answer = func(ctx context.Context, r shadow.Request) (*shadow.Grant, error) {
		g, err := granted(ctx, r)
		g.Page = page
		return g, err
	}
	socket := daemon(t, e)
	try := func() (status int, stdout, stderr string) {
		var out, errs bytes.Buffer
		status = run(t.Context(), "shadowctl", []string{"--socket", socket, "shadow", "42", "--admin", "a", "--open"}, &out, &errs)
		return status, out.String(), errs.String()
	}
	t.Setenv("PATH", dir)

	_, _, said := try()
	assert.Contains(t, said, "there is no xdg-open")

	t.Setenv("PATH", dir+":"+os.Getenv("PATH")+":/bin:/usr/bin")
	browser(`printf '%s\n' "$@" > ` + opened)
	status, stdout, said := try()
	assert.Equal(t, exitDone, status, said)
	assert.Equal(t, "ws://vda1.corp:6001/websockify?token=t&x\n", stdout)
	got, err := os.ReadFile(opened)
	require.NoError(t, err)
	assert.Equal(t, page+"\n", string(got))

	browser("echo no browser >&2; exit 3")
	status, _, said = try()
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, said, "xdg-open: exit status 3: no browser")

	page = ""
	status, _, said = try()
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, said, "viewer.page is false")
}
