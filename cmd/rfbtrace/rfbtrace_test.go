package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rfbtrace runs the command and returns its status and what it printed.
func rfbtrace(t *testing.T, args ...string) (status int, stdout, stderr string) {
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
	status, out, errs := rfbtrace(t, "print", example(t))
	require.Zero(t, status, errs)
	assert.Contains(t, out, "viewer: novnc\n")
	assert.Contains(t, out, "Handshake RFB 003.008 None 160x120")
	assert.Contains(t, out, "EnableContinuousUpdates Enable=true Rect=160x120+0+0")
	assert.Regexp(t, `S>V +\d+ +\d+    Tight \d+x\d+\+\d+\+\d+ Control=`, out)
	assert.Regexp(t, `S>V +\d+ +16    CopyRect \d+x\d+\+\d+\+\d+ X=`, out, "text went up")

	status, out, _ = rfbtrace(t, "summary", example(t))
	require.Zero(t, status)
	assert.Regexp(t, `server rectangle Tight +\d+ +\d+ bytes`, out)

	status, out, _ = rfbtrace(t, "handshake", example(t))
	require.Zero(t, status)
	assert.Contains(t, out, "offered         None\nchosen          None\n")
}

func TestVerify(t *testing.T) {
	small, err := filepath.Glob(traces + "/*/viewer-*.trace.gz")
	require.NoError(t, err)
	status, out, errs := rfbtrace(t, append([]string{"verify"}, small...)...)
	require.Zero(t, status, errs)
	assert.Equal(t, len(small), strings.Count(out, "to the last byte"))

	b, err := os.ReadFile(example(t))
	require.NoError(t, err)
	broken := filepath.Join(t.TempDir(), "broken.gz")
	require.NoError(t, os.WriteFile(broken, b[:len(b)/2], 0o600))
	status, _, errs = rfbtrace(t, "verify", broken)
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "broken.gz")
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"dance"}, {"print"}, {"replay", "-listen", "nowhere", example(t)}, {"capture", "-listen", "127.0.0.1:0", "x"},
		{"replay", "-speed", "fast", "x"}, {"fbs", "one"},
	} {
		status, _, errs := rfbtrace(t, args...)
		assert.Equal(t, 2, status, "%v", args)
		assert.Contains(t, errs, "rfbtrace", "%v", args)
	}
	for _, args := range [][]string{{"help"}, {"-h"}, {"capture", "-h"}, {"replay", "--help"}, {"print", "-h"}, {"fbs", "-h"}} {
		status, out, errs := rfbtrace(t, args...)
		assert.Zero(t, status, "%v", args)
		assert.Equal(t, help, out, "%v", args)
		assert.Empty(t, errs, "%v", args)
	}
	status, _, errs := rfbtrace(t, "print", "-x", example(t))
	assert.Equal(t, 2, status)
	assert.Contains(t, errs, "-x")
}

func TestHandshakeOfAnEmptyTrace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty.trace")
	require.NoError(t, save(file, func(w io.Writer) error { _, err := new(recorded).WriteTo(w); return err }))
	status, out, errs := rfbtrace(t, "handshake", file)
	assert.Equal(t, 1, status)
	assert.Empty(t, out)
	assert.Contains(t, errs, "empty.trace: the trace is empty")
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
			status, _, errs := rfbtrace(t, append([]string{args[0], "-listen", "unix:" + listen}, args[1:]...)...)
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
	status, out, errs := rfbtrace(t, "verify", file)
	require.Zero(t, status, errs)
	assert.Contains(t, out, "3 messages and rectangles", "what did not end was left out")

	recording := filepath.Join(dir, "session.fbs")
	status, _, errs = rfbtrace(t, "fbs", file, recording)
	require.Zero(t, status, errs)
	b, err := os.ReadFile(recording)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(b, []byte("FBS 001.000\n")))
	do("replay", "-speed", "0", recording)
}

