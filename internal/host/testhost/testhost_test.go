package testhost_test

import (
	"context"
	"fmt"
	"image/color"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDesktopBelongsToItsUser(t *testing.T) {
	d := testhost.Require(t, testhost.Options{})
	if os.Getuid() == 0 {
		assert.EqualValues(t, 65534, d.Identity.UID)
	} else {
		assert.EqualValues(t, os.Getuid(), d.Identity.UID)
	}
	info, err := os.Stat(d.Xauthority)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	assert.Equal(t, d.Identity.UID, info.Sys().(*syscall.Stat_t).Uid)

	p, err := d.Spawn("sh", "-c", `(id -u; echo "$DISPLAY $XAUTHORITY $HOME") > "$HOME/x"`)
	require.NoError(t, err)
	<-p.Done()
	require.NoError(t, p.Err())
	out, err := os.ReadFile(d.Home + "/x")
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("%d\n%s %s %s\n", d.Identity.UID, d.Display, d.Xauthority, d.Home), string(out))
}

func TestDisplayWantsItsCookie(t *testing.T) {
	d := testhost.Require(t, testhost.Options{})
	_, err := d.Run(t.Context(), "xwininfo", "-root")
	require.NoError(t, err)
	_, err = d.Run(t.Context(), "env", "XAUTHORITY=/dev/null", "xwininfo", "-root")
	require.ErrorContains(t, err, "unable to open display")
}

func TestManyDesktopsAtOnce(t *testing.T) {
	testenv.Program(t, "Xvfb", "xvfb")
	ctx := t.Context()
	var wg sync.WaitGroup
	desktops := make([]*testhost.Desktop, 4)
	for i := range desktops {
		wg.Go(func() {
			d, err := testhost.Start(ctx, testhost.Options{Width: 320, Height: 200})
			if assert.NoError(t, err) {
				desktops[i] = d
			}
		})
	}
	wg.Wait()
	displays := make(map[string]bool)
	for _, d := range desktops {
		if d == nil {
			continue
		}
		displays[d.Display] = true
		require.NoError(t, d.Close())
	}
	assert.Len(t, displays, len(desktops))
}

func TestScreenshotShowsTheRoot(t *testing.T) {
	for _, depth := range []int{24, 16} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			d := testhost.Require(t, testhost.Options{Width: 321, Height: 203, Depth: depth})
			for _, want := range []color.RGBA{{0xff, 0, 0, 0xff}, {0, 0xff, 0, 0xff}, {0, 0, 0xff, 0xff}} {
				require.NoError(t, d.SetRoot(t.Context(), fmt.Sprintf("#%02x%02x%02x", want.R, want.G, want.B)))
				img, err := d.Screenshot(t.Context())
				require.NoError(t, err)
				assert.Equal(t, 321, img.Bounds().Dx())
				assert.Equal(t, 203, img.Bounds().Dy())
				assert.Equal(t, want, img.RGBAAt(0, 0))
				assert.Equal(t, want, img.RGBAAt(320, 202))
			}
		})
	}
}

func TestWindowsAreFoundWhereTheyAre(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	d := testhost.Require(t, testhost.Options{WindowManager: true})
	p, err := d.Spawn("xclock", "-name", "clock one", "-geometry", "200x100+300+250", "-bg", "#123456", "-digital")
	require.NoError(t, err)
	w, err := d.FindWindow(ctx, "clock one")
	require.NoError(t, err)
	assert.Equal(t, 200, w.Width)
	assert.Equal(t, 100, w.Height)
	require.Eventually(t, func() bool {
		img, err := d.Screenshot(ctx)
		return err == nil && img.RGBAAt(w.X+1, w.Y+1) == color.RGBA{0x12, 0x34, 0x56, 0xff} &&
			img.RGBAAt(w.X+198, w.Y+98) == color.RGBA{0x12, 0x34, 0x56, 0xff}
	}, 2*time.Minute, 20*time.Millisecond, "the window isn't where FindWindow says")
	p.Stop(0, time.Second)
	require.NoError(t, d.WaitNoWindow(ctx, "clock one"))
}

