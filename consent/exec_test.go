package consent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
)

// self is a request of a session that belongs to whoever runs the test.
func self() Request {
	return Request{Admin: `CORP\alice`, Host: "vda1.corp.example", Session: "4\u202e2\n", Display: ":99", User: account(os.Getuid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
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
	d, err := Deny{}.Ask(ctx, self())
	require.NoError(t, err)
	assert.Equal(t, Denied, d)
	d, err = Allow{}.Ask(ctx, self())
	require.NoError(t, err)
	assert.Equal(t, Granted, d)
	cancel()
	d, err = Allow{}.Ask(ctx, self())
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, Denied, d)
}

func TestExecStatus(t *testing.T) {
	for script, want := range map[string]Decision{"exit 0": Granted, "exit 1": Denied, "exit 2": Closed, "exit 4": Locked, "exit 5": TimedOut} {
		d, err := Exec{Command: sh(script)}.Ask(t.Context(), self())
		require.NoError(t, err, script)
		assert.Equal(t, want, d, script)
	}
	for script, says := range map[string]string{"exit 3": "exit status 3", "echo oh dear >&2; exit 255": "oh dear", "kill -9 $$": "killed"} {
		d, err := Exec{Command: sh(script)}.Ask(t.Context(), self())
		assert.ErrorContains(t, err, says, script)
		assert.Equal(t, Denied, d, script)
	}
	d, err := Exec{Command: sh("exit 0"), Texts: Texts{Sees: "Nothing"}}.Ask(t.Context(), self())
	assert.ErrorContains(t, err, "must hold {host}")
	assert.Equal(t, Denied, d)
	for _, command := range [][]string{nil, {"/nonexistent/dialog"}} {
		d, err := Exec{Command: command}.Ask(t.Context(), self())
		assert.Error(t, err)
		assert.Equal(t, Denied, d)
	}
}

func TestExecEnvironment(t *testing.T) {
	out := filepath.Join(t.TempDir(), "env")
	r := self()
	r.Admin, r.Replaces, r.Xauthority, r.Timeout = "CORP\\alice\n$(reboot)", `CORP\bob`, "/run/cookie", 9500*time.Millisecond
	r.Purpose = "“a”\n$(reboot)"
	r.Locale = "de:de_AT.ISO-8859-1"
	_, err := Exec{Command: sh("env -0 > " + out), Texts: Texts{Yes: "Unbedingt"}}.Ask(t.Context(), r)
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
	r.Admin, r.Identity = "boss", Identity{Account: "alice", Name: "Alice Ng"}
	d, err := Exec{Command: sh(`test "$CONSENT_ADMIN" = "Alice Ng (alice)" && test "$CONSENT_ACCOUNT" = alice`)}.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, Granted, d)
}

func TestExecLocale(t *testing.T) {
	for locale, want := range map[string][]string{
		"":                     {"LANG=C.UTF-8"},
		"C":                    {"LANG=C.UTF-8"},
		"de":                   {"LANG=C.UTF-8", "LANGUAGE=de"},
		"de_DE.ISO-8859-15":    {"LANG=de_DE.UTF-8", "LANGUAGE=de_DE"},
		"sr_RS@latin":          {"LANG=sr_RS.UTF-8@latin", "LANGUAGE=sr_RS@latin"},
		"fr:de_DE.UTF-8:C":     {"LANG=de_DE.UTF-8", "LANGUAGE=fr:de_DE"},
		"../../evil:$(x):de\n": {"LANG=C.UTF-8"},
	} {
		assert.Equal(t, want, localeEnviron(locale), locale)
	}
}

func TestExecDeadline(t *testing.T) {
	// It heeds no signal, grants when it gets one, and leaves a child behind.
	out := filepath.Join(t.TempDir(), "pid")
	script := "trap 'exit 0' TERM; sleep 1000 & echo $! > " + out + "; wait"
	for limit := 300 * time.Millisecond; ; limit *= 4 { // until the program has begun in time
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		d, err := Exec{Command: sh(script)}.Ask(ctx, self())
		cancel()
		require.NoError(t, err)
		require.Equal(t, TimedOut, d, "exit 0 after the end is no Yes")
		if pid, ok := testhost.PID(out); ok {
			testhost.RequireGone(t, pid)
			break
		}
		require.Less(t, limit, time.Minute, "it never began in time")
	}

	r := self()
	r.Timeout = 100 * time.Millisecond
	d, err := Exec{Command: sh("sleep 1000")}.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, TimedOut, d, "without a deadline the request's timeout is one")

	why := errors.New("the administrator gave up")
	ctx2, cancel2 := context.WithCancelCause(t.Context())
	cancel2(why)
	d, err = Exec{Command: sh("exit 0")}.Ask(ctx2, self())
	assert.ErrorIs(t, err, why)
	assert.Equal(t, Denied, d)
}