func TestReplayTellsAViewerThatWantsOtherPixels(t *testing.T) {
	s, err := open(example(t))
	require.NoError(t, err)
	defer s.close()
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- play(context.Background(), a, s, 0) }()
	head := make([]byte, 12)
	_, err = io.ReadFull(b, head)
	require.NoError(t, err)
	go io.Copy(io.Discard, b)
	for _, p := range [][]byte{[]byte("RFB 003.008\n"), {1}, {1}} {
		_, err = b.Write(p)
		require.NoError(t, err)
	}
	m, err := rfb.AppendMessage(nil, &rfb.SetPixelFormat{Format: rfb.PixelFormat{BitsPerPixel: 8, Depth: 8}})
	require.NoError(t, err)
	go b.Write(m)
	err = <-done
	b.Close()
	if err != nil { // the trace may have been over before
		assert.ErrorContains(t, err, "the viewer wants pixels as 8/8")
	}
}

// program builds rfbtrace and returns its path.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rfbtrace")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// A signal ends what reads files at once, wherever it is; a capture is saved.
func TestSignals(t *testing.T) {
	path, dir := program(t), t.TempDir()
	ended := func(cmd *exec.Cmd) error {
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			return err
		case <-time.After(waitFor):
			cmd.Process.Kill()
			require.FailNow(t, "does not end", "%v", cmd.Args)
			return nil
		}
	}
	died := func(t *testing.T, err error, by syscall.Signal) {
		t.Helper()
		exit, ok := errors.AsType[*exec.ExitError](err)
		require.True(t, ok, "%v", err)
		status := exit.Sys().(syscall.WaitStatus)
		require.True(t, status.Signaled(), "%v", err)
		assert.Equal(t, by, status.Signal())
	}

	pipe := filepath.Join(dir, "pipe") // what is read from it never ends
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, by := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := exec.Command(path, "verify", pipe)
		require.NoError(t, cmd.Start())
		w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the program has opened it too
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Signal(by))
		died(t, ended(cmd), by)
		w.Close()
	}

	for _, tt := range []struct {
		name string
		args []string
	}{
		{"capture", []string{"capture", "-listen", "unix:" + dir + "/a", "-server", "unix:" + dir + "/server", filepath.Join(dir, "out")}},
		{"replay", []string{"replay", "-listen", "unix:" + dir + "/a", example(t)}},
	} {
		cmd := exec.Command(path, tt.args...)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		require.True(t, bufio.NewScanner(out).Scan(), "%s says that it waits", tt.name)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		exit, ok := errors.AsType[*exec.ExitError](ended(cmd))
		require.True(t, ok, tt.name)
		assert.Equal(t, 1, exit.ExitCode(), tt.name)
		os.Remove(dir + "/a")
	}
}

func TestCaptureIsSavedAtASignal(t *testing.T) {
	for _, by := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(by.String(), func(t *testing.T) { savedAt(t, by) })
	}
}

// savedAt captures a session until a signal comes, and reads the capture.
func savedAt(t *testing.T, by syscall.Signal) {
	t.Helper()
	cmd, file, lines := capturing(t, "session.trace")
	require.NoError(t, cmd.Process.Signal(by))
	for lines.Scan() {
	}
	require.NoError(t, cmd.Wait())
	status, handshake, errs := rfbtrace(t, "handshake", file)
	require.Zero(t, status, errs)
	assert.Contains(t, handshake, "size            1x1")
}

