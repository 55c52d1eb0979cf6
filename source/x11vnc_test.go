package source_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
)

// cookies are the entries of a file of them: the head, up to the protocol's name, and the cookie.
func cookies(t *testing.T, file string) (heads, cookies [][]byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	for len(data) > 0 {
		end, last := 2, 0
		for range 4 {
			last = end + 2
			end = last + int(binary.BigEndian.Uint16(data[end:]))
		}
		heads, cookies = append(heads, data[:last-2]), append(cookies, data[last:end])
		data = data[end:]
	}
	return heads, cookies
}

// A host that was renamed: the question finds the cookie under the old name, and so does x11vnc.
func TestX11vncOnARenamedHost(t *testing.T) {
	_, s := xSession(t)
	s.Xauthority = renamed(t, s.Xauthority)
	conn, err := new(source.X11vnc).Open(t.Context(), s)
	require.NoError(t, err)
	defer conn.Close()
	_, err = rfb.Connect(t.Context(), conn)
	if err != nil {
		err = ended(t, conn)
	}
	require.NoError(t, err)
}

// renamed is a file with two entries: a cookie that doesn't open the display under this host's name,
// and the one that does under another.
func renamed(t *testing.T, file string) string {
	t.Helper()
	const local = 256
	heads, found := cookies(t, file)
	require.EqualValues(t, local, binary.BigEndian.Uint16(heads[0]), "the file begins with another entry")
	field := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	wrong := append(bytes.Clone(heads[0]), field(bytes.Repeat([]byte{7}, len(found[0])))...)
	right := append(bytes.Clone(heads[0]), field(found[0])...)
	for i := range right[4 : 4+int(right[3])] {
		right[4+i] = 'x'
	}
	path := filepath.Join(filepath.Dir(file), "renamed")
	require.NoError(t, os.WriteFile(path, append(wrong, right...), 0o644))
	return path
}

// x11vnc is given the cookie that worked, for any host, in a file that has no name, and is told to leave the
// pointer in the picture. A script that stands in its place says what it was given.
func TestWhatX11vncIsGiven(t *testing.T) {
	d, s := xSession(t)
	_, found := cookies(t, s.Xauthority)
	s.Xauthority = renamed(t, s.Xauthority)
	x := source.X11vnc{Path: filepath.Join(t.TempDir(), "x11vnc")}
	script := fmt.Sprintf(`#!/bin/sh
if [ "$1" = -version ]; then echo 'x11vnc: 0.9.16 lastmod: 2019-01-05'; exit; fi
cd '%s' && printf '%%s\n' "$@" > arguments && printf '%%s' "$XAUTHORITY" > variable && /bin/cat "$XAUTHORITY" > authority
`, d.Home)
	require.NoError(t, os.WriteFile(x.Path, []byte(script), 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(x.Path)), 0o755)) // for the user
	require.NoError(t, x.Check(t.Context(), s))
	conn, err := x.Open(t.Context(), s)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, ended(t, conn))
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(d.Home, name))
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, "\xff\xff\x00\x00\x00\x00\x00\x12MIT-MAGIC-COOKIE-1\x00\x10"+string(found[0]), read("authority"), "one FamilyWild entry")
	assert.Regexp(t, "^/proc/self/fd/[0-9]+$", read("variable"))
	given := strings.Fields(read("arguments"))
	assert.Contains(t, given, "-nocursorshape")
	assert.Contains(t, given, "-viewonly")
	require.Contains(t, given, "-auth")
	assert.Contains(t, strings.Join(given, " "), "-display "+s.Display+" -auth "+read("variable")+" ")
}

// An X server that can't share memory, because it has no MIT-SHM or is in another container, is shown all the
// same.
func TestX11vncWithoutMemoryOfTheServers(t *testing.T) {
	testenv.Root(t)
	elsewhere := filepath.Join(t.TempDir(), "Xvfb")
	require.NoError(t, os.WriteFile(elsewhere, []byte("#!/bin/sh\nexec unshare --ipc Xvfb \"$@\"\n"), 0o755))
	own := child.Own() // who may have a container
	for name, o := range map[string]testhost.Options{
		"no MIT-SHM":        {Args: []string{"-extension", "MIT-SHM"}},
		"another container": {Server: elsewhere, Identity: &own},
	} {
		t.Run(name, func(t *testing.T) {
			o.Width, o.Height = 320, 200
			s := session(testhost.Require(t, o))
			if o.Identity != nil {
				s.User = "root"
			}
			conn, err := new(source.X11vnc).Open(t.Context(), s)
			require.NoError(t, err)
			defer conn.Close()
			server, err := rfb.Connect(t.Context(), conn)
			require.NoError(t, err)
			assert.EqualValues(t, 320, server.Init.Width)
			_, err = server.Write([]byte{3, 0, 0, 0, 0, 0, 0, 1, 0, 1}) // a request for a pixel
			require.NoError(t, err)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
			_, err = io.ReadFull(server, make([]byte, 4))
			require.NoError(t, err)
		})
	}
}
