package consent_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/runas"
	"vda.internal/shadow/internal/host/testhost"
)

// self is a request of a session that belongs to whoever runs the test.
func self() consent.Request {
	return consent.Request{Admin: `CORP\alice`, Host: "vda1.corp.example", Session: "4\u202e2\n", Display: ":99", User: account(os.Getuid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
}

// account is the name of the user with that number, as far as it matters.
func account(uid int) string {
	if uid == 0 {
		return "root" // who runs these tests so means it
	}
	return "user"
}

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestFixed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d, err := consent.Deny{}.Ask(ctx, self())
	require.NoError(t, err)
	assert.Equal(t, consent.Denied, d)
	d, err = consent.Allow{}.Ask(ctx, self())
	require.NoError(t, err)
	assert.Equal(t, consent.Granted, d)
	cancel()
	d, err = consent.Allow{}.Ask(ctx, self())
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, consent.Denied, d)
}

func TestExecStatus(t *testing.T) {
	for script, want := range map[string]consent.Decision{"exit 0": consent.Granted, "exit 1": consent.Denied, "exit 2": consent.Closed, "exit 4": consent.Locked, "exit 5": consent.TimedOut} {
		d, err := consent.Exec{Run: runas.Run, Command: sh(script)}.Ask(t.Context(), self())
		require.NoError(t, err, script)
		assert.Equal(t, want, d, script)
	}
	for script, says := range map[string]string{"exit 3": "exit status 3", "echo oh dear >&2; exit 255": "oh dear", "kill -9 $$": "killed"} {
		d, err := consent.Exec{Run: runas.Run, Command: sh(script)}.Ask(t.Context(), self())
		assert.ErrorContains(t, err, says, script)
		assert.Equal(t, consent.Denied, d, script)
	}
	d, err := consent.Exec{Run: runas.Run, Command: sh("exit 0"), Texts: consent.Texts{Sees: "Nothing"}}.Ask(t.Context(), self())
	assert.ErrorContains(t, err, "must hold {host}")
	assert.Equal(t, consent.Denied, d)
	for _, command := range [][]string{nil, {"/nonexistent/dialog"}} {
		d, err := consent.Exec{Run: runas.Run, Command: command}.Ask(t.Context(), self())
		assert.Error(t, err)
		assert.Equal(t, consent.Denied, d)
	}
}

// Without anything to run the command, nothing is asked.
func TestExecWithoutRun(t *testing.T) {
	d, err := consent.Exec{Command: sh("exit 0")}.Ask(t.Context(), self())
	require.EqualError(t, err, "consent: Exec.Run is nil: nothing runs the command")
	assert.Equal(t, consent.Denied, d)
}

// Only an exit status is an answer: what went wrong with running is none, and beats the end of the time.
func TestExecRun(t *testing.T) {
	broken := errors.New("no process left")
	ask := consent.Exec{Command: sh("exit 0"), Run: func(context.Context, *exec.Cmd, consent.Request) error { return broken }}
	d, err := ask.Ask(t.Context(), self())
	require.ErrorIs(t, err, broken)
	assert.Equal(t, consent.Denied, d)
}

func TestExecEnvironment(t *testing.T) {
	out := filepath.Join(t.TempDir(), "env")
	r := self()
	r.Admin, r.Replaces, r.Xauthority, r.Timeout = "CORP\\alice\n$(reboot)", `CORP\bob`, "/run/cookie", 9500*time.Millisecond
	r.Purpose = "“a”\n$(reboot)"
	r.Locale = "de:de_AT.ISO-8859-1"
	_, err := consent.Exec{Run: runas.Run, Command: sh("env -0 > " + out), Texts: consent.Texts{Yes: "Unbedingt"}}.Ask(t.Context(), r)
	require.NoError(t, err)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	env := map[string]string{}
	for l := range strings.SplitSeq(strings.TrimSuffix(string(b), "\x00"), "\x00") {
		name, value, _ := strings.Cut(l, "=")
		env[name] = value
	}
	delete(env, "PWD") // the shell's own
	delete(env, "_")
	question := env["CONSENT_QUESTION"]
	delete(env, "CONSENT_QUESTION")
	assert.Equal(t, map[string]string{
		"DISPLAY": ":99", "XAUTHORITY": "/run/cookie", "PATH": "/usr/bin:/bin", "LANG": "de_AT.UTF-8", "LANGUAGE": "de:de_AT",
		"CONSENT_ADMIN": `CORP\alice $(reboot)`, "CONSENT_ACCOUNT": "", "CONSENT_HOST": "vda1.corp.example", "CONSENT_REPLACES": `CORP\bob`, "CONSENT_PURPOSE": "'a' $(reboot)",
		"CONSENT_SESSION": "42", "CONSENT_TIMEOUT": "10", "CONSENT_YES": "Unbedingt", "CONSENT_NO": "Nein",
		"CONSENT_TITLE": `CORP\alice $(reboot) möchte Ihren Bildschirm sehen`,
	}, env)
	assert.Equal(t, `CORP\alice $(reboot) möchte Ihren Bildschirm sehen

Dieser Name stammt aus der Anfrage; dieser Rechner konnte ihn nicht überprüfen.
Angegebener Grund: „'a' $(reboot)“
Dabei ist alles zu sehen, was Sie auf vda1.corp.example sehen.
Maus und Tastatur bedienen weiterhin nur Sie.
CORP\bob sieht gerade zu und wird getrennt, wenn Sie mit Ja antworten.
Ohne Antwort in 10 s gilt Nein`, question)
}

// A program that asks is told the account where this host knows it.
func TestExecIdentity(t *testing.T) {
	r := self()
	r.Admin, r.Identity = "boss", consent.Identity{Account: "alice", Name: "Alice Ng"}
	d, err := consent.Exec{Run: runas.Run, Command: sh(`test "$CONSENT_ADMIN" = "Alice Ng (alice)" && test "$CONSENT_ACCOUNT" = alice`)}.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, consent.Granted, d)
}

func TestExecDeadline(t *testing.T) {
	// It heeds no signal, grants when it gets one, and leaves a child behind.
	out := filepath.Join(t.TempDir(), "pid")
	script := "trap 'exit 0' TERM; sleep 1000 & echo $! > " + out + "; wait"
	for limit := 300 * time.Millisecond; ; limit *= 4 { // until the program has begun in time
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		d, err := consent.Exec{Run: runas.Run, Command: sh(script)}.Ask(ctx, self())
		cancel()
		require.NoError(t, err)
		require.Equal(t, consent.TimedOut, d, "exit 0 after the end is no Yes")
		if pid, ok := testhost.PID(out); ok {
			testhost.RequireGone(t, pid)
			break
		}
		require.Less(t, limit, time.Minute, "it never began in time")
	}

	r := self()
	r.Timeout = 100 * time.Millisecond
	d, err := consent.Exec{Run: runas.Run, Command: sh("sleep 1000")}.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, consent.TimedOut, d, "without a deadline the request's timeout is one")

	why := errors.New("the administrator gave up")
	ctx2, cancel2 := context.WithCancelCause(t.Context())
	cancel2(why)
	d, err = consent.Exec{Run: runas.Run, Command: sh("exit 0")}.Ask(ctx2, self())
	assert.ErrorIs(t, err, why)
	assert.Equal(t, consent.Denied, d)
}
