package desktop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/selfexec"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/host/xconn"
)

// eventually fails the test if ok doesn't hold within three minutes.
func eventually(t *testing.T, ok func() bool, what string) {
	t.Helper()
	require.Eventually(t, ok, 5*time.Minute, 20*time.Millisecond, what)
}

// self is a request of a session that belongs to whoever runs the test.
func self() consent.Request {
	return consent.Request{Admin: `CORP\alice`, Host: "vda1.corp.example", Session: "42", Display: ":99", User: account(os.Getuid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
}

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

// ask asks with a shell script for a child.
func ask(t *testing.T, script string) (consent.Decision, error) {
	return X11{Command: sh(script)}.Ask(t.Context(), self())
}

func TestChildSays(t *testing.T) {
	d, err := ask(t, "echo shown; echo yes")
	require.NoError(t, err)
	assert.Equal(t, consent.Granted, d)
	d, err = ask(t, "echo shown; echo no")
	require.NoError(t, err)
	assert.Equal(t, consent.Denied, d)
	d, err = ask(t, "echo closed")
	require.NoError(t, err)
	assert.Equal(t, consent.Closed, d)
	d, err = ask(t, "echo locked")
	require.NoError(t, err)
	assert.Equal(t, consent.Locked, d)

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
		assert.Equal(t, consent.Denied, d, script)
	}
	_, err = ask(t, "echo display nobody home")
	assert.ErrorIs(t, err, consent.ErrDisplay)
	_, err = ask(t, "echo gone")
	assert.ErrorIs(t, err, consent.ErrGone)
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
	m, err := readMessage(bufio.NewReaderSize(f, maxMessage))
	require.NoError(t, err)
	require.NotNil(t, m.Question)
	assert.InDelta(t, 7000, m.Question.Millis, 1000)
	want := newQuestion(r, consent.Texts{})
	want.Millis = m.Question.Millis
	assert.Equal(t, want, m.Question)
	assert.Equal(t, "unix:path=/run/bus", m.Question.Bus)
}

func TestChildThatHangs(t *testing.T) {
	for name, script := range map[string]string{
		"says nothing":          "",
		"has shown it":          "echo shown;",
		"answers when stopped":  "trap 'echo shown; echo yes; exit 0' TERM;",
		"ignores being stopped": "trap '' TERM;",
	} {
		out := filepath.Join(t.TempDir(), "pid")
		for limit := 300 * time.Millisecond; ; limit *= 2 { // until the child has begun in time
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			d, err := X11{Command: sh(script + " echo $$ > " + out + "; sleep 1000 & while :; do wait; done")}.Ask(ctx, self())
			cancel()
			require.NoError(t, err, name)
			assert.Equal(t, consent.TimedOut, d, name)
			if _, ok := testhost.PID(out); ok {
				break
			}
			require.Less(t, limit, time.Minute, name)
		}
		testhost.RequireGone(t, testhost.ReadPID(t, out))
	}
}

func TestAnswerThenHang(t *testing.T) {
	d, err := ask(t, "echo shown; echo no; sleep 1000 & wait")
	assert.Error(t, err)
	assert.Equal(t, consent.Denied, d)
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
		assert.Equal(t, consent.Denied, d)
	}()
	pid := testhost.ReadPID(t, out)
	cancel(why)
	<-done
	testhost.RequireGone(t, pid)
}

// A No that the user has said when the administrator gives up is one: who takes questions back in time could
// else ask for ever.
func TestANoWhileGivenUp(t *testing.T) {
	for word, want := range map[string]consent.Decision{"no": consent.Denied, "closed": consent.Closed} {
		ctx, cancel := context.WithCancelCause(t.Context())
		out := filepath.Join(t.TempDir(), "pid")
		done := make(chan struct{})
		go func() {
			defer close(done)
			d, err := X11{Command: sh("trap 'echo " + word + "; exit 0' TERM; echo shown; echo $$ > " + out + "; while :; do sleep 0.01; done")}.Ask(ctx, self())
			assert.NoError(t, err)
			assert.Equal(t, want, d)
		}()
		testhost.ReadPID(t, out)
		cancel(errors.New("the administrator gave up"))
		<-done
	}
}

