package source_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
	"vda.internal/shadow/source/capture"
)

func TestMain(m *testing.M) {
	capture.Child()
	if os.Args[len(os.Args)-1] == actSegment {
		if _, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestX11ShowsTheSessionAndEndsWithItsConnection(t *testing.T) {
	_, s := xSession(t)
	conn, err := new(source.X11).Open(t.Context(), s)
	require.NoError(t, err)
	server, err := rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	assert.EqualValues(t, 320, server.Init.Width)
	assert.EqualValues(t, 200, server.Init.Height)
	require.NoError(t, conn.Close())
	select {
	case <-conn.(shadow.Ender).Ended():
	default:
		assert.Fail(t, "Close returned before the process had ended")
	}
	assert.NoError(t, ended(t, conn), "it ended well")
}

func TestX11RunsAsTheUser(t *testing.T) {
	_, s := xSession(t)
	conn, err := new(source.X11).Open(t.Context(), s)
	require.NoError(t, err)
	defer conn.Close()
	_, err = rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	status, err := os.ReadFile("/proc/" + strconv.Itoa(conn.(interface{ PID() int }).PID()) + "/status")
	require.NoError(t, err)
	assert.Contains(t, string(status), "Uid:\t"+strings.Repeat(strconv.Itoa(int(s.UID))+"\t", 3))
}

func TestX11TellsADeadSessionFromAFailure(t *testing.T) {
	d, s := xSession(t)
	conn, err := new(source.X11).Open(t.Context(), s)
	require.NoError(t, err)
	_, err = rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	began := time.Now()
	d.Kill()
	assert.ErrorIs(t, ended(t, conn), shadow.ErrSessionEnded)
	t.Log("told after", time.Since(began))
	require.NoError(t, conn.Close())
}

func TestX11FailureHasItsLastWords(t *testing.T) {
	_, s := xSession(t)
	s.Xauthority = filepath.Join(t.TempDir(), "none")
	conn, err := new(source.X11).Open(t.Context(), s)
	require.NoError(t, err)
	err = ended(t, conn)
	require.Error(t, err)
	assert.NotErrorIs(t, err, shadow.ErrSessionEnded)
	assert.ErrorContains(t, err, "the file with the cookie")
	require.NoError(t, conn.Close())
}

func TestX11KilledIsAFailureAndLeavesNothing(t *testing.T) {
	_, s := xSession(t)
	conn, err := new(source.X11).Open(t.Context(), s)
	require.NoError(t, err)
	_, err = rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	before := segments(t)
	require.NoError(t, syscall.Kill(conn.(interface{ PID() int }).PID(), syscall.SIGKILL))
	err = ended(t, conn)
	require.Error(t, err)
	assert.NotErrorIs(t, err, shadow.ErrSessionEnded)
	require.NoError(t, conn.Close())
	assert.LessOrEqual(t, segments(t), before)
}

// segments counts the shared memory segments of the test's user and nobody's.
func segments(t *testing.T) (n int) {
	t.Helper()
	data, err := os.ReadFile("/proc/sysvipc/shm")
	require.NoError(t, err)
	return strings.Count(string(data), "\n")
}

// What can't be shown is known before anybody is asked.
func TestX11Check(t *testing.T) {
	d, s := xSession(t)
	x := new(source.X11)
	require.NoError(t, x.Check(t.Context(), s))
	display, err := x.Look(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, 320, display.Width)
	assert.Equal(t, 200, display.Height)
	require.Len(t, display.Monitors, 1)
	assert.Equal(t, 320, display.Monitors[0].Width)
	assert.Empty(t, display.Lacks)

	other := *s
	other.Xauthority = filepath.Join(t.TempDir(), "none")
	var refusal *shadow.Refusal
	require.ErrorAs(t, x.Check(t.Context(), &other), &refusal)
	assert.Equal(t, shadow.DisplayUnreachable, refusal.Reason)
	assert.Contains(t, refusal.Detail, "the file with the cookie")

	d.Kill()
	require.ErrorAs(t, x.Check(t.Context(), s), &refusal)
	assert.Equal(t, shadow.DisplayUnreachable, refusal.Reason)
	assert.Contains(t, refusal.Detail, "no X server answers")

	gray := testhost.Require(t, testhost.Options{Width: 320, Height: 200, Depth: 8, Args: []string{"-cc", "0"}})
	s.Display, s.Xauthority = gray.Display, gray.Xauthority
	err = x.Check(t.Context(), s)
	require.ErrorContains(t, err, "StaticGray")
	assert.NotErrorAs(t, err, &refusal)
}

// Where X11 can't, x11vnc is used and the reason told; where x11vnc isn't there
// either, both are.
func TestAuto(t *testing.T) {
	_, s := xSession(t)
	auto := new(source.Auto)
	auto.X11vnc.Path = "/nonexistent/x11vnc"
	require.NoError(t, auto.Check(t.Context(), s))
	conn, err := auto.Open(t.Context(), s)
	require.NoError(t, err)
	assert.Empty(t, conn.(shadow.Detailer).Detail())
	conn.Close()

	auto.X11.Command = []string{"/bin/sh", "-c", "echo 'odd pixels' >&2; exit 4", "capture"}
	err = auto.Check(t.Context(), s)
	require.ErrorContains(t, err, "odd pixels")
	require.ErrorContains(t, err, "there is no x11vnc at")
	_, err = exec.LookPath("x11vnc")
	require.NoError(t, err, "apt-get install x11vnc")
	auto.X11vnc.Path = ""
	require.NoError(t, auto.Check(t.Context(), s))
	conn, err = auto.Open(t.Context(), s)
	require.NoError(t, err)
	defer conn.Close()
	assert.Contains(t, conn.(shadow.Detailer).Detail(), "odd pixels")
	server, err := rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	assert.EqualValues(t, 320, server.Init.Width)
}

// A monitor that was asked for is shown alone; what isn't there, or what shows all, refuses
// before anybody is asked.
func TestOneMonitor(t *testing.T) {
	d, s := xSession(t)
	for _, monitor := range []string{"left 200/100x200/100+0+0 screen", "right 120/100x100/100+200+0 none"} {
		_, err := d.Run(t.Context(), "xrandr", append([]string{"--setmonitor"}, strings.Fields(monitor)...)...)
		require.NoError(t, err)
	}
	x := new(source.X11)
	display, err := x.Look(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, display.Monitors, 2)
	s.Monitor = display.Monitors[1].Name
	require.Equal(t, "right", s.Monitor)
	require.NoError(t, x.Check(t.Context(), s))
	conn, err := x.Open(t.Context(), s)
	require.NoError(t, err)
	defer conn.Close()
	server, err := rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	assert.EqualValues(t, 120, server.Init.Width)
	assert.EqualValues(t, 100, server.Init.Height)
	assert.Contains(t, conn.(shadow.Detailer).Detail(), "right")

	assert.ErrorContains(t, new(source.X11vnc).Check(t.Context(), s), "all monitors")
	assert.ErrorContains(t, (&source.Dial{Network: "unix", Address: "/x"}).Check(t.Context(), s), "all monitors")
	s.Monitor = "7"
	assert.ErrorContains(t, x.Check(t.Context(), s), `there is no monitor "7"; there are 1 (left, 200x200), 2 (right, 120x100)`)
}

// Monitors are found out once in a while, however often they are asked for.
func TestMonitorsAreRemembered(t *testing.T) {
	d, s := xSession(t)
	x := new(source.X11)
	first, err := x.Monitors(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, first, 1)
	d.Kill()
	again, err := x.Monitors(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, first, again)
	_, err = new(source.X11).Monitors(t.Context(), s)
	require.Error(t, err)
}
