package sessions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// shell is a resolver whose program is this shell script.
func shell(script string) *Exec {
	return &Exec{Command: []string{"/bin/sh", "-c", script, "sessions"}}
}

func TestExec(t *testing.T) {
	sessions := shell(`
		echo '{"id": "42", "user": "nobody", "display": ":1", "xauthority": "/run/cookie", "locale": "de_DE.UTF-8", "bus": "unix:path=/run/bus", "since": "2026-11-30T09:00:00+01:00"}'
		echo
		echo '{"id": "43", "user": "no-such-account", "display": ":2"}'
		echo '{"id": "44", "user": "root", "display": ":3"}'
		echo '{"id": "45", "display": ":4"}'
		echo '{"id": "46", "user": "nobody", "display": ":5", "locked": true, "type": "x11", "class": "user", "state": "active"}'
		printf '{"id": "47", "user": "nobody", "type": "wayland"}'`)

	s, err := sessions.Session(t.Context(), "42")
	require.NoError(t, err)
	assert.Equal(t, "nobody", s.User)
	assert.NotZero(t, s.UID)
	assert.Equal(t, ":1", s.Display)
	assert.Equal(t, "/run/cookie", s.Xauthority)
	assert.Equal(t, "de_DE.UTF-8", s.Locale)
	assert.Equal(t, "unix:path=/run/bus", s.Bus)
	assert.True(t, s.Since.Equal(time.Date(2026, time.November, 30, 8, 0, 0, 0, time.UTC)))

	_, err = sessions.Session(t.Context(), "1")
	requireRefusal(t, err, shadow.NoSession)
	_, err = sessions.Session(t.Context(), "43")
	assert.Contains(t, requireRefusal(t, err, shadow.NoUser).Detail, "no-such-account")
	_, err = sessions.Session(t.Context(), "44")
	assert.Contains(t, requireRefusal(t, err, shadow.NoUser).Detail, "root")

	list, err := sessions.Sessions(t.Context())
	require.NoError(t, err)
	reasons := map[string]shadow.Reason{}
	for _, s := range list {
		reasons[s.ID] = reasonOf(s)
	}
	assert.Equal(t, map[string]shadow.Reason{"42": "", "43": shadow.NoUser, "44": shadow.NoUser, "45": shadow.NoUser, "46": shadow.Locked, "47": shadow.Wayland}, reasons)
}

// A line that is wrong is no reason to have no sessions: its own can't be shadowed.
func TestExecWrongLine(t *testing.T) {
	for _, test := range []struct{ name, line, id, want string }{
		{"unknown member", `{"id": "1", "uid": 0}`, "1", `line 1: json: unknown field "uid"`},
		{"not JSON", `ID USER`, "line 1", "line 1: invalid character"},
		{"not JSON any more", `{"id": "1", "user": "nobody", "locale": "x"y"}`, "1", "line 1: invalid character"},
		{"two on a line", `{"id": "1"} {"id": "2"}`, "1", "line 1: something follows the JSON object"},
		{"no id", `{"user": "nobody"}`, "line 1", `line 1: "id" must have 1 to 256 bytes`},
		{"no text", `{"id": 1}`, "line 1", "line 1: json: cannot unmarshal number"},
		{"display", `{"id": "1", "display": "host:1"}`, "1", `line 1: "display" is "host:1"`},
		{"bus", `{"id": "1", "bus": "unixexec:path=/bin/sh"}`, "1", `line 1: "bus" is "unixexec:path=/bin/sh"`},
		{"xauthority", `{"id": "1", "xauthority": "cookie"}`, "1", `line 1: "xauthority" is "cookie"`},
		{"locale", `{"id": "1", "locale": "de DE"}`, "1", `line 1: "locale" is "de DE"`},
		{"since", `{"id": "1", "since": "yesterday"}`, "1", "line 1: parsing time"},
		{"twice", "{\"id\": \"1\", \"user\": \"nobody\"}\n{\"id\": \"1\"}", "1", `line 2: id "1" is there twice`},
	} {
		t.Run(test.name, func(t *testing.T) {
			sessions := shell("cat << 'END'\n" + test.line + "\n" + `{"id": "42", "user": "nobody", "display": ":1"}` + "\nEND")
			list, err := sessions.Sessions(t.Context())
			require.NoError(t, err)
			require.Len(t, list, 2)
			assert.Equal(t, test.id, list[0].ID)
			assert.Equal(t, shadow.DisplayUnreachable, reasonOf(list[0]))
			assert.Contains(t, list[0].Unavailable.Detail, test.want)
			assert.Empty(t, reasonOf(list[1]))
			_, err = sessions.Session(t.Context(), test.id)
			assert.Contains(t, requireRefusal(t, err, shadow.DisplayUnreachable).Detail, test.want)
			s, err := sessions.Session(t.Context(), "42")
			require.NoError(t, err)
			assert.Equal(t, "nobody", s.User)
		})
	}
}