func TestDeadlineWasBefore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	out := filepath.Join(t.TempDir(), "started")
	d, err := X11{Command: sh("echo > " + out)}.Ask(ctx, self())
	require.NoError(t, err)
	assert.Equal(t, consent.TimedOut, d)
	assert.NoFileExists(t, out)
}

func TestMainThatForgotChild(t *testing.T) {
	defer func(ready *selfexec.Role) { role = ready }(role)
	role = &selfexec.Role{Arg: ChildArg}
	d, err := X11{}.Ask(t.Context(), self())
	assert.ErrorContains(t, err, "must call desktop.Child")
	assert.Equal(t, consent.Denied, d)
}

func TestNoDisplay(t *testing.T) {
	r := self()
	r.Display = ""
	d, err := X11{}.Ask(t.Context(), r)
	assert.ErrorIs(t, err, consent.ErrDisplay)
	assert.Equal(t, consent.Denied, d)
}

func TestPromptRefusesABadQuestion(t *testing.T) {
	say := func(line string) { t.Error(line) }
	for _, in := range []string{"hello", strings.Repeat("a", maxMessage+1) + "\n"} {
		assert.Contains(t, prompt(strings.NewReader(in), ":1", "", say), "failed the message is not one line of at most 65536 bytes")
	}
}

func TestDetailFitsALine(t *testing.T) {
	for _, s := range []string{"", "a\nb", strings.Repeat("张", 600)} {
		d, err := hear(wordDisplay+" "+detail(errors.New(s))+"\n", 1000)
		assert.ErrorIs(t, err, consent.ErrDisplay)
		assert.Equal(t, consent.Denied, d)
	}
	_, err := xconn.Probe("", "", time.Second)
	assert.Error(t, err)
}

func TestBadTextsAskNobody(t *testing.T) {
	_, err := X11{Texts: consent.Texts{Question: "x"}}.Ask(t.Context(), self())
	assert.ErrorContains(t, err, `text "question" must hold {admin}`)
}

// A refusal counts although its child exits only when the time is up: a rule may take silence for a Yes.
// A Yes doesn't.
func TestLateExit(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]consent.Decision{
		"no": consent.Denied, "closed": consent.Closed, "locked": consent.Locked, "yes": consent.TimedOut,
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			r, shown := self(), false
			r.Shown = func() { shown = true }
			var d consent.Decision
			for limit := time.Second; (!shown || d != want) && limit < 3*time.Minute; limit *= 4 { // or the machine was too slow
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				var err error
				d, err = X11{Command: sh(fmt.Sprintf("echo shown; echo %s; exec sleep %v", word, 1.5*limit.Seconds()))}.Ask(ctx, r)
				cancel()
				require.NoError(t, err)
			}
			assert.Equal(t, want, d)
			assert.True(t, shown)
		})
	}
}

// Where silence is a Yes the question counts as shown only once it has been in view for long enough.
func TestShownIsSeen(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct{ always, silent bool }{
		"echo shown; echo no":            {true, false},
		"echo shown; echo seen; echo no": {true, true},
		"echo closed":                    {false, false},
	} {
		for _, silence := range []bool{false, true} {
			r, shown := self(), false
			r.SilenceAllows, r.Shown = silence, func() { shown = true }
			_, err := X11{Command: sh(says)}.Ask(t.Context(), r)
			require.NoError(t, err)
			assert.Equal(t, map[bool]bool{false: c.always, true: c.silent}[silence], shown, "%s, silence allows: %v", says, silence)
		}
	}
	for _, says := range []string{"echo seen; echo closed", "echo shown; echo seen; echo seen; echo no"} {
		_, err := ask(t, says)
		require.ErrorContains(t, err, "broke the protocol", says)
	}
}
