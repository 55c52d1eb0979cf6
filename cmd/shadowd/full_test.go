package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/source"
)

// A disk without room for the audit refuses requests; with room, all that happened is on it,
// each step once.
func TestAuditOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		testenv.Lack(t, "a small file system can't be mounted: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	cfg := config.Default()
	cfg.Log.Audit = filepath.Join(dir, "audit.log")
	out, err := openOutputs(cfg, io.Discard)
	require.NoError(t, err)
	defer out.close()
	m, err := shadow.New(shadow.Config{
		Sessions: sessions.Static{}, Prompter: consent.Deny{}, Source: &source.X11vnc{}, Audit: out.audit,
	})
	require.NoError(t, err)
	ask := func() shadow.Reason {
		_, err := m.Shadow(t.Context(), shadow.Request{Session: "none", Admin: strings.Repeat("a", 700)})
		var r *shadow.End
		require.ErrorAs(t, err, &r)
		return r.Reason
	}
	asked := 0
	for reason := shadow.NoSession; reason == shadow.NoSession; reason = ask() { // until the disk is full
		asked++
		require.Less(t, asked, 100)
	}
	assert.ErrorIs(t, m.Audit().Err, syscall.ENOSPC)
	require.Equal(t, shadow.AuditFailed, ask())

	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	require.NoError(t, m.Shutdown(ctx))
	assert.Zero(t, m.Audit().Waiting)
	data, err := os.ReadFile(cfg.Log.Audit)
	require.NoError(t, err)
	count := map[string]int{}
	for line := range bytes.Lines(data) {
		var e shadow.Event
		require.NoError(t, json.Unmarshal(line, &e), "%s", line)
		count[e.ID]++
	}
	assert.Len(t, count, asked+1)
	for id, lines := range count {
		assert.Equal(t, 2, lines, id)
	}
}
