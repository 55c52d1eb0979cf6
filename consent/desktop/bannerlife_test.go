package desktop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testhold"
)

// A banner that dies comes back, but not for ever.
func TestBannerDies(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	for try := 1; ; try++ {
		pid := w.pid()
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		testhost.RequireGone(t, pid)
		if try == bannerTries {
			break
		}
		w.find()
	}
	assert.ErrorContains(t, w.down(), "ended by itself (signal: killed)")
}

// What comes of the viewing while a banner dies is said by the next one.
func TestBannerDiesAtTheEnd(t *testing.T) {
	t.Parallel()
	for i := range 6 { // when the words were lost, then in one of two
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			// SIGTERM comes when the daemon has heard of the failure and lost patience.
			script := "cd " + dir + `; read -r question
if mkdir first; then
	trap 'touch dying; until [ -e go ]; do sleep 0.02; done; exit' TERM
	echo failed ill
	while :; do sleep 0.05; done
fi
echo shown; printf '%s\n' "$question" | sed 's/.*"why":"//; s/"}}$//' > why; echo over`
			s := showing(t.Context(), X11{Command: sh(script)}, self())
			eventually(t, func() bool { _, err := os.Stat(filepath.Join(dir, "dying")); return err == nil }, "it isn't ended")
			s.End("viewer_left")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
			<-s.Done()
			require.NoError(t, s.Err())
			why, err := os.ReadFile(filepath.Join(dir, "why"))
			require.NoError(t, err)
			assert.Equal(t, "The viewer disconnected\n", string(why))
		})
	}
}

// A banner that hangs, or whose X server does, can't be stopped any more: the view ends.
func TestBannerHangs(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"child", "X server"} {
		d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
		s := showing(t.Context(), within{quick, 5 * time.Second}, request(d.Desktop))
		var err error
		d.win, err = d.FindWindow(d.ctx, "banner")
		require.NoError(t, err)
		pid := d.pid()
		stop := pid
		if who == "X server" {
			stop = d.ServerPID()
			defer syscall.Kill(stop, syscall.SIGCONT) // or it could not end
		}
		require.NoError(t, syscall.Kill(stop, syscall.SIGSTOP))
		<-s.Done()
		assert.Regexp(t, "^consent: the banner (gave no sign of life for|was not on the screen within) 5s$", s.Err(), who) // by when it was stopped
		testhost.RequireGone(t, pid)
	}
}

func TestBannerServerGone(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	pid := w.pid()
	w.Kill()
	<-w.Done()
	assert.ErrorIs(t, w.Err(), consent.ErrGone)
	testhost.RequireGone(t, pid)
}

func TestBannerChildSays(t *testing.T) {
	t.Parallel()
	for script, says := range map[string]string{
		"echo shown; echo yes":            "broke the protocol",
		"echo shown; echo no":             "broke the protocol",
		"echo shown; echo over; echo yes": "after the answer",
		"echo shown; echo over":           "although viewing had not",
		"echo alive":                      "broke the protocol",
		"echo failed out of ink":          "out of ink",
		"exit 0":                          "ended by itself (exit status 0)",
		"echo shown; exec 0<&-; kill $$":  "ended by itself",
	} {
		s := showing(t.Context(), X11{Command: sh(script)}, self())
		<-s.Done()
		assert.ErrorContains(t, s.Err(), says, script)
		assert.False(t, stopped(s), script)
	}
	assert.ErrorIs(t, shown(t, X11{Command: sh("echo display none")}, self()), consent.ErrDisplay)
	for _, script := range []string{"echo shown; echo stopped", "echo closed", "echo shown; echo stopped; echo alive; echo over", "echo shown; echo stopped; echo yes"} {
		s := showing(t.Context(), X11{Command: sh(script)}, self())
		<-s.Done()
		assert.ErrorIs(t, s.Err(), consent.ErrStopped, script)
		assert.True(t, stopped(s), script)
	}
	assert.ErrorIs(t, shown(t, X11{}, consent.Request{}), consent.ErrDisplay)
	_, err := ask(t, "echo shown; echo stopped")
	assert.ErrorContains(t, err, "broke the protocol", "to a question that is no answer")
	for _, word := range []string{"over", "alive"} {
		_, err = ask(t, "echo shown; echo "+word)
		assert.ErrorContains(t, err, "broke the protocol")
	}
}

