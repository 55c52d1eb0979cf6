package logs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/cmd/websockify/internal/logs"
)

func newLog(b *strings.Builder, json, verbose bool) *logs.Log {
	at := time.Date(2026, time.November, 22, 11, 55, 44, 0, time.UTC)
	return logs.New(logs.Options{JSON: json, Verbose: verbose, Sinks: []logs.Sink{logs.ToWriter(b)}, Now: func() time.Time { return at }})
}

func write(l *logs.Log) {
	l.Info("  - Listen on :6080")
	l.Client(logs.Info, "192.0.2.1", "Token not present", logs.F("status", 403))
	l.Access(logs.Warn, "192.0.2.1", "Path: '/\n\x1b[31m\u0085é'", logs.F("error", errors.New("broken")), logs.F("took", 1500*time.Millisecond))
	l.Debug("more")
}

func TestClassic(t *testing.T) {
	var b strings.Builder
	write(newLog(&b, false, false))
	assert.Equal(t, "  - Listen on :6080\n192.0.2.1: Token not present\n192.0.2.1 - - [22/Nov/2026 11:55:44] Path: '/\\x0a\\x1b[31m\\x85é'\n", b.String())
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	write(newLog(&b, true, true))
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	assert.JSONEq(t, `{"level":"info","time":"2026-11-22T11:55:44Z","message":"Listen on :6080"}`, lines[0])
	assert.JSONEq(t, `{"level":"info","time":"2026-11-22T11:55:44Z","remote":"192.0.2.1","status":403,"message":"Token not present"}`, lines[1])
	assert.JSONEq(t, `{"level":"warn","time":"2026-11-22T11:55:44Z","remote":"192.0.2.1","error":"broken","took":1.5,"message":"Path: '/\n\u001b[31m\u0085é'"}`, lines[2])
	assert.JSONEq(t, `{"level":"debug","time":"2026-11-22T11:55:44Z","message":"more"}`, lines[3])
}

func TestZeroLogIsSilent(t *testing.T) { write(new(logs.Log)) }
