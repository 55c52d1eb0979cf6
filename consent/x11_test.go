package consent

import (
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/child"
	"vda.internal/shadow/internal/testhost"
)

// A desk is a desktop with a question on it.
type desk struct {
	*testhost.Desktop
	t      *testing.T
	ctx    context.Context
	asked  time.Time
	win    testhost.Window
	answer chan func() (Decision, error)
}

// request is a question for a desktop's user.
func request(d *testhost.Desktop) Request {
	return Request{
		Admin: `CORP\alice`, Host: "vda1.corp.example", Session: "1", Display: d.Display, Xauthority: d.Xauthority,
		UID: d.Identity.UID, GID: d.Identity.GID, Groups: d.Identity.Groups,
	}
}

// put puts a question to the user of a fresh desktop and returns when its window is
// there. before, if any, is done to the desktop first.
func put(t *testing.T, o testhost.Options, before func(d *desk), change ...func(*Request)) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	d := &desk{Desktop: testhost.Require(t, o), t: t, ctx: ctx, answer: make(chan func() (Decision, error), 1)}
	if before != nil {
		before(d)
	}
	r := request(d.Desktop)
	r.Timeout = 60 * time.Second // never the reason, unless it is said
	for _, c := range change {
		c(&r)
	}
	d.asked = time.Now()
	go func() {
		got, err := quick.Ask(context.Background(), r)
		d.answer <- func() (Decision, error) { return got, err }
	}()
	var err error
	d.win, err = d.FindWindow(ctx, "consent")
	require.NoError(t, err)
	return d
}

// ready waits until the focus can be seen on No and Yes looks alive: from then
// on input counts.
func (d *desk) ready() *desk {
	d.t.Helper()
	eventually(d.t, func() bool {
		img, err := d.Screenshot(d.ctx)
		windows, findErr := d.Windows(d.ctx, "consent")
		if err != nil || findErr != nil || len(windows) == 0 {
			return false
		}
		d.win = windows[0] // the window manager may have moved it
		// Left of the word, inside of the button: see the layout in internal/dialog.
		x, y := d.deny()
		no := img.RGBAAt(x-30, y)
		return no.B > 0x80 && no.R < 0x40 && d.yesAlive(img)
	}, "the buttons never came alive")
	return d
}

// yesAlive reports whether the word on the button without the focus is black, not pale.
func (d *desk) yesAlive(img *image.RGBA) bool {
	x, y := d.allow()
	for dy := -6; dy <= 6; dy++ {
		for dx := -12; dx <= 12; dx++ {
			if c := img.RGBAAt(x+dx, y+dy); c.R < 0x40 && c.G < 0x40 && c.B < 0x50 {
				return true
			}
		}
	}
	return false
}

// deny and allow are the middles of the buttons.
func (d *desk) deny() (x, y int) { return d.win.X + 346, d.win.Y + d.win.Height - 32 }

func (d *desk) allow() (x, y int) { return d.win.X + 450, d.win.Y + d.win.Height - 32 }

func (d *desk) click(at func() (x, y int)) {
	d.t.Helper()
	x, y := at()
	require.NoError(d.t, d.Click(d.ctx, x, y))
}

func (d *desk) key(keys ...string) {
	d.t.Helper()
	require.NoError(d.t, d.Key(d.ctx, keys...))
}

func (d *desk) run(name string, args ...string) string {
	d.t.Helper()
	out, err := d.Run(d.ctx, name, args...)
	require.NoError(d.t, err)
	return string(out)
}

// result waits for the answer.
func (d *desk) result() (Decision, error) {
	d.t.Helper()
	select {
	case a := <-d.answer:
		return a()
	case <-d.ctx.Done():
		require.FailNow(d.t, "no answer")
		panic("unreachable")
	}
}

// expect waits for an answer without an error, after which the window is gone.
func (d *desk) expect(want Decision) {
	d.t.Helper()
	got, err := d.result()
	require.NoError(d.t, err)
	assert.Equal(d.t, want, got)
	assert.NoError(d.t, d.WaitNoWindow(d.ctx, "consent"))
}

// refuse presses Esc until it counts.
func (d *desk) refuse() {
	d.t.Helper()
	eventually(d.t, func() bool { d.key("Escape"); return len(d.answer) > 0 }, "Esc was never heard")
	d.expect(Denied)
}

