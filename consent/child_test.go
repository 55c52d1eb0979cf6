package consent

import (
	"bufio"
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

	"vda.internal/shadow/internal/host/xconn"
)

// eventually fails the test if ok doesn't hold within ten seconds.
func eventually(t *testing.T, ok func() bool, what string) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 10*time.Millisecond, what)
}

// readPID reads a process id from a file, once it is there.
func readPID(t *testing.T, file string) int {
	t.Helper()
	var pid int
	eventually(t, func() bool {
		b, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil && pid > 1
	}, "no process id in "+file)
	return pid
}

// requireGone waits until a process has ended and was reaped.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }, "process "+strconv.Itoa(pid)+" is still there")
}

// ask asks with a shell script for a child.
func ask(t *testing.T, script string) (Decision, error) {
	return X11{Command: sh(script)}.Ask(t.Context(), self())
}

func TestChildSays(t *testing.T) {
	d, err := ask(t, "echo shown; echo yes")
	require.NoError(t, err)
	assert.Equal(t, Granted, d)
	d, err = ask(t, "echo shown; echo no")
	require.NoError(t, err)
	assert.Equal(t, Denied, d)
	d, err = ask(t, "echo closed")
	require.NoError(t, err)
	assert.Equal(t, Closed, d)
	d, err = ask(t, "echo locked")
	require.NoError(t, err)
	assert.Equal(t, Locked, d)

	for script, says := range map[string]string{
		"echo shown; echo yes; exit 1":              "exit status 1",
		"echo shown; echo yes; kill -9 $$":          "killed",
		"echo shown; echo yes; echo yes":            "after the answer",
		"echo yes":                                  "broke the protocol",
		"echo locked; echo locked":                  "after the answer",
		"echo panic: oh dear >&2; exit 2":           "without an answer (exit status 2): panic: oh dear",
		"echo shown; kill -9 $$":                    "without an answer (signal: killed)",
		"exit 0":                                    "without an answer (exit status 0)",
		"cat /dev/zero":                             "too long",
		"yes":                                       "broke the protocol",
		"cat /dev/zero >&2 & sleep 0.1; kill -9 $$": "without an answer",
		"echo failed out of ink":                    "out of ink",
	} {
		d, err := ask(t, script)
		assert.ErrorContains(t, err, says, script)
		assert.Equal(t, Denied, d, script)
	}
	_, err = ask(t, "echo display nobody home")
	assert.ErrorIs(t, err, ErrDisplay)
	_, err = ask(t, "echo gone")
	assert.ErrorIs(t, err, ErrGone)
	_, err = X11{Command: []string{"/nonexistent/prompt"}}.Ask(t.Context(), self())
	assert.ErrorContains(t, err, "starting the prompt")
}

func TestChildGetsTheQuestionAndLittleElse(t *testing.T) {
	dir := t.TempDir()
	r := self()
	r.Xauthority, r.Bus, r.Timeout = "/run/cookie", "unix:path=/run/bus", 7*time.Second
	t.Setenv("SECRET", "of the daemon")
	_, err := X11{Command: sh("env > " + dir + "/env; cat > " + dir + "/question; echo closed")}.Ask(t.Context(), r)
	require.NoError(t, err)
	env, err := os.ReadFile(dir + "/env")
	require.NoError(t, err)
	var names []string
	for l := range strings.Lines(string(env)) {
		if name, _, _ := strings.Cut(l, "="); name != "PWD" && name != "_" {
			names = append(names, strings.TrimSpace(l))
		}
	}
	assert.ElementsMatch(t, []string{"DISPLAY=:99", "XAUTHORITY=/run/cookie"}, names)
	f, err := os.Open(dir + "/question")
	require.NoError(t, err)
	defer f.Close()
	q, err := readQuestion(bufio.NewReaderSize(f, maxQuestion))
	require.NoError(t, err)
	assert.Equal(t, question{Admin: `CORP\alice`, Host: "vda1.corp.example", Millis: q.Millis, Language: "en", Bus: "unix:path=/run/bus"}, q)
	assert.InDelta(t, 7000, q.Millis, 1000)
}

func TestChildThatHangs(t *testing.T) {
	for name, script := range map[string]string{
		"says nothing":          "",
		"has shown it":          "echo shown;",
		"answers when stopped":  "trap 'echo shown; echo yes; exit 0' TERM;",
		"ignores being stopped": "trap '' TERM;",
	} {
		out := filepath.Join(t.TempDir(), "pid")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		d, err := X11{Command: sh(script + " echo $$ > " + out + "; sleep 1000 & while :; do wait; done")}.Ask(ctx, self())
		cancel()
		require.NoError(t, err, name)
		assert.Equal(t, TimedOut, d, name)
		requireGone(t, readPID(t, out))
	}
}

func TestAnswerThenHang(t *testing.T) {
	d, err := ask(t, "echo shown; echo no; sleep 1000 & wait")
	assert.Error(t, err)
	assert.Equal(t, Denied, d)
}

func TestGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the administrator gave up")
	out := filepath.Join(t.TempDir(), "pid")
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, err := X11{Command: sh("echo shown; echo $$ > " + out + "; sleep 1000 & wait")}.Ask(ctx, self())
		assert.ErrorIs(t, err, why)
		assert.Equal(t, Denied, d)
	}()
	pid := readPID(t, out)
	cancel(why)
	<-done
	requireGone(t, pid)
}

func TestDeadlineWasBefore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	out := filepath.Join(t.TempDir(), "started")
	d, err := X11{Command: sh("echo > " + out)}.Ask(ctx, self())
	require.NoError(t, err)
	assert.Equal(t, TimedOut, d)
	assert.NoFileExists(t, out)
}

func TestMainThatForgotChild(t *testing.T) {
	childReady.Store(false)
	defer childReady.Store(true)
	d, err := X11{}.Ask(t.Context(), self())
	assert.ErrorContains(t, err, "must call consent.Child")
	assert.Equal(t, Denied, d)
}

func TestNoDisplay(t *testing.T) {
	r := self()
	r.Display = ""
	d, err := X11{}.Ask(t.Context(), r)
	assert.ErrorIs(t, err, ErrDisplay)
	assert.Equal(t, Denied, d)
}

func TestPromptRefusesABadQuestion(t *testing.T) {
	say := func(line string) { t.Error(line) }
	for _, in := range []string{"hello", strings.Repeat("a", maxQuestion+1) + "\n"} {
		assert.Contains(t, prompt(strings.NewReader(in), ":1", "", say), "failed the question is not one line of at most 16384 bytes")
	}
}

func TestDetailFitsALine(t *testing.T) {
	for _, s := range []string{"", "a\nb", strings.Repeat("张", 600)} {
		d, err := hear(wordDisplay+" "+detail(errors.New(s))+"\n", 1000)
		assert.ErrorIs(t, err, ErrDisplay)
		assert.Equal(t, Denied, d)
	}
	_, err := xconn.Probe("", "", time.Second)
	assert.Error(t, err)
}
