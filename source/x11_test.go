package source_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	var refusal *shadow.End
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

	auto.X11.Command = []string{"/bin/sh", "-c", "echo 'too many pixels' >&2; exit 6", "capture"}
	var refusal *shadow.End
	require.ErrorAs(t, auto.Check(t.Context(), s), &refusal, "x11vnc's would be too many, too")
	assert.Equal(t, shadow.SourceFailed, refusal.Reason)
	assert.Equal(t, "too many pixels", refusal.Detail)

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

// liar listens as a display whose X server answers the set-up with that, and returns its name.
func liar(t *testing.T, answer []byte) (display string) {
	t.Helper()
	require.NoError(t, os.MkdirAll("/tmp/.X11-unix", 0o777))
	var ln net.Listener
	for number := 64910; ln == nil; number++ {
		require.Less(t, number, 65000, "no display is free")
		ln, _ = net.Listen("unix", fmt.Sprintf("/tmp/.X11-unix/X%d", number))
		display = fmt.Sprintf(":%d", number)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = client.Read(make([]byte, 1024))
			_, _ = client.Write(answer)
			wg.Go(func() {
				_, _ = io.Copy(io.Discard, client)
				client.Close()
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return display
}

// An X server whose answers break our own capture isn't given to x11vnc, and why is said in words.
func TestServerThatBreaksTheCapture(t *testing.T) {
	answer := make([]byte, 40)
	answer[0], answer[2], answer[6], answer[28] = 1, 11, 8, 255 // 255 screens in 40 bytes
	s := &shadow.Session{ID: "1", User: "root", UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Display: liar(t, answer)}
	started := filepath.Join(t.TempDir(), "started")
	program := filepath.Join(t.TempDir(), "x11vnc")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\necho \"$*\" >> "+started+"\necho 'x11vnc: 0.9.16 lastmod: 2019-01-05'\n"), 0o755))
	auto := source.Auto{X11vnc: source.X11vnc{Path: program}}
	err := auto.Check(t.Context(), s)
	require.ErrorContains(t, err, "the capture broke off (exit status 2)")
	_, err = auto.Open(t.Context(), s)
	require.Error(t, err)
	assert.NoFileExists(t, started)
}

// Monitors' names, which are the user's, are cut before anybody is asked, and what they are cut to chooses one.
func TestLongMonitorNames(t *testing.T) {
	d, s := xSession(t)
	for i := range 3 {
		name := strings.Repeat(string(rune('a'+i)), 30_000)
		_, err := d.Run(t.Context(), "xrandr", "--setmonitor", name, fmt.Sprintf("%d/100x100/100+%d+0", 100-i, 100*i), "none")
		require.NoError(t, err)
	}
	x := new(source.X11)
	display, err := x.Look(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, display.Monitors, 4)
	for _, m := range display.Monitors {
		assert.LessOrEqual(t, len(m.Name), 128)
		if m.Width == 99 {
			s.Monitor = m.Name
		}
	}
	require.NoError(t, x.Check(t.Context(), s))
	conn, server := open(t, x, s)
	defer conn.Close()
	assert.EqualValues(t, 99, server.Init.Width)
}

// What no program could show is refused before the user is asked, whichever program it would be.
func TestNeitherCanShow(t *testing.T) {
	both := map[string]shadow.Source{"x11vnc": new(source.X11vnc), "auto": new(source.Auto)}
	d, s := xSession(t)
	stranger := *s
	stranger.Xauthority = filepath.Join(filepath.Dir(s.Xauthority), "wrong")
	heads, found := cookies(t, s.Xauthority)
	wrong := append(append(heads[0], 0, byte(len(found[0]))), bytes.Repeat([]byte{7}, len(found[0]))...)
	require.NoError(t, os.WriteFile(stranger.Xauthority, wrong, 0o644))
	var refusal *shadow.End
	for name, from := range both {
		require.NoError(t, from.Check(t.Context(), s), name)
		require.ErrorAs(t, from.Check(t.Context(), &stranger), &refusal, name)
		assert.Equal(t, shadow.DisplayUnreachable, refusal.Reason, name)
	}
	_, err := d.Run(t.Context(), "xrandr", "--setmonitor", "XWAYLAND0", "320/100x200/100+0+0", "screen")
	require.NoError(t, err)
	for name, from := range both {
		require.ErrorAs(t, from.Check(t.Context(), s), &refusal, name)
		assert.Equal(t, shadow.Wayland, refusal.Reason, name)
	}

	// Nor is anything else tried when the request is over.
	auto := both["auto"].(*source.Auto)
	require.NoError(t, auto.X11vnc.Check(t.Context(), nil))
	auto.X11.Command = []string{"/bin/sh", "-c", "sleep 100", "capture"}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	err = auto.Check(over, s)
	require.ErrorIs(t, err, context.Canceled)
	assert.NotContains(t, err.Error(), "in its place")
}

// A display that hangs is unreachable.
func TestDisplayHangs(t *testing.T) {
	s := &shadow.Session{ID: "1", User: "root", UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Display: ":64002"}
	auto := source.Auto{X11: source.X11{Command: []string{"/bin/sh", "-c", "sleep 100", "capture"}}}
	var refusal *shadow.End
	require.ErrorAs(t, auto.Check(t.Context(), s), &refusal)
	assert.Equal(t, shadow.DisplayUnreachable, refusal.Reason)
	assert.Contains(t, refusal.Detail, "display :64002 doesn't answer")
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

	watched, err := x.Open(t.Context(), s)
	require.NoError(t, err)
	defer watched.Close()
	w := watch(t, watched)
	w.update(false)
	_, err = d.Run(t.Context(), "xrandr", "--delmonitor", "right")
	require.NoError(t, err)
	w.ask(true) // answered or not: this viewer can't be told another size
	select {
	case note := <-watched.(shadow.Noter).Notes():
		assert.Equal(t, shadow.Note{Text: "now shown: the whole screen, since monitor right is gone", Changed: true}, note)
	case <-time.After(patience):
		assert.Fail(t, "nobody was told")
	}
	_, err = d.Run(t.Context(), "xrandr", "--setmonitor", "right", "120/100x100/100+200+0", "none")
	require.NoError(t, err)

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

// Whoever asks for monitors all the time has a display looked at no more often, one that can't be
// looked at neither.
func TestMonitorsAreLookedAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "looks")
	x := &source.X11{Command: []string{"/bin/sh", "-c", `echo look >> "` + file + `"; sleep 0.2; exit 7`}}
	s := &shadow.Session{ID: "1", User: "root", UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Display: ":64002"}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 3 {
				_, err := x.Monitors(t.Context(), s)
				assert.ErrorContains(t, err, "exit status 7")
			}
		})
	}
	all.Wait()
	looks, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "look\n", string(looks))
}
