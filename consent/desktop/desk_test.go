package desktop

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/printed"
	"vda.internal/shadow/internal/host/testhost"
)

// A desk is a desktop with a question on it.
type desk struct {
	*testhost.Desktop
	t      *testing.T
	ctx    context.Context
	by     X11 // who asks
	asked  time.Time
	win    testhost.Window
	answer chan func() (consent.Decision, error)
}

// request is a question for a desktop's user, of an administrator whom this host knows.
func request(d *testhost.Desktop) consent.Request {
	return consent.Request{
		Admin: `CORP\alice`, Identity: consent.Identity{Account: `CORP\alice`}, Host: "vda1.corp.example", Session: "1", Display: d.Display, Xauthority: d.Xauthority,
		User: account(int(d.Identity.UID)), UID: d.Identity.UID, GID: d.Identity.GID, Groups: d.Identity.Groups,
	}
}

// account is the name of the user with that number, as far as it matters.
func account(uid int) string {
	if uid == 0 {
		return "root" // who runs these tests so means it
	}
	return "user"
}

// put puts a question to the user of a fresh desktop and returns when its window is
// there. before, if any, is done to the desktop first.
func put(t *testing.T, o testhost.Options, before func(d *desk), change ...func(*consent.Request)) *desk {
	t.Helper()
	d := newDesk(t, o, before)
	d.put(change...)
	return d
}

// newDesk is a fresh desktop without a question.
func newDesk(t *testing.T, o testhost.Options, before func(d *desk)) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	d := &desk{Desktop: testhost.Require(t, o), t: t, ctx: ctx, by: quick, answer: make(chan func() (consent.Decision, error), 1)}
	t.Cleanup(d.keepFailure)
	if before != nil {
		before(d)
	}
	return d
}

// keepFailure keeps what a test that failed had on the screen.
func (d *desk) keepFailure() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if !d.t.Failed() {
		return
	}
	if img, err := d.Screenshot(ctx); err == nil {
		name := filepath.Join(os.TempDir(), "consent-"+strings.ReplaceAll(d.t.Name(), "/", "-")+".png")
		keep(d.t, name, img)
		d.t.Log("the screen is in", name)
	}
	tree, _ := d.Run(ctx, "xwininfo", "-root", "-tree")
	d.t.Logf("%s", tree)
}

// put puts a question to the user and returns when its window is there.
func (d *desk) put(change ...func(*consent.Request)) {
	d.t.Helper()
	d.ask(change...)
	var err error
	d.win, err = d.FindWindow(d.ctx, "consent")
	require.NoError(d.t, err)
}

// ask puts a question to the user.
func (d *desk) ask(change ...func(*consent.Request)) {
	r := request(d.Desktop)
	r.Timeout = 99 * time.Second // never the reason, unless it is said; with two digits as in the pictures
	for _, c := range change {
		c(&r)
	}
	d.asked = time.Now()
	go func() {
		got, err := d.by.Ask(context.Background(), r)
		d.answer <- func() (consent.Decision, error) { return got, err }
	}()
}

// silence puts a question that nobody answers, and has its time run out once meanwhile has succeeded. The first has
// two seconds; if that was too little on this machine, the next has four times as much.
func (d *desk) silence(meanwhile func() error) {
	d.t.Helper()
	for limit := 2 * time.Second; ; limit *= 4 {
		d.ask(func(r *consent.Request) { r.Timeout = limit })
		err := errors.New("it was never seen")
		for len(d.answer) == 0 && err != nil {
			var found []testhost.Window
			if found, err = d.Windows(d.ctx, "consent"); err == nil && len(found) > 0 {
				d.win = found[0]
				err = meanwhile()
			} else if err == nil {
				err = errors.New("it isn't there")
			}
		}
		if err == nil {
			d.expect(consent.TimedOut)
			return
		}
		require.Less(d.t, limit, time.Minute, err)
		got, askErr := d.result()
		require.NoError(d.t, askErr)
		require.Equal(d.t, consent.TimedOut, got)
	}
}

