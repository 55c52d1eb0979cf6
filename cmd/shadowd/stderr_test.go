package main

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
)

// startAuditingTo starts a shadowd whose audit goes where its log goes, into a small pipe.
func startAuditingTo(t *testing.T) (p *program, r *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	require.NoError(t, err)
	p = startProgramAuditing(t, t.TempDir(), "", "", "user = \"nobody\"\ndisplay = \":64001\"\n", w, allows)
	require.NoError(t, w.Close())
	return p, r
}

// refused asks, and is why nothing comes of it.
func (p *program) refused(t *testing.T) shadow.Reason {
	t.Helper()
	_, err := p.Shadow(t.Context(), api.Request{Session: "1", Admin: somebody()})
	var problem *api.Problem
	require.ErrorAs(t, err, &problem)
	return problem.Reason
}

// An audit whose reader has gone has no requests recorded, so each is refused. shadowd lives, and says why.
func TestAuditWhoseReaderHasGone(t *testing.T) {
	p, r := startAuditingTo(t)
	require.NoError(t, r.Close())
	for range 10 {
		require.Equal(t, shadow.AuditFailed, p.refused(t))
	}
	health, err := p.Health(t.Context())
	require.NoError(t, err)
	assert.Contains(t, health.Audit, "broken pipe")
	p.ends(t)
	assert.Zero(t, p.ProcessState.ExitCode(), "%v", p.ProcessState)
}

// So it is with one whose reader doesn't read; once it does, requests are recorded again, and what was kept
// meanwhile is there, in order and each line once.
func TestAuditWhoseReaderDoesNotRead(t *testing.T) {
	p, r := startAuditingTo(t)
	asked, failed := 0, 0
	for failed < 2 { // which takes a pipe's room and five seconds each
		require.Less(t, asked, 100)
		if asked++; p.refused(t) == shadow.AuditFailed {
			failed++
		}
	}
	health, err := p.Health(t.Context())
	require.NoError(t, err)
	assert.Contains(t, health.Audit, "has taken no line")

	lines := make(chan shadow.Event, 1000)
	go func() {
		defer close(lines)
		for log := bufio.NewScanner(r); log.Scan(); {
			var e shadow.Event
			if assert.NoError(t, json.Unmarshal(log.Bytes(), &e), "%s", log.Bytes()) && e.Type != "" {
				lines <- e
			}
		}
	}()
	require.Eventually(t, func() bool { asked++; return p.refused(t) == shadow.SourceFailed }, 5*time.Minute, 10*time.Millisecond)
	p.ends(t)
	assert.Zero(t, p.ProcessState.ExitCode(), "%v", p.ProcessState)
	steps := map[string][]shadow.EventType{}
	for e := range lines {
		steps[e.ID] = append(steps[e.ID], e.Type)
	}
	assert.Len(t, steps, asked)
	for id, of := range steps {
		assert.Equal(t, shadow.EventRequested, of[0], id)
		assert.Equal(t, shadow.EventRefused, of[len(of)-1], id)
		assert.LessOrEqual(t, len(of), 3, "%s: %v", id, of)
	}
}

// The end waits for no reader either.
func TestEndWhileNobodyReadsTheAudit(t *testing.T) {
	p, _ := startAuditingTo(t)
	for asked := 0; p.refused(t) != shadow.AuditFailed; asked++ {
		require.Less(t, asked, 100)
	}
	p.ends(t)
}
