package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/rfb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command runs rfbtrace and returns its status and what it printed.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	defer out.Close()
	errs, err := os.Create(filepath.Join(dir, "err"))
	require.NoError(t, err)
	defer errs.Close()
	status = run(t.Context(), args, out, errs)
	o, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	e, err := os.ReadFile(errs.Name())
	require.NoError(t, err)
	return status, string(o), string(e)
}

// example is a small trace that is committed.
func example(t *testing.T) string {
	files, err := filepath.Glob(traces + "/Xvnc-*/viewer-novnc.trace.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files, "no traces: go test ./cmd/rfbtrace -run Capture -update")
	return files[0]
}

func TestPrint(t *testing.T) {
	status, out, errs := command(t, "print", example(t))
	require.Zero(t, status, errs)
	assert.Contains(t, out, "viewer: novnc\n")
	assert.Contains(t, out, "Handshake RFB 003.008 None 160x120")
	assert.Contains(t, out, "EnableContinuousUpdates Enable=true Rect=160x120+0+0")
	assert.Contains(t, out, "    Tight 160x120+0+0")

	status, out, _ = command(t, "summary", example(t))
	require.Zero(t, status)
	assert.Regexp(t, `server rectangle Tight +\d+ +\d+ bytes`, out)

	status, out, _ = command(t, "handshake", example(t))
	require.Zero(t, status)
	assert.Contains(t, out, "offered         None\nchosen          None\n")
}

func TestVerify(t *testing.T) {
	small, err := filepath.Glob(traces + "/*/viewer-*.trace.gz")
	require.NoError(t, err)
	status, out, errs := command(t, append([]string{"verify"}, small...)...)
	require.Zero(t, status, errs)
	assert.Equal(t, len(small), strings.Count(out, "to the last byte"))

	b, err := os.ReadFile(example(t))
	require.NoError(t, err)
	broken := filepath.Join(t.TempDir(), "broken.gz")
	require.NoError(t, os.WriteFile(broken, b[:len(b)/2], 0o600))
	status, _, errs = command(t, "verify", broken)
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "broken.gz")
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"dance"}, {"print"}, {"replay", "-listen", "nowhere", example(t)}, {"capture", "-listen", "127.0.0.1:0", "x"},
		{"replay", "-speed", "fast", "x"}, {"fbs", "one"},
	} {
		status, _, errs := command(t, args...)
		assert.Equal(t, 2, status, "%v", args)
		assert.Contains(t, errs, "rfbtrace", "%v", args)
	}
	status, out, _ := command(t, "help")
	assert.Zero(t, status)
	assert.Contains(t, out, "rfbtrace capture")
}

// A session between a viewer and a server, captured, recorded, and played to
// another viewer.
func TestCaptureAndReplay(t *testing.T) {
	dir := t.TempDir()
	socket, file := filepath.Join(dir, "server"), filepath.Join(dir, "session.trace.gz")
	server, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer server.Close()
	desk := rfb.ServerInit{Width: 2, Height: 1, Name: "desk", Format: rfb.PixelFormat{BitsPerPixel: 8, Depth: 8, TrueColor: true, RedMax: 7, GreenMax: 7, BlueMax: 3}}
	picture := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 5, 6}
	served := make(chan error, 1)
	go func() {
		conn, err := server.Accept()
		if err == nil {
			defer conn.Close()
			_, err = (&rfb.Server{Init: desk}).Accept(t.Context(), conn)
		}
		if err == nil {
			_, err = conn.Write(append(picture, 0, 0)) // and the beginning of another
		}
		if err == nil {
			_, err = io.Copy(io.Discard, conn)
		}
		served <- err
	}()
	watch := func(conn net.Conn) {
		c, err := rfb.Connect(t.Context(), conn)
		require.NoError(t, err)
		assert.Equal(t, desk, c.Init)
		got := make([]byte, len(picture))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(waitFor)))
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		assert.Equal(t, picture, got)
		require.NoError(t, c.Close())
	}
	do := func(args ...string) {
		listen := filepath.Join(dir, "viewers-"+args[0])
		done := make(chan int, 1)
		go func() {
			status, _, errs := command(t, append([]string{args[0], "-listen", "unix:" + listen}, args[1:]...)...)
			assert.Zero(t, status, errs)
			done <- status
		}()
		var conn net.Conn
		require.Eventually(t, func() bool { conn, err = net.Dial("unix", listen); return err == nil }, waitFor, 5*time.Millisecond)
		watch(conn)
		select {
		case <-done:
		case <-time.After(waitFor):
			require.FailNow(t, "does not end")
		}
	}
	do("capture", "-server", "unix:"+socket, file)
	require.NoError(t, <-served)
	status, out, errs := command(t, "verify", file)
	require.Zero(t, status, errs)
	assert.Contains(t, out, "3 messages and rectangles", "what did not end was left out")

	recording := filepath.Join(dir, "session.fbs")
	status, _, errs = command(t, "fbs", file, recording)
	require.Zero(t, status, errs)
	b, err := os.ReadFile(recording)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(b, []byte("FBS 001.000\n")))
	do("replay", "-speed", "0", recording)
}

func TestReplayTellsAViewerThatWantsOtherPixels(t *testing.T) {
	tr, err := load(example(t))
	require.NoError(t, err)
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- play(context.Background(), a, tr, 0) }()
	head := make([]byte, 12)
	_, err = io.ReadFull(b, head)
	require.NoError(t, err)
	go io.Copy(io.Discard, b)
	for _, p := range [][]byte{[]byte("RFB 003.008\n"), {1}, {1}} {
		_, err = b.Write(p)
		require.NoError(t, err)
	}
	m, err := rfb.SetPixelFormat{Format: rfb.PixelFormat{BitsPerPixel: 8, Depth: 8}}.AppendBinary(nil)
	require.NoError(t, err)
	go b.Write(m)
	err = <-done
	b.Close()
	if err != nil { // the trace may have been over before
		assert.ErrorContains(t, err, "the viewer wants pixels as 8/8")
	}
}
