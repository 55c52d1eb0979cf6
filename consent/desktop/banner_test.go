package desktop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
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
	"vda.internal/shadow/internal/testhold"
)

// A watched desktop has a banner.
type watched struct {
	*desk
	ended  chan string
	result chan error
	cancel context.CancelCauseFunc
}

// watch puts the banner up on a fresh desktop. It goes at once when the user has stopped it.
func watch(t *testing.T, o testhost.Options, before func(d *desk)) *watched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	d := &desk{Desktop: testhost.Require(t, o), t: t, ctx: ctx}
	if before != nil {
		before(d)
	}
	w := &watched{desk: d, ended: make(chan string, 1), result: make(chan error, 1)}
	var show context.Context
	show, w.cancel = context.WithCancelCause(ctx)
	r := request(d.Desktop)
	go func() { w.result <- quick.Show(show, r, w.ended, func() { close(w.ended) }) }()
	w.find()
	return w
}

// find learns where the banner is.
func (w *watched) find() {
	w.t.Helper()
	var err error
	w.win, err = w.FindWindow(w.ctx, "banner")
	require.NoError(w.t, err)
}

// stop is the middle of the button.
func (w *watched) stop() (x, y int) { return w.win.X + w.win.Width - 30, w.win.Y + w.win.Height/2 }

// down waits for the banner's end, after which the window is gone.
func (w *watched) down() error {
	w.t.Helper()
	select {
	case err := <-w.result:
		assert.NoError(w.t, w.WaitNoWindow(w.ctx, "banner"))
		return err
	case <-w.ctx.Done():
		require.FailNow(w.t, "the banner never ended")
		return nil
	}
}

func TestBannerStop(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		w := watch(t, o, nil)
		props := w.run("xprop", "-id", strconv.Itoa(int(w.win.ID)))
		assert.Contains(t, props, `WM_CLASS(STRING) = "banner", "shadowd"`)
		assert.Contains(t, props, `_NET_WM_NAME(UTF8_STRING) = "CORP\\alice is viewing your screen"`)
		x, _ := w.win.Center()
		assert.InDelta(t, 320, x, 1)
		assert.Zero(t, w.win.Y)
		w.click(w.win.Center) // no button
		w.click(w.stop)
		assert.ErrorIs(t, w.down(), consent.ErrStopped)
	})
}

// Who takes over is named, and the one before is not any longer.
func TestBannerOfATakeOver(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	close(w.ended) // what the engine does at a take-over: nothing is said about the first
	require.NoError(t, w.down())
	r := request(w.Desktop)
	r.Admin = `CORP\bob`
	w.ended = make(chan string, 1)
	go func() { w.result <- quick.Show(w.ctx, r, w.ended, func() { close(w.ended) }) }()
	w.find()
	assert.Contains(t, w.run("xprop", "-id", strconv.Itoa(int(w.win.ID)), "_NET_WM_NAME"), `"CORP\\bob is viewing your screen"`)
	windows, err := w.Windows(w.ctx, "banner")
	require.NoError(t, err)
	assert.Len(t, windows, 1)
	w.click(w.stop)
	assert.ErrorIs(t, w.down(), consent.ErrStopped)
}

// What the user is told is in the session's language, and says why.
func TestBannerSpeaks(t *testing.T) {
	t.Parallel()
	d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
	r := request(d.Desktop)
	r.Locale = "de_DE.UTF-8"
	site := X11{Command: quick.Command, Texts: consent.Texts{Viewing: "Zu Besuch: {admin}"}}
	ended, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- site.Show(t.Context(), r, ended, nil) }()
	var err error
	d.win, err = d.FindWindow(d.ctx, "banner")
	require.NoError(t, err)
	title := func() string { return d.run("xprop", "-id", strconv.Itoa(int(d.win.ID)), "_NET_WM_NAME") }
	assert.Contains(t, title(), `"Zu Besuch: CORP\\alice"`)
	ended <- "viewer_left"
	eventually(t, func() bool { return strings.Contains(title(), `"CORP\\alice sieht Ihren Bildschirm nicht mehr"`) }, "it never said so")
	assert.NoError(t, <-done)
}