// capturing is the program while it captures a session that is past its handshake, the
// file it captures into, and what it goes on to print. It ends with the test.
func capturing(t *testing.T, name string) (cmd *exec.Cmd, file string, lines *bufio.Scanner) {
	t.Helper()
	path, dir := program(t), t.TempDir()
	file = filepath.Join(dir, name)
	server, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "server")})
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	require.NoError(t, server.SetDeadline(time.Now().Add(waitFor)))
	ctx, cancel := context.WithTimeout(context.Background(), waitFor)
	cmd = exec.CommandContext(ctx, path, "capture", "-listen", "unix:"+dir+"/viewers", "-server", "unix:"+dir+"/server", file)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	lines = bufio.NewScanner(out)
	require.True(t, lines.Scan())
	viewer, err := net.Dial("unix", dir+"/viewers")
	require.NoError(t, err)
	t.Cleanup(func() { viewer.Close() })
	peer, err := server.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { peer.Close() })
	done := make(chan error, 1)
	go func() {
		_, err := (&rfb.Server{Init: rfb.ServerInit{Width: 1, Height: 1}}).Accept(t.Context(), peer)
		done <- err
	}()
	_, err = rfb.Connect(t.Context(), viewer)
	require.NoError(t, err)
	require.NoError(t, <-done)
	return cmd, file, lines
}

// between is a capture of what two peers send who don't wait for each other, and
// then leave.
func between(t *testing.T, file string, server, viewer []byte) (status int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "server"))
	require.NoError(t, err)
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		status, stdout, stderr = rfbtrace(t, "capture", "-listen", "unix:"+dir+"/viewers", "-server", "unix:"+dir+"/server", file)
	}()
	var near net.Conn
	require.Eventually(t, func() bool { near, err = net.Dial("unix", dir+"/viewers"); return err == nil }, waitFor, 5*time.Millisecond)
	defer near.Close()
	far, err := ln.Accept()
	require.NoError(t, err)
	defer far.Close()
	for _, p := range []struct {
		from, to net.Conn
		say      []byte
	}{{far, near, server}, {near, far, viewer}} {
		_, err := p.from.Write(p.say)
		require.NoError(t, err)
		require.NoError(t, p.to.SetReadDeadline(time.Now().Add(waitFor)))
		_, err = io.ReadFull(p.to, make([]byte, len(p.say)))
		require.NoError(t, err)
	}
	near.Close()
	<-done
	return status, stdout, stderr
}

// What can't be read is what a capture was made for: all of it is kept, and
// where it stops being readable is told.
func TestCaptureKeepsWhatItCantRead(t *testing.T) {
	version := "RFB 003.008\n"
	init, err := rfb.ServerInit{Width: 1, Height: 1, Format: rfb.PixelFormat{BitsPerPixel: 32, Depth: 24}}.AppendBinary(nil)
	require.NoError(t, err)
	session := version + "\x01\x01" + "\x00\x00\x00\x00" + string(init)
	for name, tt := range map[string]struct{ server, viewer, want string }{
		"TLS":                    {version + "\x01\x12\x16\x03\x03", version + "\x12\x16\x03\x01", "TLS (encrypts the stream)"},
		"an unknown message":     {session + "\x02\x63\x01\x02", version + "\x01\x01", "server: byte 43: malformed RFB: server message 99"},
		"a handshake that stops": {version + "\x01\x01", version[:5], "viewer: byte 0: the trace ends inside the handshake"},
	} {
		for _, suffix := range []string{".trace", ".trace.gz"} {
			file := filepath.Join(t.TempDir(), "session"+suffix)
			status, _, errs := between(t, file, []byte(tt.server), []byte(tt.viewer))
			assert.Equal(t, 1, status, name)
			assert.Contains(t, errs, "can't be read to its end", name)
			assert.Contains(t, errs, tt.want, name)
			tr, err := load(file)
			require.NoError(t, err, name)
			assert.Equal(t, tt.server, string(tr.Stream(rfb.FromServer)), name)
			assert.Equal(t, tt.viewer, string(tr.Stream(rfb.FromViewer)), name)
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode(), "keys and passwords are in it")
		}
	}
}

