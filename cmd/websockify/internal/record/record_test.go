package record

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

func TestFullDiskEndsTheRecordingOnly(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatal("/dev/full is needed")
	}
	f, err := Create("/dev/full")
	require.NoError(t, err)
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
