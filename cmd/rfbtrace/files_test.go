package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

// written saves a trace and returns its file.
func written(t *testing.T, name string, tr *recorded) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, save(file, func(w io.Writer) error { _, err := tr.WriteTo(w); return err }))
	return file
}

// said is the example with one more chunk.
func said(t *testing.T, from rfb.Direction, b ...byte) *recorded {
	t.Helper()
	tr, err := load(example(t))
	require.NoError(t, err)
	tr.Chunks = append(tr.Chunks, trace.Chunk{From: from, At: tr.Chunks[len(tr.Chunks)-1].At, Data: b})
	return tr
}

// A file that can't be written as a whole stays what it was, or doesn't come to
// be.
func TestFBSThatFailsLeavesNothing(t *testing.T) {
	other, err := rfb.AppendMessage(nil, &rfb.SetPixelFormat{Format: rfb.PixelFormat{BitsPerPixel: 8, Depth: 8, TrueColor: true, RedMax: 7, GreenMax: 7, BlueMax: 3}})
	require.NoError(t, err)
	trace := written(t, "changes.trace", said(t, rfb.FromViewer, other...))
	dir := t.TempDir()
	file := filepath.Join(dir, "old.fbs")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o640))
	for _, to := range []string{file, dir + "/new.fbs", dir + "/new.fbs.gz"} {
		status, _, errs := rfbtrace(t, "fbs", trace, to)
		assert.Equal(t, 1, status)
		assert.Contains(t, errs, "the pixel format changes")
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "old", string(b))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "no part of another, under any name")

	status, _, errs := rfbtrace(t, "fbs", example(t), file)
	require.Zero(t, status, errs)
	status, _, errs = rfbtrace(t, "verify", file)
	require.Zero(t, status, errs)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode(), "as it was")
	require.NoError(t, os.Symlink("nothing", dir+"/link"))
	status, _, errs = rfbtrace(t, "fbs", example(t), dir+"/link")
	assert.Equal(t, 1, status, "a link to nothing")
	assert.Contains(t, errs, "link: no such file")
	before, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	status, _, errs = rfbtrace(t, "fbs", example(t), os.DevNull)
	require.Zero(t, status, errs)
	after, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	assert.Equal(t, before.Mode(), after.Mode(), "a device is written to")
}

// A trace that ends within a message, though not within a chunk, comes to be a
// recording that ends with a whole one.
func TestFBSLeavesOutWhatDoesNotEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "session.fbs")
	status, out, errs := rfbtrace(t, "fbs", written(t, "cut.trace", said(t, rfb.FromServer, 0, 0, 0)), file)
	require.Zero(t, status, errs)
	assert.Equal(t, "left out 3 bytes of messages that did not end\n", out)
	status, _, errs = rfbtrace(t, "verify", file)
	assert.Zero(t, status, errs)

	want, err := os.ReadFile(file)
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cut := written(t, "cut.trace", said(t, rfb.FromServer, 0, 0, 0))
	status = run(t.Context(), []string{"fbs", cut, fmt.Sprintf("/dev/fd/%d", w.Fd())}, w, os.Stderr)
	require.NoError(t, w.Close())
	assert.Zero(t, status)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, want, got, "to where stdout goes, and nothing else")
}

// A file that may not be written isn't replaced either. Of a program that runs not even
// root's may be.
func TestFilesThatMayNotBeWritten(t *testing.T) {
	program, err := os.ReadFile("/bin/sleep")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "busy")
	require.NoError(t, os.WriteFile(file, program, 0o700))
	busy := exec.Command(file, "60")
	require.NoError(t, busy.Start())
	defer func() { _ = busy.Process.Kill(); _ = busy.Wait() }()
	status, _, errs := rfbtrace(t, "fbs", example(t), file)
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "busy: text file busy")
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, program, got)
}

// A capture that is whole is no failure, whether or not it can be replaced by one
// that is packed better.
func TestTrimThatCantReplace(t *testing.T) {
	name := strings.Repeat("x", 248) + ".gz" // too long for another beside it
	for _, tt := range []struct {
		tr   *recorded
		want string
	}{
		{said(t, rfb.FromServer, 2), ""},
		{said(t, rfb.FromServer, 0, 0), "holds the whole session, but also 2 bytes of messages that did not end, which can't be left out: open "},
	} {
		file := written(t, "short.gz", tt.tr)
		long := filepath.Join(filepath.Dir(file), name)
		require.NoError(t, os.Rename(file, long))
		before, err := os.ReadFile(long)
		require.NoError(t, err)
		err = trim(long, true, io.Discard)
		if tt.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, tt.want)
		}
		after, err := os.ReadFile(long)
		require.NoError(t, err)
		assert.Equal(t, before, after, "it stays as it is")
	}
}

// A file that was there before keeps its other names, if nothing has to be left
// out.
func TestTrimKeepsFilesThatWereThere(t *testing.T) {
	file := written(t, "session.gz", said(t, rfb.FromServer, 2))
	before, err := os.Stat(file)
	require.NoError(t, err)
	require.NoError(t, trim(file, false, io.Discard))
	after, err := os.Stat(file)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after))
}

func TestVerifySaysWhatItRead(t *testing.T) {
	recording := filepath.Join(t.TempDir(), "session.fbs")
	status, _, errs := rfbtrace(t, "fbs", written(t, "bell.trace", said(t, rfb.FromServer, 2)), recording)
	require.Zero(t, status, errs)
	info, err := os.Stat(recording)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(recording, info.Size()-1)) // in the bell's block
	status, out, errs := rfbtrace(t, "verify", recording)
	assert.Equal(t, 1, status)
	assert.Regexp(t, `^\d+ messages and rectangles\n$`, out)
	assert.Contains(t, errs, "was cut off")

	tr, err := load(example(t))
	require.NoError(t, err)
	h, err := tr.Handshake()
	require.NoError(t, err)
	var only recorded
	for _, from := range []rfb.Direction{rfb.FromServer, rfb.FromViewer} {
		only.Chunks = append(only.Chunks, trace.Chunk{From: from, Data: tr.Stream(from)[:h.Len(from)]})
	}
	status, out, errs = rfbtrace(t, "verify", written(t, "handshake.trace", &only))
	require.Zero(t, status, errs)
	assert.Equal(t, "1 message, to the last byte\n", out)
}

// What is wrong is told by the error itself, one to a line.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	status, _, errs := rfbtrace(t, "print", dir)
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "is a directory")
	assert.NotContains(t, errs, "malformed")

	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte("something else, and more of it"), 0o600))
	_, _, errs = rfbtrace(t, "print", text)
	assert.Contains(t, errs, "text: malformed RFB: another kind of file: no trace (")
	assert.Contains(t, errs, "no recording (")

	_, _, errs = rfbtrace(t, "fbs", cutOff(t, false), dir+"/missing/session.fbs")
	lines := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
	require.Len(t, lines, 1, errs)
	assert.Contains(t, lines[0], "missing/session.fbs")
	for _, line := range lines {
		assert.True(t, strings.HasPrefix(line, "rfbtrace: "), line)
	}
}