// A file that can't be written is an error before anybody is let in; one that
// is there stays until there is another session to put in its place.
func TestCaptureCreatesItsFileFirst(t *testing.T) {
	dir := t.TempDir()
	args := []string{"capture", "-listen", "unix:" + dir + "/viewers", "-server", "unix:" + dir + "/nobody"}
	status, out, errs := rfbtrace(t, append(args, dir+"/missing/session.trace")...)
	assert.Equal(t, 1, status)
	assert.Empty(t, out, "waits for nobody")
	assert.Contains(t, errs, "missing/session.trace: no such file")

	status, out, _ = rfbtrace(t, append([]string{"capture", "-note", "two\nlines"}, append(args[1:], dir+"/session.trace")...)...)
	assert.Equal(t, 2, status)
	assert.Empty(t, out)

	old := dir + "/old.trace"
	require.NoError(t, os.WriteFile(old, []byte("old"), 0o644))
	empty := dir + "/empty.trace"
	require.NoError(t, os.WriteFile(empty, nil, 0o644))
	for _, file := range []string{old, empty, dir + "/session.trace"} {
		done := make(chan int, 1)
		go func() {
			status, _, _ := rfbtrace(t, append(args, file)...)
			done <- status
		}()
		var viewer net.Conn
		require.Eventually(t, func() (ok bool) {
			var err error
			viewer, err = net.Dial("unix", dir+"/viewers")
			return err == nil
		}, waitFor, 5*time.Millisecond)
		viewer.Close()
		assert.Equal(t, 1, <-done, "there is no server")
	}
	b, err := os.ReadFile(old)
	require.NoError(t, err)
	assert.Equal(t, "old", string(b))
	assert.NoFileExists(t, dir+"/session.trace", "no session, no file")
	assert.FileExists(t, empty, "it was somebody else's")
}

// A capture ends, and says so, when it can't be kept.
func TestCaptureStopsWhenItCantBeKept(t *testing.T) {
	viewer, near := net.Pipe()
	server, far := net.Pipe()
	defer viewer.Close()
	defer server.Close()
	kept := 0
	done := make(chan error, 1)
	go func() {
		done <- carry(t.Context(), near, far, func(c trace.Chunk) error {
			if kept += len(c.Data); kept > 4 {
				return rfb.ErrLimit
			}
			return nil
		})
	}()
	_, err := server.Write([]byte("1234"))
	require.NoError(t, err)
	_, err = io.ReadFull(viewer, make([]byte, 4))
	require.NoError(t, err)
	_, err = server.Write([]byte("5"))
	require.NoError(t, err)
	_, err = viewer.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF, "what isn't kept isn't carried")
	assert.ErrorIs(t, <-done, rfb.ErrLimit)
}

// Large traces are verified in a time that grows as they do: their messages
// aren't read again for each piece, and the pieces don't grow in number.
func TestVerifyOfALargeTrace(t *testing.T) {
	tr, err := load(example(t))
	require.NoError(t, err)
	h, err := tr.Handshake()
	require.NoError(t, err)
	require.True(t, h.Done())
	cut := rfb.CutText{From: rfb.FromServer, Text: make([]byte, 6<<20)}
	b, err := rfb.AppendMessage(nil, &cut)
	require.NoError(t, err)
	tr.Chunks = append(tr.Chunks, trace.Chunk{From: rfb.FromServer, Data: b})
	file := filepath.Join(t.TempDir(), "large.trace")
	require.NoError(t, save(file, func(w io.Writer) error { _, err := tr.WriteTo(w); return err }))
	status, out, errs := rfbtrace(t, "verify", file)
	require.Zero(t, status, errs)
	assert.Contains(t, out, "to the last byte")
}

// Package net listens on IPv6 as well if it is told "tcp" and 0.0.0.0.
func TestAddressNamesItsFamily(t *testing.T) {
	for given, want := range map[string]string{"0.0.0.0:1": "tcp4", "127.0.0.1:1": "tcp4", "[::]:1": "tcp", "localhost:1": "tcp", ":1": "tcp", "unix:/s": "unix"} {
		network, _, err := address(given)
		require.NoError(t, err)
		assert.Equal(t, want, network, given)
	}
}