// It stands below a panel that the window manager keeps free, and above windows that fill
// the screen.
func TestBannerWithPanelAndFullScreen(t *testing.T) {
	t.Parallel()
	w := watch(t, managed, func(d *desk) {
		_, err := d.Spawn("xterm", "-fullscreen", "-name", "cover")
		require.NoError(t, err)
		eventually(t, func() bool {
			windows, err := d.Windows(d.ctx, "cover")
			return err == nil && len(windows) == 1 && windows[0].Height >= 480
		}, "no window fills the screen")
		d.run("xprop", "-root", "-f", "_NET_WORKAREA", "32c", "-set", "_NET_WORKAREA", "0, 30, 640, 450")
	})
	assert.Equal(t, 30, w.win.Y)
	w.click(w.stop)
	assert.ErrorIs(t, w.down(), consent.ErrStopped)
}

func TestBannerIgnoresOtherClientsInput(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	w.send(4, 5, 1, w.stop)
	w.key("Return", "space", "Escape")
	w.ended <- "all is well" // comes after them
	assert.NoError(t, w.down())
}

func TestBannerEnded(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	w.ended <- "the viewer \x1b disconnected"
	eventually(t, func() bool {
		props, err := w.Run(w.ctx, "xprop", "-id", strconv.Itoa(int(w.win.ID)), "_NET_WM_NAME")
		return err == nil && assert.ObjectsAreEqual("_NET_WM_NAME(UTF8_STRING) = \"CORP\\\\alice is no longer viewing your screen\"\n", string(props))
	}, "it never said so")
	before := w.win
	eventually(t, func() bool { w.find(); return w.win.Height > before.Height }, "the reason needs room")
	assert.NoError(t, w.down())
}

func TestBannerWithoutANotice(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	close(w.ended)
	assert.NoError(t, w.down())

	w = watch(t, bare, nil)
	why := errors.New("going down")
	w.cancel(why)
	assert.ErrorIs(t, w.down(), why)
}

func TestBannerMoves(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	x, y := w.win.X+30, w.win.Y+20
	drag := func(dx, dy int) {
		w.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mousedown", "1",
			"mousemove", strconv.Itoa(x+dx/2), strconv.Itoa(y+dy/2), "mousemove", strconv.Itoa(x+dx), strconv.Itoa(y+dy), "mouseup", "1")
		x, y = x+dx, y+dy
	}
	at := func(wantX, wantY int) {
		t.Helper()
		eventually(t, func() bool { w.find(); return w.win.X == wantX && w.win.Y == wantY }, "it is somewhere else")
	}
	oldX, oldY := w.win.X, w.win.Y
	drag(40, 200)
	at(oldX+40, oldY+200)
	drag(-x, -y) // no further than the corner
	at(0, 0)
	drag(60, 90)
	at(60, 90)
	w.click(w.stop)
	assert.ErrorIs(t, w.down(), consent.ErrStopped)

	w.ended = make(chan string, 1) // the next one comes where the user has moved this one to
	go func() { w.result <- quick.Show(w.ctx, request(w.Desktop), w.ended, func() { close(w.ended) }) }()
	at(60, 90)
	close(w.ended)
	require.NoError(t, w.down())
}

func TestBannerStaysOnTop(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	w.spawn("cover")
	eventually(t, func() bool { w.click(w.stop); return len(w.result) > 0 }, "Stop was never heard")
	assert.ErrorIs(t, w.down(), consent.ErrStopped)
}

// The user who closes the banner wants no viewer, and hears that there is none any longer: a
// window that is killed says nothing of what it meant.
func TestBannerClosed(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"destroy", "kill"} {
		d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
		w := &watched{desk: d, ended: make(chan string), result: make(chan error, 1)}
		heard := make(chan struct{})
		go func() {
			w.result <- quick.Show(t.Context(), request(d.Desktop), w.ended, func() { close(heard) })
		}()
		w.find()
		if how == "kill" {
			w.run("xkill", "-id", strconv.Itoa(int(w.win.ID)))
		} else {
			w.hostile(how)
		}
		<-heard
		w.says("is no longer viewing your screen")
		close(w.ended) // another banner comes
		assert.ErrorIs(t, <-w.result, consent.ErrStopped, how)
		assert.NoError(t, w.WaitNoWindow(w.ctx, "banner"))
	}
}