// unanswered says that there is no answer so far.
func (d *desk) unanswered() {
	d.t.Helper()
	select {
	case a := <-d.answer:
		got, err := a()
		require.Fail(d.t, fmt.Sprintf("answered: %v %v", got, err))
	default:
	}
}

// pid is the child's process id, as the window tells it.
func (d *desk) pid() int {
	d.t.Helper()
	out := d.run("xprop", "-notype", "-id", strconv.Itoa(int(d.win.ID)), "_NET_WM_PID")
	_, number, _ := strings.Cut(strings.TrimSpace(out), "= ")
	pid, err := strconv.Atoi(number)
	require.NoError(d.t, err, out)
	return pid
}

var (
	managed = testhost.Options{Width: 640, Height: 480, WindowManager: true}
	bare    = testhost.Options{Width: 640, Height: 480}
)

// both runs a test with and without a window manager.
func both(t *testing.T, f func(t *testing.T, o testhost.Options)) {
	t.Run("managed", func(t *testing.T) { t.Parallel(); f(t, managed) })
	t.Run("bare", func(t *testing.T) { t.Parallel(); f(t, bare) })
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(d *desk)
		want Decision
	}{
		"mouse on Yes":       {func(d *desk) { d.click(d.allow) }, Granted},
		"mouse on No":        {func(d *desk) { d.click(d.deny) }, Denied},
		"Tab, Enter":         {func(d *desk) { d.key("Tab", "Return") }, Granted},
		"Right, Space":       {func(d *desk) { d.key("Right", "space") }, Granted},
		"Tab, keypad":        {func(d *desk) { d.key("Tab", "KP_Enter") }, Granted},
		"Enter":              {func(d *desk) { d.key("Return") }, Denied},
		"Tab, Tab, Enter":    {func(d *desk) { d.key("Tab", "Tab", "Return") }, Denied},
		"Right, Left, Space": {func(d *desk) { d.key("Right", "Left", "space") }, Denied},
		"Tab, Esc":           {func(d *desk) { d.key("Tab", "Escape") }, Denied},
		// A letter that granted would show in the first, one that refused in the second.
		"letters, Esc":        {func(d *desk) { d.key("y", "Y", "j", "o", "ctrl+y", "Escape") }, Denied},
		"letters, Tab, Enter": {func(d *desk) { d.key("n", "N", "q", "ctrl+c", "alt+n", "ctrl+Return", "Tab", "Return") }, Granted},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, o testhost.Options) {
				d := put(t, o, nil).ready()
				c.do(d)
				d.expect(c.want)
			})
		})
	}
}

func TestMouseMustStayOnTheButton(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	x, y := d.deny()
	d.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mousedown", "1")
	x, y = d.allow()
	d.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mouseup", "1")
	d.key("Escape") // comes after the mouse
	d.expect(Denied)
}

// hostile makes another client do something to the window.
func (d *desk) hostile(what string, args ...int) {
	d.t.Helper()
	all := []string{hostileArg, what, strconv.Itoa(int(d.win.ID))}
	for _, n := range args {
		all = append(all, strconv.Itoa(n))
	}
	d.run("/proc/self/exe", all...)
}

// send makes another client send the window a press and a release: keys or
// mouse button 1, at a place on the screen.
func (d *desk) send(press, release, detail int, at func() (x, y int)) {
	d.t.Helper()
	x, y := at()
	d.hostile("send", press, release, detail, x-d.win.X, y-d.win.Y)
}

func TestInputOfAnotherClientIsIgnored(t *testing.T) {
	t.Parallel()
	const (
		keyPress, keyRelease, buttonPress, buttonRelease = 2, 3, 4, 5
		escape, tab, enter                               = 9, 23, 36 // keycodes of Xvfb's keyboard
	)
	t.Run("Yes", func(t *testing.T) {
		both(t, func(t *testing.T, o testhost.Options) {
			d := put(t, o, nil).ready()
			d.send(keyPress, keyRelease, tab, d.allow)
			d.send(keyPress, keyRelease, enter, d.allow)
			d.send(buttonPress, buttonRelease, 1, d.allow)
			d.key("Escape")
			d.expect(Denied)
		})
	})
	t.Run("No", func(t *testing.T) {
		d := put(t, bare, nil).ready()
		d.send(keyPress, keyRelease, escape, d.deny)
		d.send(buttonPress, buttonRelease, 1, d.deny)
		d.key("Tab", "Return")
		d.expect(Granted)
	})
}

