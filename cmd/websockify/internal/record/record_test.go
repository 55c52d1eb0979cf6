package record

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

func TestRecording(t *testing.T) {
	name := filepath.Join(t.TempDir(), "session.1")
	f, err := Create(name)
	require.NoError(t, err)
	near, far := net.Pipe()
	target := f.Tap(near)
	go func() {
		_, _ = io.WriteString(far, "RFB 003.008\n")
		_, _ = io.ReadFull(far, make([]byte, 7))
		far.Close()
	}()
	got, err := io.ReadAll(io.LimitReader(target, 12))
	require.NoError(t, err)
	assert.Equal(t, "RFB 003.008\n", string(got))
	_, err = io.WriteString(target, "it's\\\x00\xff")
	require.NoError(t, err)
	_, err = target.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NoError(t, f.Close())
	assert.ErrorIs(t, f.Close(), os.ErrClosed)
	_, _ = target.Write([]byte("late")) // nothing comes of it

	b, err := os.ReadFile(name)
	require.NoError(t, err)
	lines := regexp.MustCompile(`([{}])\d+([{}])`).ReplaceAllString(string(b), "${1}MS${2}")
	assert.Equal(t, "var VNC_frame_data = [\n'{MS{RFB 003.008\\n',\n'}MS}it\\'s\\\\\\x00\\xff',\n'EOF'];\n", lines)
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

// What is read from a viewer is from the client.
func TestRecordingOfAViewer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "session.1")
	f, err := Create(name)
	require.NoError(t, err)
	near, far := net.Pipe()
	viewer := f.TapViewer(near)
	go func() {
		_, _ = io.ReadFull(far, make([]byte, 12))
		_, _ = io.WriteString(far, "hello")
	}()
	_, err = io.WriteString(viewer, "RFB 003.008\n")
	require.NoError(t, err)
	_, err = io.ReadFull(viewer, make([]byte, 5))
	require.NoError(t, err)
	require.NoError(t, viewer.Close())
	require.NoError(t, f.Close())
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Regexp(t, `\n'{\d+{RFB 003\.008\\n',\n'}\d+}hello',\n'EOF'`, string(b))
}

func TestFullDiskEndsTheRecordingOnly(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		testenv.Lack(t, "no /dev/full: %v", err)
	}
	f := newFile(full)
	near, far := net.Pipe()
	defer far.Close()
	target := f.Tap(near)
	go func() { _, _ = io.Copy(io.Discard, far) }()
	for range 3 {
		n, err := target.Write(make([]byte, 100<<10))
		require.NoError(t, err)
		assert.Equal(t, 100<<10, n)
	}
	require.NoError(t, target.Close())
	assert.ErrorContains(t, f.Close(), "no space left")
}

func TestNoLinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "session.1")
	for _, to := range []string{"precious", "missing"} {
		precious := filepath.Join(dir, "precious")
		require.NoError(t, os.WriteFile(precious, []byte("precious"), 0o600))
		require.NoError(t, os.Symlink(to, name))
		_, err := Create(name)
		assert.ErrorContains(t, err, "isn't a regular file")
		b, err := os.ReadFile(precious)
		require.NoError(t, err)
		assert.Equal(t, "precious", string(b))
		assert.NoFileExists(t, filepath.Join(dir, "missing"))
		require.NoError(t, os.Remove(name))
	}
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	_, err := Create(name)
	assert.ErrorContains(t, err, "isn't a regular file", "it would wait for a reader")
}

// Who had made the file before, or has another name for it, reads nothing.
func TestAnOldFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	name, other := filepath.Join(dir, "session.1"), filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(other, []byte("old"), 0o644))
	require.NoError(t, os.Link(other, name))
	f, err := Create(name)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	b, err := os.ReadFile(other)
	require.NoError(t, err)
	assert.Equal(t, "old", string(b))
}

// unescape reads what JavaScript makes of a string of the recording.
func unescape(t *testing.T, s string) string {
	t.Helper()
	for _, c := range s {
		require.True(t, c >= ' ' && c < 0x7f, "%q", s)
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, `\'`, `'`), `"`, `\"`)
	plain, err := strconv.Unquote(`"` + s + `"`)
	require.NoError(t, err)
	return plain
}

func FuzzEscape(f *testing.F) {
	f.Add([]byte("it's \"\\\x00\xff\r\n\t</script>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := string(appendEscaped(nil, b))
		assert.NotRegexp(t, `(^|[^\\])(\\\\)*'`, s, "a quote that ends the string")
		assert.Equal(t, string(b), unescape(t, s))
	})
}