// says waits for a banner with a title that holds some words.
func (w *watched) says(words string) {
	w.t.Helper()
	eventually(w.t, func() bool {
		name, err := w.Run(w.ctx, "xdotool", "search", "--classname", "^banner$", "getwindowname")
		return err == nil && strings.Contains(string(name), words)
	}, "it never said so")
}

// Why viewing has ended is all that is shown if that is known from the beginning, as after a
// banner that failed.
func TestBannerWithNothingButWords(t *testing.T) {
	t.Parallel()
	d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
	w := &watched{desk: d, ended: make(chan string, 1), result: make(chan error, 1)}
	w.ended <- "prompt_failed"
	go func() { w.result <- quick.Show(t.Context(), request(d.Desktop), w.ended, nil) }()
	w.find()
	title := w.run("xprop", "-id", strconv.Itoa(int(w.win.ID)), "_NET_WM_NAME")
	assert.Contains(t, title, `"CORP\\alice is no longer viewing your screen"`)
	close(w.ended)
	assert.NoError(t, <-w.result)
}

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
			ended, done := make(chan string, 1), make(chan error, 1)
			// SIGTERM comes when the daemon has heard of the failure and lost patience.
			script := "cd " + dir + `; read -r question
if mkdir first; then
	trap 'touch dying; until [ -e go ]; do sleep 0.02; done; exit' TERM
	echo failed ill
	while :; do sleep 0.05; done
fi
echo shown; printf '%s\n' "$question" | sed 's/.*"why":"//; s/"}}$//' > why; echo over`
			go func() { done <- X11{Command: sh(script)}.Show(t.Context(), self(), ended, nil) }()
			eventually(t, func() bool { _, err := os.Stat(filepath.Join(dir, "dying")); return err == nil }, "it isn't ended")
			ended <- "viewer_left"
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
			require.NoError(t, <-done)
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
		done := make(chan error, 1)
		go func() { done <- quick.showWithin(t.Context(), 5*time.Second, request(d.Desktop), nil, nil) }()
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
		assert.EqualError(t, <-done, "consent: the banner gave no sign of life for 5s", who)
		testhost.RequireGone(t, pid)
	}
}

func TestBannerServerGone(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	pid := w.pid()
	w.Kill()
	assert.ErrorIs(t, <-w.result, consent.ErrGone)
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
		err := X11{Command: sh(script)}.Show(t.Context(), self(), nil, func() { t.Error("stopped") })
		assert.ErrorContains(t, err, says, script)
	}
	assert.ErrorIs(t, X11{Command: sh("echo display none")}.Show(t.Context(), self(), nil, nil), consent.ErrDisplay)
	for _, script := range []string{"echo shown; echo stopped", "echo closed", "echo shown; echo stopped; echo alive; echo over", "echo shown; echo stopped; echo yes"} {
		heard := 0
		assert.ErrorIs(t, X11{Command: sh(script)}.Show(t.Context(), self(), nil, func() { heard++ }), consent.ErrStopped, script)
		assert.Equal(t, 1, heard, script)
	}
	assert.ErrorIs(t, X11{}.Show(t.Context(), consent.Request{}, nil, nil), consent.ErrDisplay)
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
	err := X11{Command: sh("echo shown; for i in 1 2 3 4 5 6; do sleep 0.5; echo alive; done; echo stopped")}.showWithin(t.Context(), 2*time.Second, self(), nil, func() {})
	assert.ErrorIs(t, err, consent.ErrStopped)
	for script, says := range map[string]string{
		"sleep 60":             "was not on the screen within 300ms",
		"echo shown; sleep 60": "gave no sign of life for 300ms",
	} {
		err = X11{Command: sh(script)}.showWithin(t.Context(), 300*time.Millisecond, self(), nil, nil)
		assert.ErrorContains(t, err, says, script)
	}
}

