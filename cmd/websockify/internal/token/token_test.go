package token

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t testing.TB, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func source(t testing.TB, plugin, arg string) Source {
	t.Helper()
	s, err := New(plugin, arg)
	require.NoError(t, err)
	return s
}

// lookup says what a token's target is, or what is wrong.
func lookup(t testing.TB, s Source, token string) string {
	t.Helper()
	target, err := s.Lookup(t.Context(), token)
	switch {
	case err == nil:
		network, address := target.Address()
		return network + " " + address
	case strings.HasPrefix(err.Error(), ErrUnknown.Error()):
		require.ErrorIs(t, err, ErrUnknown)
		return "unknown"
	}
	return err.Error()
}

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]string{
		"h:1":              "tcp h:1",
		" h:http \n":       "tcp h:http",
		":5900":            "tcp :5900",
		"::1:5900":         "tcp [::1]:5900",
		"[::1]:5900":       "tcp [::1]:5900",
		"unix_socket:/a:b": "unix /a:b",
		"":                 "",
		"h":                "",
		"h:":               "",
		"a b:1":            "",
		"unix_socket:":     "",
	} {
		target, err := ParseTarget(s)
		if want == "" {
			assert.Error(t, err, "%q gives %v", s, target)
			continue
		}
		require.NoError(t, err, "%q", s)
		network, address := target.Address()
		assert.Equal(t, want, network+" "+address, "%q", s)
	}
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	name := write(t, filepath.Join(dir, "one"), "# comment: h:0\n\na: h:1\na: h:2\n b:c: h:3\r\ntab:\th:4\nbad line\nd: e: h:5\nno: port\n")
	write(t, filepath.Join(dir, "two"), "a: h:6\nz: h:7")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	for _, plugin := range []string{"TokenFile", "ReadOnlyTokenFile", "websockify.token_plugins.TokenFile"} {
		file, all := source(t, plugin, name), source(t, plugin, dir)
		for token, want := range map[string]string{"a": "tcp h:2", "b:c": "tcp h:3", "tab": "tcp h:4", "d": "unknown", "d: e": "unknown", "z": "unknown", "# comment": "unknown", "A": "unknown", "": "unknown"} {
			assert.Equal(t, want, lookup(t, file, token), token)
		}
		assert.Contains(t, lookup(t, file, "no"), "has no port")
		assert.Equal(t, "tcp h:6", lookup(t, all, "a"), "the last file wins")
		assert.Equal(t, "tcp h:7", lookup(t, all, "z"))
		_, err := file.Lookup(t.Context(), "nobody")
		assert.ErrorContains(t, err, "syntax error in line 7", "the log has to know")

		write(t, name, "new: h:1\n")
		assert.Equal(t, "tcp h:1", lookup(t, file, "new"), "a change counts at once")
		write(t, name, "a: h:1\na: h:2\n b:c: h:3\ntab:\th:4\n\n\nbad line\nno: port")
	}
	gone := source(t, "TokenFile", filepath.Join(dir, "gone"))
	assert.Contains(t, lookup(t, gone, "a"), "no such file")
	_, err := New("TokenFile", "")
	assert.Error(t, err)
	_, err = New("my.module.Class", "x")
	assert.ErrorIs(t, err, ErrUnknownPlugin)
}

// One file that can't be read, or is out of all proportion, costs the others
// nothing.
func TestTokenFolderWithABadFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "z-good"), "a: h:1\n")
	s := source(t, "TokenFile", dir)
	for name, make := range map[string]func(path string){
		"huge":      func(path string) { write(t, path, ""); require.NoError(t, os.Truncate(path, 1<<40)) },
		"long line": func(path string) { write(t, path, strings.Repeat("x", 20<<20)+"\nb: h:2\n") },
		"fifo":      func(path string) { require.NoError(t, syscall.Mkfifo(path, 0o600)) },
		"loop":      func(path string) { require.NoError(t, os.Symlink("bad", path)) },
	} {
		path := filepath.Join(dir, "bad")
		make(path)
		assert.Equal(t, "tcp h:1", lookup(t, s, "a"), name)
		switch _, err := s.Lookup(t.Context(), "nobody"); name {
		case "huge":
			assert.NotErrorIs(t, err, ErrUnknown, "it could be in there")
			assert.ErrorContains(t, err, "larger than 64 MiB")
		case "long line":
			assert.ErrorIs(t, err, ErrUnknown)
			assert.ErrorContains(t, err, "syntax error in line 1")
			assert.Equal(t, "tcp h:2", lookup(t, s, "b"), "what follows is read")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			lookup(t, s, "a")
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "a lookup holds a line, not a file")
		default:
			assert.Equal(t, ErrUnknown, err)
		}
		require.NoError(t, os.Remove(path))
	}
}

func TestTokenFileName(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "room"), "h:1\n")
	write(t, filepath.Join(dir, "six"), "::1:2")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	s := source(t, "TokenFileName", dir)
	for token, want := range map[string]string{"room": "tcp h:1", "x/room": "tcp h:1", "../room": "tcp h:1", "six": "tcp [::1]:2", "nobody": "unknown", "..": "unknown", ".": "unknown", "a/": "unknown", "a\x00": "unknown"} {
		assert.Equal(t, want, lookup(t, s, token), token)
	}
	assert.Contains(t, lookup(t, s, "sub"), "isn't a regular file")
	_, err := New("TokenFileName", filepath.Join(dir, "gone"))
	assert.Error(t, err)
	_, err = New("TokenFileName", filepath.Join(dir, "room"))
	assert.Error(t, err)
}