// A window manager that isn't ready yet loses a window now and then.
func TestWindowManagerIsReady(t *testing.T) {
	for range 6 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		d := testhost.Require(t, testhost.Options{WindowManager: true})
		_, err := d.Spawn("xclock")
		require.NoError(t, err)
		_, err = d.FindWindow(ctx, "xclock")
		require.NoError(t, err)
		require.NoError(t, d.Close())
		cancel()
	}
}

func TestFindWindowStopsWaiting(t *testing.T) {
	d := testhost.Require(t, testhost.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := d.FindWindow(ctx, "nothing")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestInputLogSeesEveryKindOfInput(t *testing.T) {
	ctx := t.Context()
	d := testhost.Require(t, testhost.Options{WindowManager: true})
	l, err := d.WatchInput(ctx)
	require.NoError(t, err)
	got, err := l.Events(ctx)
	require.NoError(t, err)
	require.Empty(t, got)

	require.NoError(t, d.Click(ctx, 40, 50))
	x, y, err := d.Pointer(ctx)
	require.NoError(t, err)
	assert.Equal(t, [2]int{40, 50}, [2]int{x, y})
	_, err = d.Run(ctx, "xdotool", "mousemove_relative", "3", "4")
	require.NoError(t, err)
	require.NoError(t, d.Key(ctx, "Tab"))
	got, err = l.Events(ctx)
	require.NoError(t, err)
	types := make([]string, len(got))
	for i, e := range got {
		types[i] = e.Type
	}
	assert.Equal(t, "RawButtonPress RawButtonRelease RawMotion RawKeyPress RawKeyRelease", strings.Join(types, " "))

	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	_, err = l.Events(ctx)
	require.Error(t, err)
}

func TestTypedTextReachesTheFocus(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	d := testhost.Require(t, testhost.Options{WindowManager: true})
	_, err := d.Spawn("xterm", "-e", "sh", "-c", `read -r line; echo "$line" >"$HOME/part"; mv "$HOME/part" "$HOME/line"; sleep 60`)
	require.NoError(t, err)
	w, err := d.FindWindow(ctx, "xterm")
	require.NoError(t, err)
	x, y := w.Center()
	require.NoError(t, d.Click(ctx, x, y))
	require.NoError(t, d.Type(ctx, "hello there"))
	require.NoError(t, d.Key(ctx, "Return"))
	require.Eventually(t, func() bool {
		line, err := os.ReadFile(d.Home + "/line")
		return err == nil && string(line) == "hello there\n"
	}, 2*time.Minute, 20*time.Millisecond)
}

func TestCloseLeavesNothing(t *testing.T) {
	testenv.Program(t, "Xvfb", "xvfb")
	testenv.Program(t, "xclock", "x11-apps")
	d, err := testhost.Start(t.Context(), testhost.Options{WindowManager: true})
	require.NoError(t, err)
	p, err := d.Spawn("xclock")
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	<-p.Done()
	<-d.Done()
	assert.NoDirExists(t, d.Home)
	assert.NoFileExists(t, d.Xauthority)
	assert.ErrorIs(t, syscall.Kill(p.PID(), 0), syscall.ESRCH)
	_, err = d.Spawn("xclock")
	require.ErrorIs(t, err, testhost.ErrClosed)
}

func TestKillIsACrash(t *testing.T) {
	d := testhost.Require(t, testhost.Options{})
	p, err := d.Spawn("xclock")
	require.NoError(t, err)
	_, err = d.FindWindow(t.Context(), "xclock")
	require.NoError(t, err)
	d.Kill()
	<-p.Done()
	assert.NotZero(t, p.ExitCode())
	_, err = net.Dial("unix", "/tmp/.X11-unix/X"+strings.TrimPrefix(d.Display, ":"))
	require.Error(t, err)
	for range 3 { // who might take the number
		assert.NotEqual(t, d.Display, testhost.Require(t, testhost.Options{}).Display)
	}
}

func TestMissingToolNamesItsPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := testhost.Start(t.Context(), testhost.Options{})
	require.ErrorContains(t, err, "Xvfb is not installed; do: apt-get install xvfb")
}

func TestServerThatDoesNotStartSaysWhy(t *testing.T) {
	testenv.Program(t, "Xvfb", "xvfb")
	_, err := testhost.Start(t.Context(), testhost.Options{Args: []string{"-nonsense"}})
	require.ErrorContains(t, err, "nrecognized option: -nonsense")
}