// Children that die one after the other have no more time together than one that lives.
func TestBannerDiesTooOften(t *testing.T) {
	t.Parallel()
	err := X11{Command: sh("sleep 0.4")}.showWithin(t.Context(), 500*time.Millisecond, self(), nil, nil)
	assert.ErrorContains(t, err, "was not on the screen within 500ms")
}

// A child whose end is held back by its user's debugger holds nobody up.
func TestBannerIsHeld(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("it takes root to run two users' processes")
	}
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
		"it says that it is closed": "echo shown; sleep 2; echo closed; sleep 600",
	} {
		require.NoError(t, os.Truncate(pid, 0))
		failed := make(chan error, 1)
		go func() {
			failed <- X11{Command: sh("echo $$ >" + pid + "; " + script)}.showWithin(t.Context(), 5*time.Second, r, nil, func() {})
		}()
		var n int
		eventually(t, func() bool {
			b, _ := os.ReadFile(pid)
			_, err := fmt.Sscan(string(b), &n)
			return err == nil
		}, "no child")
		_, err := testhold.Hold(t, n, child.Identity{UID: 65534, GID: 65534})
		require.NoError(t, err)
		if name == "it dies" {
			require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
		}
		select {
		case err := <-failed:
			assert.Error(t, err, name)
		case <-time.After(time.Minute):
			require.Fail(t, "the view goes on", name)
		}
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
	ended, done := make(chan string), make(chan error, 1)
	go func() {
		done <- X11{Command: append([]string{"/bin/sh", "-c", `"$@" | tee ` + heard, "sh"}, quick.Command...)}.Show(t.Context(), request(host), ended, nil)
	}()
	eventually(t, func() bool {
		b, err := os.ReadFile(heard)
		return err == nil && strings.HasPrefix(string(b), "shown\nalive\nalive\n")
	}, "no sign of life")
	ended <- "viewer_left"
	eventually(t, func() bool {
		name, err := host.Run(t.Context(), "xdotool", "search", "--classname", "^banner$", "getwindowname")
		return err == nil && strings.Contains(string(name), "is no longer viewing")
	}, "it never said so")
	close(ended)
	assert.NoError(t, <-done)
	b, err := os.ReadFile(heard)
	require.NoError(t, err)
	assert.Equal(t, "over", strings.TrimPrefix(strings.ReplaceAll(strings.TrimSpace(string(b)), "alive\n", ""), "shown\n"), "it had to be killed")
}

// The user who presses Stop is told that viewing has ended. The daemon has heard it by then.
func TestBannerSaysThatItWasStopped(t *testing.T) {
	t.Parallel()
	d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
	w := &watched{desk: d, result: make(chan error, 1)}
	heard := make(chan struct{})
	go func() {
		w.result <- quick.Show(t.Context(), request(d.Desktop), w.ended, func() { close(heard) })
	}()
	w.find()
	before := w.win
	w.click(w.stop)
	<-heard
	eventually(t, func() bool {
		return strings.Contains(d.run("xprop", "-id", strconv.Itoa(int(w.win.ID)), "_NET_WM_NAME"), `"CORP\\alice is no longer viewing your screen"`)
	}, "it never said so")
	w.find()
	assert.Greater(t, w.win.Height, before.Height, "that the user stopped it needs room")
	assert.Empty(t, w.result, "it is still on the screen")
	assert.ErrorIs(t, <-w.result, consent.ErrStopped)
	windows, err := d.Windows(d.ctx, "banner")
	require.NoError(t, err)
	assert.Empty(t, windows)
}

// The child's input ends when its words are to go.
func TestBannerWordsAreTakenDown(t *testing.T) {
	t.Parallel()
	out := t.TempDir() + "/why"
	ended := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- X11{Command: sh("read question; echo shown; echo > " + out + "; read why; echo $why > " + out + "; cat; echo gone >> " + out + "; echo over")}.Show(t.Context(), self(), ended, nil)
	}()
	said := func() string { b, _ := os.ReadFile(out); return string(b) }
	eventually(t, func() bool { return said() == "\n" }, "it was never shown")
	ended <- "viewer_left"
	eventually(t, func() bool { return said() == "The viewer disconnected\n" }, "it was never told why")
	close(ended)
	assert.NoError(t, <-done)
	assert.Equal(t, "The viewer disconnected\ngone\n", said())
}