func TestEarlyInputIsIgnored(t *testing.T) { // not in parallel: it must be quick
	t.Run("managed", func(t *testing.T) { early(t, managed) })
	t.Run("bare", func(t *testing.T) { early(t, bare) })
}

// early gives input in the first half second.
func early(t *testing.T, o testhost.Options) {
	for range 5 {
		d := put(t, o, nil)
		d.click(d.deny)
		d.key("Escape", "Return")
		if time.Since(d.asked) >= 500*time.Millisecond { // some of it may have counted
			d.refuse()
			continue
		}
		d.ready().key("Tab", "Return")
		d.expect(Granted)
		return
	}
	t.Error("this machine is too slow to press a key within half a second")
}

func TestAButtonThatWasDownIsIgnored(t *testing.T) {
	t.Parallel()
	d := put(t, bare, func(d *desk) {
		d.run("xdotool", "mousemove", "320", "240", "mousedown", "1")
	}).ready()
	x, y := d.allow()
	d.run("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "mouseup", "1")
	d.unanswered()
	d.click(d.allow)
	d.expect(Granted)
}

func TestClosed(t *testing.T) {
	t.Parallel()
	t.Run("by the window manager", func(t *testing.T) {
		d := put(t, managed, nil)
		// What a taskbar's Close does: openbox sends WM_DELETE_WINDOW.
		d.key("alt+F4")
		d.expect(Closed)
	})
	t.Run("destroyed", func(t *testing.T) {
		d := put(t, bare, nil)
		d.hostile("destroy")
		d.expect(Closed)
	})
	t.Run("connection killed", func(t *testing.T) {
		d := put(t, managed, nil)
		d.run("xkill", "-id", strconv.Itoa(int(d.win.ID)))
		d.expect(Closed)
	})
}

func TestSilence(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil, func(r *Request) { r.Timeout = 2 * time.Second })
		pid := d.pid()
		d.expect(TimedOut)
		requireGone(t, pid)
	})
}

func TestGivenUpWhileShown(t *testing.T) {
	t.Parallel()
	host := testhost.Require(t, bare)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := quick.Ask(ctx, request(host))
		done <- err
	}()
	_, err := host.FindWindow(t.Context(), "consent")
	require.NoError(t, err)
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)
	assert.NoError(t, host.WaitNoWindow(t.Context(), "consent"))
}

func TestServerGone(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil)
		pid := d.pid()
		d.Kill()
		got, err := d.result()
		assert.ErrorIs(t, err, ErrGone)
		assert.Equal(t, Denied, got)
		requireGone(t, pid)
	})
}

func TestChildKilled(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil)
	pid := d.pid()
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	got, err := d.result()
	assert.ErrorContains(t, err, "without an answer (signal: killed)")
	assert.Equal(t, Denied, got)
	requireGone(t, pid)
}

// A child that is stopped can't even see that time is up.
func TestChildFrozen(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil, func(r *Request) { r.Timeout = 2 * time.Second })
	pid := d.pid()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	d.expect(TimedOut)
	requireGone(t, pid)
}

func TestChildIsTheUsers(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid()))
	require.NoError(t, err)
	uid := strconv.Itoa(int(d.Identity.UID))
	assert.Contains(t, string(status), "\nUid:\t"+uid+"\t"+uid+"\t"+uid+"\t"+uid+"\n")
	if os.Getuid() == 0 {
		assert.NotEqual(t, "0", uid, "the test means little as root's child")
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", d.pid()))
	require.NoError(t, err)
	assert.Equal(t, "DISPLAY="+d.Display+"\x00XAUTHORITY="+d.Xauthority+"\x00GORACE=atexit_sleep_ms=0\x00", string(env),
		"and what quick adds")
	d.ready().key("Escape")
	d.expect(Denied)
}

