package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/cmd/websockify/internal/web"
	"vda.internal/shadow/internal/testenv"
)

func serve(t *testing.T, d *web.Dir) func(method, path string, headers ...string) *http.Response {
	t.Helper()
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(method, path string, headers ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer, err := client.Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func TestFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "rfb.js")
	require.NoError(t, os.WriteFile(name, []byte("one"), 0o600))
	do := serve(t, &web.Dir{Root: dir})
	first := do("GET", "/rfb.js")
	assert.Equal(t, "one", body(t, first))
	assert.Equal(t, "no-cache", first.Header.Get("Cache-Control"))
	tag := first.Header.Get("ETag")
	assert.Equal(t, 304, do("GET", "/rfb.js", "If-None-Match", tag).StatusCode)
	require.NoError(t, os.WriteFile(name, []byte("three"), 0o600))
	second := do("GET", "/rfb.js", "If-None-Match", tag)
	assert.Equal(t, 200, second.StatusCode)
	assert.Equal(t, "three", body(t, second))
	assert.Equal(t, "re", body(t, do("GET", "/rfb.js", "Range", "bytes=2-3")))
}

// A deadlines notes the write deadline of an answer.
type deadlines struct {
	*httptest.ResponseRecorder
	at time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.at = t
	return nil
}

// Who takes no file is cut off after a minute, and a second for every 4 KiB.
func TestSlowTakers(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 40<<10), 0o600))
	for path, within := range map[string]time.Duration{"/f": 70 * time.Second, "/": time.Minute} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		before := time.Now()
		(&web.Dir{Root: dir}).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		assert.Equal(t, 200, w.Code)
		assert.False(t, w.at.Before(before.Add(within)), path)
		assert.False(t, w.at.After(time.Now().Add(within)), path)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "index", "index.html"), 0o700)) // a directory of that name
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	listing, fileOnly := serve(t, &web.Dir{Root: dir}), serve(t, &web.Dir{Root: dir, FileOnly: true})
	assert.Equal(t, 404, listing("GET", "/fifo").StatusCode, "it would block")
	assert.Equal(t, 200, listing("GET", "/index/").StatusCode)
	assert.Equal(t, 404, fileOnly("GET", "/sub/").StatusCode)
	assert.Equal(t, 404, fileOnly("GET", "/").StatusCode)
	assert.Equal(t, 404, fileOnly("GET", "/%00").StatusCode)
	post := listing("POST", "/")
	assert.Equal(t, 405, post.StatusCode)
	assert.Equal(t, "GET, HEAD", post.Header.Get("Allow"))
	assert.Empty(t, body(t, listing("HEAD", "/")))
	assert.Equal(t, "./sub/?a=b", listing("GET", "//sub?a=b").Header.Get("Location"), "not another host's")
}

// A reverse proxy may serve the directory under a prefix that it takes off.
func TestRedirectsWorkUnderAPrefix(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b:c"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "b:c", "index.html"), []byte("here"), 0o600))
	srv := httptest.NewServer(http.StripPrefix("/vnc", &web.Dir{Root: dir}))
	defer srv.Close()
	answer, err := srv.Client().Get(srv.URL + "/vnc/a/b:c?x=y")
	require.NoError(t, err)
	defer answer.Body.Close()
	assert.Equal(t, "here", body(t, answer))
	assert.Equal(t, "/vnc/a/b:c/?x=y", answer.Request.URL.RequestURI())
}

func TestNothingOutsideTheDirectory(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "web")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(top, "other"), 0o700))
	for _, name := range []string{"secret", "other/index.html", "web/vnc.html"} {
		require.NoError(t, os.WriteFile(filepath.Join(top, name), []byte(name), 0o600))
	}
	for name, to := range map[string]string{
		"file": "../secret", "dir": "../other", "absolute": filepath.Join(top, "secret"), "sub/index.html": "../../secret",
		"sub/inside": "../vnc.html", "twice": "dir/../file", "vnc_auto.html": "vnc.html", "nowhere": "missing",
	} {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	require.NoError(t, os.Symlink("web", filepath.Join(top, "current")))
	do := serve(t, &web.Dir{Root: filepath.Join(top, "current")})
	for _, path := range []string{"/file", "/dir/", "/dir", "/dir/index.html", "/absolute", "/sub/index.html", "/twice", "/nowhere"} {
		assert.Equal(t, 404, do("GET", path).StatusCode, path)
	}
	assert.Equal(t, "web/vnc.html", body(t, do("GET", "/vnc_auto.html")), "a link within the directory")
	assert.Equal(t, "web/vnc.html", body(t, do("GET", "/sub/inside")))
	list := body(t, do("GET", "/"))
	for name, listed := range map[string]bool{"vnc_auto.html@": true, "vnc.html": true, "sub/": true, "file": false, "dir": false, "absolute": false, "nowhere": false} {
		assert.Equal(t, listed, strings.Contains(list, ">"+name+"<"), name)
	}
	assert.NotContains(t, body(t, do("GET", "/sub/")), "secret", "an index that leads out isn't one")
}

func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(FilesAreCurrent|NothingOutsideTheDirectory)$", 5*time.Minute)
}

// A link to something hidden is as hidden, and any other inside the directory is served.
func TestLinksToDotFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".git", "seen", "seen/.secret", "index"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	for _, name := range []string{".htpasswd", ".git/config", "seen/page", "seen/.secret/f"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600))
	}
	for name, to := range map[string]string{"a": ".htpasswd", "b": ".git", "c": "seen/.secret/f", "d": "a", "e": "seen/.secret", "index/index.html": "../.htpasswd", "good": "seen/page", "folder": "seen"} {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	do := serve(t, &web.Dir{Root: dir})
	for _, path := range []string{"/a", "/b/", "/b/config", "/c", "/d", "/e/f"} {
		assert.Equal(t, 404, do("GET", path).StatusCode, path)
	}
	for _, path := range []string{"/good", "/folder/page"} {
		assert.Equal(t, 200, do("GET", path).StatusCode, path)
	}
	assert.NotContains(t, body(t, do("GET", "/index/")), "content")
	list := body(t, do("GET", "/"))
	assert.Contains(t, list, "good@")
	assert.NotContains(t, list, ">a@<")
	assert.NotContains(t, list, ">b@<")
}

func TestDotFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".git", ".well-known/acme-challenge", ".well-known/.hidden", "sub/.well-known", ".well-knownish"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "f"), []byte(name), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".htpasswd"), []byte("secret"), 0o600))
	do := serve(t, &web.Dir{Root: dir})
	for _, path := range []string{"/.htpasswd", "/%2ehtpasswd", "/.git/", "/.git/f", "/.git", "/sub/.well-known/f", "/.well-known/.hidden/f", "/.well-knownish/f"} {
		assert.Equal(t, 404, do("GET", path).StatusCode, path)
	}
	assert.Equal(t, 200, do("GET", "/.well-known/acme-challenge/f").StatusCode)
	list := body(t, do("GET", "/"))
	assert.NotContains(t, list, ".htpasswd")
	assert.NotContains(t, list, ".git")
}
