package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow"
)

// Tab knows the sessions that can be shadowed and the shadows that go on, and no files.
func TestCompletion(t *testing.T) {
	socket := daemon(t, &fakeEngine{
		sessions: []*shadow.Session{
			{ID: "c2", User: "ann", UID: 1000, Display: ":1", Type: "x11"},
			{ID: "c3", User: "bob", UID: 1001, Display: ":2", Type: "wayland"},
		},
		list: []shadow.Status{{ID: "ab12", Session: "c2", User: "ann", Admin: "alice", State: shadow.Viewing}},
	})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"shadow", ""}, "c2\tann on :1\n:4\n"},
		{[]string{"shadow", "c2", ""}, ":4\n"},
		{[]string{"doctor", ""}, "c2\tann on :1\n:4\n"},
		{[]string{"stop", ""}, "ab12\tviewing: alice, session c2 of ann\n:4\n"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), "shadowctl", append([]string{"__complete", "--socket", socket}, c.args...), &stdout, &stderr)
		assert.Equal(t, exitDone, status)
		assert.Equal(t, c.want, stdout.String(), c.args)
	}
	var stdout, stderr bytes.Buffer
	run(t.Context(), "shadowctl", []string{"__complete", "--socket", "/nonexistent/socket", "shadow", ""}, &stdout, &stderr)
	assert.Equal(t, ":4\n", stdout.String(), "no daemon, no ids and no error")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		stdout.Reset()
		assert.Equal(t, exitDone, run(t.Context(), "shadowctl", []string{"completion", shell}, &stdout, &stderr))
		assert.Contains(t, stdout.String(), "shadowctl")
	}
}