func TestDisplayUnreachable(t *testing.T) {
	t.Parallel()
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120})
	right := request(d)
	wrong := filepath.Join(t.TempDir(), "cookie")
	require.NoError(t, os.WriteFile(wrong, []byte("\xff\xff\x00\x00\x00\x00\x00\x12MIT-MAGIC-COOKIE-1\x00\x100123456789abcdef"), 0o644))
	for name, change := range map[string]func(r *Request){
		"no server":       func(r *Request) { r.Display = ":64321" },
		"no display name": func(r *Request) { r.Display = "nonsense" },
		"another host's":  func(r *Request) { r.Display = "host:1" },
		"wrong cookie":    func(r *Request) { r.Xauthority = wrong },
		"no such file":    func(r *Request) { r.Xauthority = "/nonexistent/Xauthority" },
		"no cookie":       func(r *Request) { r.Xauthority = "" },
	} {
		r := right
		change(&r)
		got, err := quick.Ask(t.Context(), r)
		assert.ErrorIs(t, err, ErrDisplay, name)
		assert.Equal(t, Denied, got, name)
	}
}

// Another user who listens where the session's X server should could press Yes.
// The fake is the best there is: a real X server, without any access control.
func TestServerOfAnotherUser(t *testing.T) {
	t.Parallel()
	require.Zero(t, os.Getuid(), "only root can make two users: run this test as root")
	fake := testhost.Require(t, testhost.Options{Width: 640, Height: 480, Args: []string{"-ac"}, Identity: &child.Identity{UID: 5, GID: 60}})
	r := request(fake)
	r.UID, r.GID, r.Xauthority = 65534, 65534, "" // the victim
	got, err := quick.Ask(t.Context(), r)
	assert.ErrorIs(t, err, ErrDisplay)
	assert.ErrorContains(t, err, "is uid 5's, and only root's or uid 65534's own would be trusted")
	assert.Equal(t, Denied, got)

	// It doesn't get in the way of the real one either, whose own path it took.
	d := put(t, bare, func(d *desk) {
		path := "/tmp/.X11-unix/X" + strings.TrimPrefix(d.Display, ":")
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Symlink("/tmp/.X11-unix/X"+strings.TrimPrefix(fake.Display, ":"), path))
		t.Cleanup(func() { os.Remove(path) })
	})
	d.refuse()
}

// Root's X server may show anybody's session.
func TestServerOfRoot(t *testing.T) {
	t.Parallel()
	require.Zero(t, os.Getuid(), "only root can make two users: run this test as root")
	d := testhost.Require(t, testhost.Options{Width: 640, Height: 480, Args: []string{"-ac"}, Identity: &child.Identity{}})
	r := request(d)
	r.UID, r.GID, r.Xauthority, r.Timeout = 65534, 65534, "", 2*time.Second
	got, err := quick.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, TimedOut, got)
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	a, b := put(t, managed, nil), put(t, bare, nil)
	a.ready().click(a.allow)
	a.expect(Granted)
	b.unanswered()
	b.ready().click(b.deny)
	b.expect(Denied)
}

func TestWindowProperties(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil, func(r *Request) { r.Admin = "CORP\\Zoë\u202e 张伟" })
		props := d.run("xprop", "-id", strconv.Itoa(int(d.win.ID)))
		for _, want := range []string{
			`WM_CLASS(STRING) = "consent", "shadowd"`, `_NET_WM_NAME(UTF8_STRING) = "CORP\\Zoë 张伟 wants to view your screen"`,
			"_NET_WM_WINDOW_TYPE_DIALOG", "_NET_WM_STATE_ABOVE", "_NET_WM_STATE_SKIP_TASKBAR", "WM_DELETE_WINDOW, _NET_WM_PING",
			fmt.Sprintf("program specified minimum size: %d by %d", d.win.Width, d.win.Height),
			fmt.Sprintf("program specified maximum size: %d by %d", d.win.Width, d.win.Height),
			"The urgency hint bit is set", "WM_CLIENT_MACHINE(STRING)", "_NET_WM_DESKTOP(CARDINAL) = 4294967295",
		} {
			assert.Contains(t, props, want)
		}
		d.hostile("ping")
		x, y := d.win.Center()
		assert.InDelta(t, 320, x, 1)
		assert.InDelta(t, 240, y, 1)
		d.ready().key("Escape")
		d.expect(Denied)
	})
}