func TestUnixDomainSocketDirectory(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"dir/a", "dir/sub/b", "dir2/c"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(base, name)), 0o700))
		ln, err := net.Listen("unix", filepath.Join(base, name))
		require.NoError(t, err)
		defer ln.Close()
	}
	write(t, filepath.Join(base, "dir", "file"), "")
	s := source(t, "UnixDomainSocketDirectory", filepath.Join(base, "dir"))
	for token, want := range map[string]string{
		"a": "unix " + base + "/dir/a", "sub/b": "unix " + base + "/dir/sub/b", "sub/../a": "unix " + base + "/dir/a",
		"../dir2/c": "unknown", "../dir/a": "unknown", base + "/dir/a": "unknown", "file": "unknown", "sub": "unknown", "gone": "unknown", "a\x00": "unknown", "": "unknown",
	} {
		assert.Equal(t, want, lookup(t, s, token), token)
	}
}

func TestTokenAPI(t *testing.T) {
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Regexp(t, "^websockify/.", r.Header.Get("User-Agent"))
		asked = r.URL.EscapedPath() + "?" + r.URL.RawQuery
		switch r.URL.Path {
		case "/t/text", "/t/a/../b?c=d&e;f g%":
			fmt.Fprint(w, "h:1\n")
		case "/t/json":
			fmt.Fprint(w, `{"host": "h", "port": 2, "more": 1}`)
		case "/t/string":
			fmt.Fprint(w, `{"host": "::1", "port": "2"}`)
		case "/t/socket":
			fmt.Fprint(w, `{"host": "unix_socket", "port": "/s"}`)
		case "/t/half":
			fmt.Fprint(w, `{"host": "h"}`)
		case "/t/broken":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer srv.Close()
	text, asJSON := source(t, "BaseTokenAPI", srv.URL+"/t/%s"), source(t, "JSONTokenApi", srv.URL+"/t/%s")
	assert.Equal(t, "tcp h:1", lookup(t, text, "text"))
	assert.Equal(t, "unknown", lookup(t, text, "nobody"))
	assert.Equal(t, "unknown", lookup(t, text, ".."))
	assert.Contains(t, lookup(t, text, "broken"), "502")
	assert.Contains(t, lookup(t, text, "half"), "API's answer")
	assert.Equal(t, "tcp h:2", lookup(t, asJSON, "json"))
	assert.Equal(t, "tcp [::1]:2", lookup(t, asJSON, "string"))
	assert.Equal(t, "unix /s", lookup(t, asJSON, "socket"))
	assert.Contains(t, lookup(t, asJSON, "half"), "no port")
	assert.Contains(t, lookup(t, asJSON, "text"), "API's answer")

	assert.Equal(t, "tcp h:1", lookup(t, text, "a/../b?c=d&e;f g%"))
	assert.Equal(t, "/t/a%2F..%2Fb%3Fc%3Dd%26e%3Bf%20g%25?", asked, "nothing in a token means anything in a URL")
	query := source(t, "BaseTokenAPI", srv.URL+"/t/text?x=100%%&t=%s")
	assert.Equal(t, "tcp h:1", lookup(t, query, "a&b=c"))
	assert.Equal(t, "/t/text?x=100%&t=a%26b%3Dc", asked)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := text.Lookup(ctx, "secret")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
	for _, bad := range []string{"", "http://h/", "ftp://h/%s", "http://h/%s%s", ":%s"} {
		_, err := New("BaseTokenAPI", bad)
		assert.Error(t, err, bad)
	}
}

func FuzzTokenLines(f *testing.F) {
	f.Add([]byte("a: h:1\n# c\n b:c: h:3\nbad"), "a")
	f.Add([]byte("a:\u00a0h:1"), "a")
	f.Fuzz(func(t *testing.T, b []byte, token string) {
		search := func(b []byte) (string, bool) {
			target, ok, _, err := find(bufio.NewReaderSize(bytes.NewReader(b), maxLine), token)
			require.NoError(t, err)
			return target, ok
		}
		target, ok := search(b)
		if ok {
			assert.Contains(t, string(b), strings.TrimSpace(token))
			assert.Contains(t, string(b), target)
		}
		// The line that is appended last is the one that counts.
		if token != "" && token == strings.TrimSpace(token) && token[0] != '#' && !strings.ContainsAny(token, "\n") && !strings.Contains(token, ":") && len(token) < maxLine/2 {
			target, ok = search(append(append([]byte{}, b...), "\n"+token+": h:9\n"...))
			assert.True(t, ok)
			assert.Equal(t, "h:9", target)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"h:1", "[::1]:5900", "unix_socket:/s", ":", "::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil || target.Unix != "" {
			return
		}
		again, err := ParseTarget(target.String())
		require.NoError(t, err)
		if !strings.HasPrefix(target.Host, "[") && target.Host != "unix_socket" {
			assert.Equal(t, target, again)
		}
	})
}