// What a child has said decides, at its own pace: one that lives may go on for ever, one that
// shows nothing may not.
func TestBannerLives(t *testing.T) {
	t.Parallel()
	lives := X11{Command: sh("echo shown; for i in 1 2 3 4 5 6; do sleep 0.5; echo alive; done; echo stopped")}
	err := shown(t, within{lives, 2 * time.Second}, self())
	assert.ErrorIs(t, err, consent.ErrStopped)
	err = shown(t, within{X11{Command: sh("sleep 600")}, 300 * time.Millisecond}, self())
	assert.ErrorContains(t, err, "was not on the screen within 300ms")
	err = shown(t, within{X11{Command: sh("echo shown; sleep 600")}, 10 * time.Second}, self()) // it has to start meanwhile
	assert.ErrorContains(t, err, "gave no sign of life for 10s")
}

// Children that die one after the other have no more time together than one that lives.
func TestBannerDiesTooOften(t *testing.T) {
	t.Parallel()
	err := shown(t, within{X11{Command: sh("sleep 0.4")}, 500 * time.Millisecond}, self())
	assert.ErrorContains(t, err, "was not on the screen within 500ms")
}

// A child whose end is held back by its user's debugger holds nobody up.
func TestBannerIsHeld(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	r := self()
	r.User, r.UID, r.GID = "nobody", 65534, 65534
	pid := filepath.Join(t.TempDir(), "pid")
	require.NoError(t, os.WriteFile(pid, nil, 0o600))
	require.NoError(t, os.Chown(pid, 65534, 65534))
	for dir := filepath.Dir(pid); dir != os.TempDir(); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	for name, script := range map[string]string{
		"it dies":                   "echo shown; sleep 600",
		"it says that it is closed": "echo shown; until [ -e " + pid + ".go ]; do :; done; echo closed; read -r line; read -r line", // a child of its own would stop it
	} {
		require.NoError(t, os.Truncate(pid, 0))
		s := showing(t.Context(), within{X11{Command: sh("echo $$ >" + pid + "; " + script)}, 5 * time.Second}, r)
		var n int
		eventually(t, func() bool {
			b, _ := os.ReadFile(pid)
			_, err := fmt.Sscan(string(b), &n)
			return err == nil
		}, "no child")
		release, err := testhold.Hold(t, n, child.Identity{UID: 65534, GID: 65534})
		require.NoError(t, err)
		if name == "it dies" {
			require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
		} else {
			require.NoError(t, os.WriteFile(pid+".go", nil, 0o644))
		}
		select {
		case <-s.Done():
			assert.Error(t, s.Err(), name)
			select {
			case <-s.Stopped():
				assert.Equal(t, "it says that it is closed", name)
				assert.ErrorIs(t, s.Err(), consent.ErrStopped)
			default:
				assert.NotEqual(t, "it says that it is closed", name, "that it was closed is no Stop before its process has gone")
			}
		case <-time.After(time.Minute):
			require.Fail(t, "the view goes on", name)
		}
		release()
		eventually(t, func() bool { return child.Held() == 0 }, "it isn't reaped")
	}
}

// A real banner says that it lives, and heeds the end of its input.
func TestBannerSaysThatItLives(t *testing.T) {
	t.Parallel()
	host := testhost.Require(t, bare)
	dir, err := os.MkdirTemp("", "banner-") // t.TempDir is the tester's alone
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o777))
	heard := filepath.Join(dir, "heard")
	s := showing(t.Context(), X11{Command: append([]string{"/bin/sh", "-c", `"$@" | tee ` + heard, "sh"}, quick.Command...)}, request(host))
	eventually(t, func() bool {
		b, err := os.ReadFile(heard)
		return err == nil && strings.HasPrefix(string(b), "shown\nalive\nalive\n")
	}, "no sign of life")
	s.End("viewer_left")
	eventually(t, func() bool {
		name, err := host.Run(t.Context(), "xdotool", "search", "--classname", "^banner$", "getwindowname")
		return err == nil && strings.Contains(string(name), "is no longer viewing")
	}, "it never said so")
	s.Close()
	<-s.Done()
	assert.NoError(t, s.Err())
	b, err := os.ReadFile(heard)
	require.NoError(t, err)
	assert.Equal(t, "over", strings.TrimPrefix(strings.ReplaceAll(strings.TrimSpace(string(b)), "alive\n", ""), "shown\n"), "it had to be killed")
}

