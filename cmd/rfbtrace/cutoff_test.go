package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

// A capture that is killed keeps what was said more than a second before, and
// all commands show it.
func TestCaptureThatWasKilled(t *testing.T) {
	for _, suffix := range []string{".trace", ".trace.gz"} {
		cmd, file, _ := capturing(t, "session"+suffix)
		require.Eventually(t, func() bool {
			tr, _ := load(file)
			if tr == nil {
				return false
			}
			h, err := tr.Handshake()
			return err == nil && h.Done()
		}, waitFor, 20*time.Millisecond, "the session goes on, and what was said comes to the file")
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()

		status, handshake, errs := rfbtrace(t, "handshake", file)
		assert.Contains(t, handshake, "size            1x1", suffix)
		if packed(file) {
			assert.Equal(t, 1, status)
			assert.Contains(t, errs, "session.trace.gz was cut off, and there is no more than this")
		}
	}
}

// cutOff is the example without its last bytes.
func cutOff(t *testing.T, pack bool) string {
	t.Helper()
	whole, err := load(example(t))
	require.NoError(t, err)
	var b bytes.Buffer
	_, err = whole.WriteTo(&b)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cut")
	require.NoError(t, os.WriteFile(file, b.Bytes()[:b.Len()-1], 0o600))
	if pack {
		p, err := os.ReadFile(example(t))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, p[:len(p)-1], 0o600))
	}
	return file
}

func TestFilesThatWereCutOff(t *testing.T) {
	for _, pack := range []bool{false, true} {
		file := cutOff(t, pack)
		_, whole, _ := rfbtrace(t, "print", example(t))
		status, out, errs := rfbtrace(t, "print", file)
		assert.Equal(t, 1, status)
		assert.Contains(t, errs, "cut was cut off")
		assert.Greater(t, len(out), len(whole)/2)
		assert.Equal(t, whole[:len(out)], out, "what is there")
		status, _, errs = rfbtrace(t, "summary", file)
		assert.Equal(t, 1, status)
		assert.Contains(t, errs, "cut was cut off")
		recording := filepath.Join(t.TempDir(), "cut.fbs")
		status, _, errs = rfbtrace(t, "fbs", file, recording)
		assert.Equal(t, 1, status)
		assert.Contains(t, errs, "cut was cut off")
		status, out, errs = rfbtrace(t, "handshake", recording)
		assert.Zero(t, status, errs)
		assert.Contains(t, out, "size            160x120")
		status, out, errs = rfbtrace(t, "verify", recording)
		assert.Zero(t, status, errs)
		assert.Contains(t, out, "to the last byte", "it ends where a message does")
		require.NoError(t, os.Truncate(recording, 2000))
		status, out, errs = rfbtrace(t, "handshake", recording)
		assert.Equal(t, 1, status, errs)
		assert.Contains(t, out, "size            160x120")
	}
}

// A capture can go into a pipe or a device, which stay what they are.
func TestCaptureIntoAPipe(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o640))
	read := make(chan []byte, 1)
	go func() {
		b, _ := os.ReadFile(pipe)
		read <- b
	}()
	status, _, errs := between(t, pipe, []byte("RFB 003.008\n"), []byte("RFB 003.008\n"))
	require.Zero(t, status, errs)
	r, err := trace.NewReader(bytes.NewReader(<-read))
	require.NoError(t, err)
	var said []byte
	for c, err := range r.Chunks() {
		require.NoError(t, err)
		if c.From == rfb.FromServer {
			said = append(said, c.Data...)
		}
	}
	assert.Equal(t, "RFB 003.008\n", string(said))
	info, err := os.Stat(pipe)
	require.NoError(t, err)
	assert.Equal(t, os.ModeNamedPipe|0o640, info.Mode())

	before, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	status, _, errs = between(t, os.DevNull, []byte("a"), []byte("b"))
	require.Zero(t, status, errs)
	after, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	assert.Equal(t, before.Mode(), after.Mode())
}

// Where a capture goes nothing else does, if that is where stdout goes.
func TestCaptureIntoStdout(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	assert.Equal(t, os.Stderr, beside(fmt.Sprintf("/dev/fd/%d", w.Fd()), w))
	assert.Equal(t, w, beside(os.DevNull, w))
	assert.Equal(t, w, beside(filepath.Join(t.TempDir(), "new"), w))
}

// What a symbolic link leads to is replaced.
func TestSaveFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file.gz"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.NoError(t, os.Symlink("file.gz", link))
	require.NoError(t, save(link, func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSymlink, info.Mode().Type())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "new", string(b), "packed or not is for the name that was given")
}

// A captured file is in the order of its times, and at the end packed as any
// other is.
func TestCaptureFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "session.trace.gz")
	c, err := createCapture(name, trace.Header{Note: "a note"})
	require.NoError(t, err)
	require.NoError(t, c.begin())
	for _, ms := range []int{3, 2, 5} {
		require.NoError(t, c.write(trace.Chunk{From: rfb.FromServer, At: time.Duration(ms) * time.Millisecond, Data: []byte{byte(ms)}}))
		require.NoError(t, c.flush())
	}
	soon, err := load(name)
	require.Error(t, err, "it isn't over")
	require.NoError(t, c.end())
	tr, err := load(name)
	require.NoError(t, err)
	assert.Equal(t, tr, soon, "all of it was there")
	var at []time.Duration
	for _, c := range tr.Chunks {
		at = append(at, c.At/time.Millisecond)
	}
	assert.Equal(t, []time.Duration{3, 3, 5}, at)

	kept := filepath.Join(t.TempDir(), "session.trace.gz")
	whole, err := load(example(t))
	require.NoError(t, err)
	write := func(w io.Writer) error { _, err := whole.WriteTo(w); return err }
	require.NoError(t, save(kept, write))
	want, err := os.ReadFile(kept)
	require.NoError(t, err)
	c, err = createCapture(name, whole.Header)
	require.NoError(t, err)
	require.NoError(t, c.begin())
	for _, chunk := range whole.Chunks {
		require.NoError(t, c.write(chunk))
	}
	require.NoError(t, c.end())
	require.NoError(t, trim(name, true, io.Discard))
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got), "%d and %d bytes", len(want), len(got))
}