// The window comes to the monitor that the pointer is on.
func TestMonitorOfThePointer(t *testing.T) {
	t.Parallel()
	d := put(t, testhost.Options{}, func(d *desk) {
		d.run("xrandr", "--setmonitor", "left", "400/100x768/200+0+0", "screen")
		d.run("xrandr", "--setmonitor", "right", "624/150x768/200+400+0", "none")
		require.NoError(t, d.Move(d.ctx, 900, 700))
	})
	x, y := d.win.Center()
	assert.InDelta(t, 400+312, x, 1)
	assert.InDelta(t, 384, y, 1)
	d.ready().key("Escape")
	d.expect(Denied)
}

func TestScaledByDPI(t *testing.T) {
	t.Parallel()
	d := put(t, testhost.Options{Width: 1600, Height: 1200}, func(d *desk) {
		d.run("sh", "-c", "echo 'Xft.dpi: 192' | xrdb -merge")
	})
	assert.Equal(t, 1040, d.win.Width)
	d.refuse()
}

func TestDepths(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{15, 16, 24, 30} {
		t.Run(strconv.Itoa(depth), func(t *testing.T) {
			d := put(t, testhost.Options{Width: 640, Height: 480, Depth: depth}, nil)
			img, err := d.Screenshot(d.ctx)
			require.NoError(t, err)
			c := img.RGBAAt(d.win.X+5, d.win.Y+5)
			assert.Equal(t, []uint8{0xff, 0xff, 0xff}, []uint8{c.R, c.G, c.B}, "the paper is white")
			d.ready() // the focus is blue
			d.click(d.allow)
			d.expect(Granted)
		})
	}
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120, Depth: 8})
	_, err := quick.Ask(t.Context(), request(d))
	assert.ErrorContains(t, err, "colours can't be used")
}

// Without a window manager a window that is laid over the question is not the
// last word.
func TestRaisedWhenCovered(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	d.spawn("cover")
	eventually(t, func() bool { d.click(d.allow); return len(d.answer) > 0 }, "Yes was never heard")
	d.expect(Granted)
}

// spawn starts another client that goes on until the desktop ends, and returns when its
// window is there.
func (d *desk) spawn(what string, args ...int) {
	d.t.Helper()
	all := []string{hostileArg, what, strconv.Itoa(int(d.win.ID))}
	for _, n := range args {
		all = append(all, strconv.Itoa(n))
	}
	_, err := d.Spawn("/proc/self/exe", all...)
	require.NoError(d.t, err)
	_, err = d.FindWindow(d.ctx, "cover")
	require.NoError(d.t, err)
}

// A Yes that the user can't have seen the question for counts nothing; a No always does.
func TestYesNeedsToBeSeen(t *testing.T) {
	t.Parallel()
	t.Run("fought over", func(t *testing.T) { // by a window that comes back each time
		t.Parallel()
		d := put(t, bare, nil).ready()
		d.spawn("fight")
		d.key("Tab", "Return", "Return", "Return")
		d.unanswered()
		d.key("Escape")
		d.expect(Denied)
	})
	t.Run("half covered", func(t *testing.T) {
		t.Parallel()
		d := put(t, bare, nil).ready()
		d.spawn("fight", 200, 200) // only this much of it, in a corner of the screen
		d.click(d.allow)           // the button itself can be seen
		d.key("Tab", "Return")
		d.unanswered()
		d.key("Escape")
		d.expect(Denied)
	})
	t.Run("covered from within", func(t *testing.T) {
		t.Parallel()
		d := put(t, bare, nil).ready()
		d.hostile("within")
		d.ready() // it is destroyed
		d.key("Tab", "Return")
		d.expect(Granted)
	})
}

// With a compositor the server never says that a window is covered.
func TestCompositor(t *testing.T) {
	t.Parallel()
	t.Run("keyboard", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, o testhost.Options) {
			d := put(t, o, (*desk).composite).ready()
			d.key("Tab", "Return")
			d.expect(Granted)
		})
	})
	t.Run("covered", func(t *testing.T) { // by a window that lets input through
		t.Parallel()
		d := put(t, bare, (*desk).composite).ready()
		d.spawn("veil")
		d.key("Tab", "Return", "Return")
		d.unanswered()
		d.click(d.allow) // the pointer enters the window
		d.expect(Granted)
	})
}