// ready waits until the focus can be seen on No, with a blue ring, and Yes looks alive:
// from then on input counts.
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
		ring := img.RGBAAt(x, y-21)
		return no.B > 0x80 && no.R < 0x40 && ring.R < 0x80 && d.yesAlive(img)
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
func (d *desk) result() (consent.Decision, error) {
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
func (d *desk) expect(want consent.Decision) {
	d.t.Helper()
	got, err := d.result()
	require.NoError(d.t, err)
	assert.Equal(d.t, want, got)
	assert.NoError(d.t, d.WaitNoWindow(d.ctx, "consent"))
}

// refuse presses Esc until it counts. It pauses in between, as somebody who is not typing does.
func (d *desk) refuse() {
	d.t.Helper()
	require.Eventually(d.t, func() bool { d.key("Escape"); return len(d.answer) > 0 }, 5*time.Minute, 700*time.Millisecond, "Esc was never heard")
	d.expect(consent.Denied)
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

// pid is the child's process id.
func (d *desk) pid() int {
	d.t.Helper()
	pid, err := d.findPID()
	require.NoError(d.t, err)
	return pid
}

// findPID is the child's process id, as the window tells it.
func (d *desk) findPID() (int, error) {
	out, err := d.Run(d.ctx, "xprop", "-notype", "-id", strconv.Itoa(int(d.win.ID)), "_NET_WM_PID")
	if err != nil {
		return 0, err
	}
	_, number, _ := strings.Cut(strings.TrimSpace(string(out)), "= ")
	return strconv.Atoi(number)
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

// hostile makes another client do something to the window.
func (d *desk) hostile(what string, args ...int) {
	d.t.Helper()
	all := []string{hostileArg, what, strconv.Itoa(int(d.win.ID))}
	for _, n := range args {
		all = append(all, strconv.Itoa(n))
	}
	_, err := d.other(all...)
	require.NoError(d.t, err)
}

// other runs this program as another client of the desktop's user, to its end, and returns what it printed.
func (d *desk) other(args ...string) (string, error) {
	var out printed.Tail
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := d.SpawnCmd(cmd)
	if err != nil {
		return "", err
	}
	<-p.Done()
	return out.String(), p.Err()
}

// send makes another client send the window a press and a release: keys or
// mouse button 1, at a place on the screen.
func (d *desk) send(press, release, detail int, at func() (x, y int)) {
	d.t.Helper()
	x, y := at()
	d.hostile("send", press, release, detail, x-d.win.X, y-d.win.Y)
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

// managers are window managers and how they are started; testhost starts openbox.
var managers = map[string][]string{
	"openbox": nil, "metacity": {"env", "GSETTINGS_BACKEND=memory", "metacity", "--sm-disable", "--compositor=none"}, "icewm": {"icewm", "--no-configure"},
}

// manage starts a window manager.
func (d *desk) manage(argv []string) *child.Process {
	d.t.Helper()
	p, err := d.Spawn(argv[0], argv[1:]...)
	require.NoError(d.t, err)
	eventually(d.t, func() bool {
		out, err := d.Run(d.ctx, "xprop", "-root", "_NET_SUPPORTING_WM_CHECK")
		return err == nil && strings.Contains(string(out), "window id")
	}, argv[0]+" does not start")
	return p
}

// composite starts a compositor.
func (d *desk) composite() {
	d.t.Helper()
	p, err := d.Spawn("picom", "--backend", "xrender", "--config", "/dev/null")
	require.NoError(d.t, err)
	d.t.Cleanup(func() { // before the desktop's own
		select {
		case <-p.Done():
			assert.Fail(d.t, "picom has ended", "%v", p.Err())
		default:
		}
	})
	eventually(d.t, func() bool {
		out, err := d.other(hostileArg, "compositor")
		return err == nil && out != ""
	}, "picom does not start")
	require.NoError(d.t, d.Move(d.ctx, 1, 1)) // not where a window will be
}
