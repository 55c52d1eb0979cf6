package sessions

import (
	"context"
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

func TestExecErrors(t *testing.T) {
	for _, test := range []struct{ name, script, want string }{
		{"unknown member", `echo '{"id": "1", "uid": 0}'`, `line 1: json: unknown field "uid"`},
		{"not JSON", `echo '{"id": "1"}'; echo ID USER`, "line 2: invalid character"},
		{"two on a line", `echo '{"id": "1"} {"id": "2"}'`, "line 1: something follows the JSON object"},
		{"no id", `echo '{"user": "nobody"}'`, `line 1: "id" must have 1 to 256 bytes`},
		{"twice", `echo '{"id": "1"}'; echo '{"id": "1"}'`, `line 2: id "1" is there twice`},
		{"display", `echo '{"id": "1", "display": "host:1"}'`, `line 1: "display" is "host:1"`},
		{"bus", `echo '{"id": "1", "bus": "unixexec:path=/bin/sh"}'`, `line 1: "bus" is "unixexec:path=/bin/sh"`},
		{"xauthority", `echo '{"id": "1", "xauthority": "cookie"}'`, `line 1: "xauthority" is "cookie"`},
		{"locale", `echo '{"id": "1", "locale": "de DE"}'`, `line 1: "locale" is "de DE"`},
		{"since", `echo '{"id": "1", "since": "yesterday"}'`, "line 1: parsing time"},
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
	file := filepath.Join(t.TempDir(), "sessions")
	write := func(s string) { require.NoError(t, os.WriteFile(file, []byte(s), 0o600)) }
	for name, end := range map[string]func(){
		"not listed any more": func() { write(`{"id": "43"}`) },
		"closing":             func() { write(`{"id": "42", "state": "closing"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			write(`{"id": "42"}`)
			sessions := shell(`cat "` + file + `"`)
			sessions.interval = 10 * time.Millisecond
			done := make(chan error, 1)
			go func() { done <- sessions.WaitEnd(t.Context(), "42") }()
			select {
			case err := <-done:
				require.Fail(t, "it didn't wait", "%v", err)
			case <-time.After(100 * time.Millisecond):
			}
			end()
			require.NoError(t, <-done)
		})
	}
	t.Run("an error is no end", func(t *testing.T) {
		require.ErrorContains(t, shell(`exit 3`).WaitEnd(t.Context(), "42"), "exit status 3")
	})
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