// The user who presses Stop is told that viewing has ended. The daemon has heard it by then.
func TestBannerSaysThatItWasStopped(t *testing.T) {
	t.Parallel()
	d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
	w := &watched{desk: d, Showing: showing(t.Context(), quick, request(d.Desktop))}
	w.find()
	before := w.win
	w.click(w.stop)
	<-w.Stopped()
	eventually(t, func() bool {
		return strings.Contains(d.run("xprop", "-id", strconv.Itoa(int(w.win.ID)), "_NET_WM_NAME"), `"CORP\\alice is no longer viewing your screen"`)
	}, "it never said so")
	w.find()
	assert.Greater(t, w.win.Height, before.Height, "that the user stopped it needs room")
	select {
	case <-w.Done():
		assert.Fail(t, "it isn't on the screen any more")
	default:
	}
	<-w.Done()
	assert.ErrorIs(t, w.Err(), consent.ErrStopped)
	windows, err := d.Windows(d.ctx, "banner")
	require.NoError(t, err)
	assert.Empty(t, windows)
}

// The child's input ends when its words are to go.
func TestBannerWordsAreTakenDown(t *testing.T) {
	t.Parallel()
	out := t.TempDir() + "/why"
	s := showing(t.Context(), X11{Command: sh("read question; echo shown; echo > " + out + "; read why; echo $why > " + out + "; cat; echo gone >> " + out + "; echo over")}, self())
	said := func() string { b, _ := os.ReadFile(out); return string(b) }
	eventually(t, func() bool { return said() == "\n" }, "it was never shown")
	s.End("viewer_left")
	eventually(t, func() bool { return said() == "The viewer disconnected\n" }, "it was never told why")
	s.Close()
	<-s.Done()
	assert.NoError(t, s.Err())
	assert.Equal(t, "The viewer disconnected\ngone\n", said())
}

// The words that are there from the beginning are in the message, so that nothing else can be
// shown before them. What is over before it begins isn't shown at all.
func TestBannerIsToldTheEndAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := X11{Command: sh("cd " + dir + "; echo >> started; read -r question; printf '%s\\n' \"$question\" > question; echo shown; read why && echo $why > why; echo over")}
	s := consent.NewShowing()
	s.End("viewer_left")
	s.Start(t.Context(), p, self())
	eventually(t, func() bool { b, err := os.ReadFile(dir + "/question"); return err == nil && len(b) > 0 }, "no question")
	s.Close()
	next(t, s.Done())
	require.NoError(t, s.Err())
	line, err := os.ReadFile(dir + "/question")
	require.NoError(t, err)
	m, err := readMessage(bufio.NewReaderSize(bytes.NewReader(line), maxMessage))
	require.NoError(t, err)
	require.NotNil(t, m.Banner)
	assert.Equal(t, "The viewer disconnected", m.Banner.Why)
	assert.NoFileExists(t, dir+"/why", "it was told twice")

	s = consent.NewShowing()
	s.Close()
	s.Start(t.Context(), p, self())
	next(t, s.Done())
	require.NoError(t, s.Err())
	started, err := os.ReadFile(dir + "/started")
	require.NoError(t, err)
	assert.Equal(t, "\n", string(started))
}

// The child reads those words before the display is there, and no line after them.
func TestListen(t *testing.T) {
	t.Parallel()
	_, why := listen("", bufio.NewReader(strings.NewReader("The viewer\x1b disconnected\nand more\n")))
	assert.Equal(t, "The viewer disconnected", <-why)
	_, more := <-why
	assert.False(t, more)

	lines, end := io.Pipe()
	_, why = listen("Over", bufio.NewReader(lines))
	require.Len(t, why, 1, "not there from the beginning")
	assert.Equal(t, "Over", <-why)
	require.NoError(t, end.Close())
	_, more = <-why
	assert.False(t, more)

	_, why = listen("Over", bufio.NewReader(strings.NewReader("The viewer disconnected\n")))
	assert.Equal(t, "Over", <-why)
	_, more = <-why
	assert.False(t, more)
}