// The words that are there from the beginning are in the message, so that nothing else can be
// shown before them. What is over before it begins isn't shown at all.
func TestBannerIsToldTheEndAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := X11{Command: sh("cd " + dir + "; echo >> started; read -r question; printf '%s\\n' \"$question\" > question; echo shown; read why && echo $why > why; echo over")}
	ended, done := make(chan string, 1), make(chan error, 1)
	ended <- "viewer_left"
	go func() { done <- p.Show(t.Context(), self(), ended, nil) }()
	eventually(t, func() bool { b, err := os.ReadFile(dir + "/question"); return err == nil && len(b) > 0 }, "no question")
	close(ended)
	require.NoError(t, next(t, done))
	line, err := os.ReadFile(dir + "/question")
	require.NoError(t, err)
	m, err := readMessage(bufio.NewReaderSize(bytes.NewReader(line), maxMessage))
	require.NoError(t, err)
	require.NotNil(t, m.Banner)
	assert.Equal(t, "The viewer disconnected", m.Banner.Why)
	assert.NoFileExists(t, dir+"/why", "it was told twice")

	require.NoError(t, p.Show(t.Context(), self(), ended, nil))
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

// A notice whose child doesn't heed that it is to make room is ended sooner than one that need
// not.
func TestBannerThatMakesNoRoom(t *testing.T) {
	t.Parallel()
	out := t.TempDir() + "/pid"
	stays := X11{Command: sh("trap '' TERM; echo shown; sleep 1; echo $$ > " + out + "; sleep 1000 & while :; do wait; done")}
	show := func(ended chan string) <-chan error {
		done := make(chan error, 1)
		ended <- "viewer_left"
		go func() { done <- stays.Show(t.Context(), self(), ended, nil) }()
		return done
	}
	may := show(make(chan string, 1))
	testhost.ReadPID(t, out) // a second later, so that with the same time it ends first
	ended := make(chan string, 1)
	must := show(ended)
	close(ended)
	assert.NoError(t, next(t, must))
	assert.Empty(t, may, "both had the same time")
	assert.NoError(t, next(t, may))
}

// What says that viewing has ended stands where the banner was, and all of it on the screen.
func TestBannerEndsWhereItWas(t *testing.T) {
	t.Parallel()
	for name, dx := range map[string]int{"in the middle": 0, "at the right edge": 640} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, bare, nil)
			x, y := w.win.X+30, w.win.Y+20
			w.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mousedown", "1",
				"mousemove", strconv.Itoa(x+1), strconv.Itoa(y+60), "mousemove", strconv.Itoa(min(x+dx, 639)), strconv.Itoa(y+60), "mouseup", "1")
			eventually(t, func() bool { w.find(); return w.win.Y == 60 }, "it can't be moved")
			before := w.win
			w.ended <- strings.Repeat("and so on ", 15)
			eventually(t, func() bool { w.find(); return w.win.Height > before.Height }, "it never said so")
			require.NotEqual(t, before.Width, w.win.Width)
			right := before.X + before.Width/2 + w.win.Width/2
			eventually(t, func() bool {
				w.find()
				middle := w.win.X + w.win.Width/2
				return right <= 640 && middle-1 <= before.X+before.Width/2 && before.X+before.Width/2 <= middle+1 ||
					right > 640 && w.win.X+w.win.Width == 640
			}, "it is somewhere else")
		})
	}
}

// A child that doesn't heed the end of viewing is ended.
func TestBannerThatStays(t *testing.T) {
	t.Parallel()
	out := t.TempDir() + "/pid"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- X11{Command: sh("trap '' TERM; echo shown; echo $$ > " + out + "; sleep 1000 & while :; do wait; done")}.Show(ctx, self(), ended, nil)
	}()
	pid := testhost.ReadPID(t, out)
	ended <- "whatever"
	cancel()
	<-done
	testhost.RequireGone(t, pid)
}