func TestExecErrors(t *testing.T) {
	for _, test := range []struct{ name, script, want string }{
		{"no sessions", `echo no broker; echo '{"user": "nobody"}'`, "line 1: invalid character"},
		{"exit status", `echo '{"id": "1"}'; echo no broker >&2; exit 3`, `exit status 3: "no broker"`},
		{"too much", `exec head -c 2000000 /dev/zero`, "printed more than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := shell(test.script).Sessions(t.Context())
			require.ErrorContains(t, err, test.want)
			_, err = shell(test.script).Session(t.Context(), "1")
			require.ErrorContains(t, err, test.want, "one session isn't had from half an answer")
		})
	}
	t.Run("no program", func(t *testing.T) {
		_, err := new(Exec).Session(t.Context(), "1")
		require.Error(t, err)
		_, err = (&Exec{Command: []string{"sessions"}}).Sessions(t.Context())
		require.ErrorContains(t, err, "absolute path")
		_, err = (&Exec{Command: []string{"/no/such/program"}}).Sessions(t.Context())
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

// A program that hangs, and what it started, is ended.
func TestExecTimeout(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	sessions := shell(`echo $$ > "` + pids + `"; sleep 600 & echo $! >> "` + pids + `"; wait`)
	var lines []string
	for sessions.Timeout = 300 * time.Millisecond; len(lines) < 2; sessions.Timeout *= 4 { // until it has begun in time
		require.Less(t, sessions.Timeout, 5*time.Minute, "it never began in time")
		require.NoError(t, os.RemoveAll(pids))
		_, err := sessions.Sessions(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		data, _ := os.ReadFile(pids)
		lines = strings.Fields(string(data))
	}
	for _, line := range lines {
		pid, err := strconv.Atoi(line)
		require.NoError(t, err)
		assert.Eventually(t, func() bool { return ended(pid) }, 5*time.Minute, 10*time.Millisecond, "process %d lives", pid)
	}
}

// ended reports whether a process is gone, or only waits for its parent.
func ended(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("DISPLAY", ":99")
	_, err := shell(`[ -z "$DISPLAY" ] && [ "$PWD" = / ] || exit 9; echo '{"id": "1"}'`).Session(t.Context(), "1")
	require.NoError(t, err)
}

func TestExecWaitEnd(t *testing.T) {
	const mine = `{"id": "42", "user": "alice", "display": ":1.0"}`
	file := filepath.Join(t.TempDir(), "sessions")
	for name, test := range map[string]struct {
		then string
		want string // part of the error; empty: it has ended
	}{
		"not listed any more":             {`{"id": "43"}`, ""},
		"nothing":                         {``, ""},
		"closing":                         {`{"id": "42", "user": "alice", "display": ":1", "state": "closing"}`, ""},
		"another user":                    {`{"id": "42", "user": "bob", "display": ":1"}`, ""},
		"another display":                 {`{"id": "42", "user": "alice", "display": ":2"}`, ""},
		"nobody":                          {`{"id": "42", "display": ":1"}`, ""},
		"another user, on a wrong line":   {`{"id": "42", "user": "bob", "display": ":1", "locale": "x y"}`, ""},
		"whose it is can't be read":       {`{"id": "42", "locale": "x"y", "user": "bob"}`, "line 1: invalid character"},
		"the id can't be read":            {"ID\n" + `{"id": "43"}`, ""},
		"twice":                           {mine + "\n" + `{"id": "42", "user": "bob", "display": ":1"}`, "there twice"},
		"a program that isn't there then": {"exit", "exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			// Neither other sessions' lines nor a language of her own that is none end it.
			require.NoError(t, os.WriteFile(file, []byte("{\n"+`{"id": "42", "user": "alice", "display": ":1", "locale": "x y"}`), 0o600))
			runs := filepath.Join(t.TempDir(), "runs")
			sessions := shell(`echo >> "` + runs + `"; said=$(cat "` + file + `"); [ "$said" != exit ] || exit 3; printf '%s\n' "$said"`)
			sessions.interval = 10 * time.Millisecond
			done := make(chan error, 1)
			go func() { done <- sessions.WaitEnd(t.Context(), "42") }()
			require.Eventually(t, func() bool { // it has looked once, and looks again
				seen, _ := os.ReadFile(runs)
				return len(seen) > 1 || len(done) > 0
			}, 5*time.Minute, 10*time.Millisecond)
			require.Empty(t, done, "it didn't wait")
			require.NoError(t, os.WriteFile(file+".new", []byte(test.then), 0o600))
			require.NoError(t, os.Rename(file+".new", file))
			if test.want == "" {
				require.NoError(t, <-done)
			} else {
				require.ErrorContains(t, <-done, test.want)
			}
		})
	}
}

// An id that changed hands before its end was waited for is seen at the first look.
func TestExecWaitEndOf(t *testing.T) {
	sessions := shell(`echo '{"id": "42", "user": "bob", "display": ":1"}'`)
	sessions.interval = time.Hour
	for name, s := range map[string]shadow.Session{
		"another user":    {ID: "42", User: "alice", Display: ":1"},
		"another display": {ID: "42", User: "bob", Display: ":2"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		require.NoError(t, sessions.WaitEndOf(ctx, &s), name)
		cancel()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- sessions.WaitEndOf(ctx, &shadow.Session{ID: "42", User: "bob", Display: ":1.0"}) }()
	enough := errors.New("enough")
	cancel(enough)
	require.ErrorIs(t, <-done, enough, "the same")
}

func FuzzParseExec(f *testing.F) {
	f.Add([]byte(`{"id": "42", "user": "alice", "display": ":1", "xauthority": "/run/cookie", "locked": true}`))
	f.Add([]byte("{\"id\": \"1\"}\n\n{\"id\": \"1\"}"))
	f.Fuzz(func(t *testing.T, out []byte) {
		lines, err := parseExec(out)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for _, l := range lines {
			require.NotEmpty(t, l.ID)
			require.False(t, ids[l.ID])
			ids[l.ID] = true
		}
	})
}