// managers are window managers and how they are started; testhost starts openbox.
var managers = map[string][]string{
	"openbox": nil, "metacity": {"metacity", "--sm-disable"}, "icewm": {"icewm", "--no-configure"},
}

// manage starts a window manager.
func (d *desk) manage(argv []string) {
	d.t.Helper()
	_, err := d.Spawn(argv[0], argv[1:]...)
	require.NoError(d.t, err)
	eventually(d.t, func() bool {
		out, err := d.Run(d.ctx, "xprop", "-root", "_NET_SUPPORTING_WM_CHECK")
		return err == nil && strings.Contains(string(out), "window id")
	}, argv[0]+" does not start")
}

// composite starts a compositor.
func (d *desk) composite() {
	d.t.Helper()
	_, err := d.Spawn("picom", "--backend", "xrender", "--config", "/dev/null")
	require.NoError(d.t, err)
	eventually(d.t, func() bool {
		out, err := d.Run(d.ctx, "/proc/self/exe", hostileArg, "compositor")
		return err == nil && len(out) > 0
	}, "picom does not start")
	require.NoError(d.t, d.Move(d.ctx, 1, 1)) // not where a window will be
}

// The question and the banner do their work under each of these, with its own ideas of
// frames, focus and stacking.
func TestWindowManagers(t *testing.T) {
	t.Parallel()
	for _, argv := range [][]string{managers["metacity"], managers["icewm"], {"metacity", "--sm-disable", "--composite"}} {
		manage := func(d *desk) { d.manage(argv) }
		t.Run(strings.Join(argv, " "), func(t *testing.T) {
			t.Parallel()
			d := put(t, bare, manage).ready()
			d.key("Tab", "Return")
			d.expect(Granted)
			d = put(t, bare, manage).ready()
			d.click(d.allow)
			d.expect(Granted)
			w := watch(t, bare, manage)
			w.click(w.stop)
			assert.ErrorIs(t, w.down(), ErrStopped)
		})
	}
}

// Nobody is asked who can't answer.
func TestLocked(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, before func(d *desk)) {
		d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
		before(d)
		got, err := quick.Ask(t.Context(), request(d.Desktop))
		require.NoError(t, err)
		assert.Equal(t, Locked, got)
	}
	t.Run("locker", func(t *testing.T) {
		t.Parallel()
		ask(t, func(d *desk) { d.spawn("lock", 640, 480) })
	})
	t.Run("screen saver", func(t *testing.T) {
		t.Parallel()
		ask(t, func(d *desk) { d.run("xset", "s", "activate") })
	})
	t.Run("only a menu", func(t *testing.T) {
		t.Parallel()
		d := put(t, bare, func(d *desk) { d.spawn("lock", 100, 200) }).ready()
		d.click(d.allow)
		d.expect(Granted)
	})
}

func TestFocusStolen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil).ready()
		d.hostile("steal")
		d.key("Tab", "Return", "Return", "Escape") // nobody's
		d.unanswered()
		d.click(d.allow)
		d.expect(Granted)
	})
}

// Windows that come and go over the question a thousand times make the server send
// it an event each time.
func TestExposeFlood(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil).ready()
	d.hostile("flood", 1000)
	eventually(t, func() bool { d.click(d.allow); return len(d.answer) > 0 }, "Yes was never heard")
	d.expect(Granted)
}

// The keyboard goes back to who had it.
func TestFocusReturns(t *testing.T) {
	t.Parallel()
	var before string
	d := put(t, bare, func(d *desk) {
		_, err := d.Spawn("xmessage", "-geometry", "200x100+0+0", "hello")
		require.NoError(t, err)
		w, err := d.FindWindow(d.ctx, "xmessage")
		require.NoError(t, err)
		before = strconv.Itoa(int(w.ID))
		d.run("xdotool", "windowfocus", before)
	}).ready()
	assert.Equal(t, strconv.Itoa(int(d.win.ID)), strings.TrimSpace(d.run("xdotool", "getwindowfocus", "-f")))
	d.key("Escape")
	d.expect(Denied)
	assert.Equal(t, before, strings.TrimSpace(d.run("xdotool", "getwindowfocus", "-f")))
}
