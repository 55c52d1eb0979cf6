package desktop

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// A watched desktop has a banner.
type watched struct {
	*desk
	*consent.Showing
	cancel context.CancelCauseFunc
}

// showing is a banner of p's that is being shown.
func showing(ctx context.Context, p consent.Banner, r consent.Request) *consent.Showing {
	s := consent.NewShowing()
	s.Start(ctx, p, r)
	return s
}

// within is an X11 with another time for signs of life.
type within struct {
	X11
	patience time.Duration
}

func (w within) Show(ctx context.Context, r consent.Request, s *consent.Showing) error {
	return w.showWithin(ctx, w.patience, r, s)
}

// shown is how a banner went that nobody ends.
func shown(t *testing.T, p consent.Banner, r consent.Request) error {
	t.Helper()
	s := showing(t.Context(), p, r)
	<-s.Done()
	return s.Err()
}

// watch puts the banner up on a fresh desktop. It goes at once when the user has stopped it.
func watch(t *testing.T, o testhost.Options, before func(d *desk)) *watched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	d := &desk{Desktop: testhost.Require(t, o), t: t, ctx: ctx}
	if before != nil {
		before(d)
	}
	w := &watched{desk: d}
	var show context.Context
	show, w.cancel = context.WithCancelCause(ctx)
	w.show(show, request(d.Desktop))
	return w
}

// show puts a banner up, which goes at once when the user has stopped it.
func (w *watched) show(ctx context.Context, r consent.Request) {
	w.t.Helper()
	w.showBy(ctx, quick, r)
}

// showBy is show by a banner of p's.
func (w *watched) showBy(ctx context.Context, p consent.Banner, r consent.Request) {
	w.t.Helper()
	s := showing(ctx, p, r)
	w.Showing = s
	go func() {
		select {
		case <-s.Stopped():
			s.Close()
		case <-s.Done():
		}
	}()
	w.find()
}

// stopped reports whether the user has stopped a viewing.
func stopped(s *consent.Showing) bool {
	select {
	case <-s.Stopped():
		return true
	default:
		return false
	}
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
	case <-w.Done():
		assert.NoError(w.t, w.WaitNoWindow(w.ctx, "banner"))
		return w.Err()
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
	w.Close() // what the engine does at a take-over: nothing is said about the first
	require.NoError(t, w.down())
	r := request(w.Desktop)
	r.Admin, r.Identity = `CORP\bob`, consent.Identity{Account: `CORP\bob`}
	w.show(w.ctx, r)
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
	s := showing(t.Context(), site, r)
	var err error
	d.win, err = d.FindWindow(d.ctx, "banner")
	require.NoError(t, err)
	title := func() string { return d.run("xprop", "-id", strconv.Itoa(int(d.win.ID)), "_NET_WM_NAME") }
	assert.Contains(t, title(), `"Zu Besuch: CORP\\alice"`)
	s.End("viewer_left")
	eventually(t, func() bool { return strings.Contains(title(), `"CORP\\alice sieht Ihren Bildschirm nicht mehr"`) }, "it never said so")
	<-s.Done()
	assert.NoError(t, s.Err())
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

// Without a window manager that says so, it stands below a panel that says itself that it is one.
func TestBannerBelowAPanelByItself(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, func(d *desk) {
		_, err := d.Spawn("xclock", "-name", "panel", "-geometry", "640x24+0+0")
		require.NoError(t, err)
		panel, err := d.FindWindow(d.ctx, "panel")
		require.NoError(t, err)
		d.run("xprop", "-id", strconv.Itoa(int(panel.ID)), "-f", "_NET_WM_STRUT_PARTIAL", "32c",
			"-set", "_NET_WM_STRUT_PARTIAL", "0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0")
	})
	assert.Equal(t, 24, w.win.Y)
	w.click(w.stop)
	assert.ErrorIs(t, w.down(), consent.ErrStopped)
}

func TestBannerIgnoresOtherClientsInput(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	w.send(4, 5, 1, w.stop)
	w.key("Return", "space", "Escape")
	w.End("all is well") // comes after them
	assert.NoError(t, w.down())
}

func TestBannerEnded(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	w.End("the viewer \x1b disconnected")
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
	w.Close()
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

	w.show(w.ctx, request(w.Desktop)) // the next one comes where the user has moved this one to
	at(60, 90)
	w.Close()
	require.NoError(t, w.down())
}

func TestBannerStaysOnTop(t *testing.T) {
	t.Parallel()
	w := watch(t, bare, nil)
	w.spawn("cover")
	eventually(t, func() bool { w.click(w.stop); return stopped(w.Showing) }, "Stop was never heard")
	assert.ErrorIs(t, w.down(), consent.ErrStopped)
}

// The user who closes the banner wants no viewer, and hears that there is none any longer: a
// window that is killed says nothing of what it meant.
func TestBannerClosed(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"destroy", "kill"} {
		d := &desk{Desktop: testhost.Require(t, bare), t: t, ctx: t.Context()}
		w := &watched{desk: d, Showing: showing(t.Context(), quick, request(d.Desktop))}
		w.find()
		if how == "kill" {
			w.run("xkill", "-id", strconv.Itoa(int(w.win.ID)))
		} else {
			w.hostile(how)
		}
		<-w.Stopped()
		w.says("is no longer viewing your screen")
		w.Close() // another banner comes
		<-w.Done()
		assert.ErrorIs(t, w.Err(), consent.ErrStopped, how)
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
	w := &watched{desk: d, Showing: consent.NewShowing()}
	w.End("prompt_failed")
	w.Start(t.Context(), quick, request(d.Desktop))
	w.find()
	title := w.run("xprop", "-id", strconv.Itoa(int(w.win.ID)), "_NET_WM_NAME")
	assert.Contains(t, title, `"CORP\\alice is no longer viewing your screen"`)
	w.Close()
	<-w.Done()
	assert.NoError(t, w.Err())
}

// A notice whose child doesn't heed that it is to make room is ended sooner than one that need
// not.
func TestBannerThatMakesNoRoom(t *testing.T) {
	t.Parallel()
	out := t.TempDir() + "/pid"
	stays := X11{Command: sh("trap '' TERM; echo shown; sleep 1; echo $$ > " + out + "; sleep 1000 & while :; do wait; done")}
	show := func() *consent.Showing {
		s := consent.NewShowing()
		s.End("viewer_left")
		s.Start(t.Context(), stays, self())
		return s
	}
	may := show()
	testhost.ReadPID(t, out) // a second later, so that with the same time it ends first
	must := show()
	must.Close()
	next(t, must.Done())
	assert.NoError(t, must.Err())
	select {
	case <-may.Done():
		assert.Fail(t, "both had the same time")
	default:
	}
	next(t, may.Done())
	assert.NoError(t, may.Err())
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
			eventually(t, func() bool {
				w.find()
				return w.win.Y == 60 && (dx == 0 || w.win.X+w.win.Width == 640) // all the way
			}, "it can't be moved")
			before := w.win
			w.End(strings.Repeat("and so on ", 15))
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
	s := showing(ctx, X11{Command: sh("trap '' TERM; echo shown; echo $$ > " + out + "; sleep 1000 & while :; do wait; done")}, self())
	pid := testhost.ReadPID(t, out)
	s.End("whatever")
	cancel()
	<-s.Done()
	testhost.RequireGone(t, pid)
}
