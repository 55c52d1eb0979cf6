package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/cmd/websockify/internal/web"
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
	assert.Equal(t, "/sub/?a=b", listing("GET", "//sub?a=b").Header.Get("Location"), "not another host's")
}
