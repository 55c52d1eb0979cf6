package viewer

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// ask sends a request to the page as it is built, or skips if it isn't.
func ask(t *testing.T, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	if _, err := built.ReadFile("dist/index.html"); err != nil {
		testenv.Lack(t, "the page isn't in this build: run make pages")
	}
	r := httptest.NewRequest(method, "http://vda1.corp.example:6001"+target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Page(30*time.Second).ServeHTTP(w, r)
	return w
}

var scriptName = regexp.MustCompile(`src="(page-([0-9a-f]{16})\.js)"`)

func TestPage(t *testing.T) {
	w := ask(t, "GET", "/")
	require.Equal(t, 200, w.Code)
	assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
	assert.Contains(t, w.Body.String(), `<body data-reconnect="30"`)
	assert.Empty(t, w.Header().Values("Set-Cookie"))
	assert.NotRegexp(t, `https?://`, w.Body.String(), "nothing comes from elsewhere")

	policy := w.Header().Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'sha256-")
	assert.Contains(t, policy, "connect-src 'self' ws://vda1.corp.example:6001 wss://vda1.corp.example:6001;")
	assert.NotContains(t, policy, "unsafe")

	m := scriptName.FindStringSubmatch(w.Body.String())
	require.NotNil(t, m, w.Body.String())
	script := ask(t, "GET", "/"+m[1])
	require.Equal(t, 200, script.Code)
	sum := sha256.Sum256(script.Body.Bytes())
	assert.Equal(t, m[2], hex.EncodeToString(sum[:8]), "the name is the hash")
	assert.Contains(t, script.Body.String(), "licensed under MPL 2.0")
	assert.NotContains(t, script.Body.String(), "isConfigSupported", "nothing waits for a decoder of H.264")

	packed := ask(t, "GET", "/"+m[1], "Accept-Encoding", "gzip, br;q=0")
	assert.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
	z, err := gzip.NewReader(bytes.NewReader(packed.Body.Bytes()))
	require.NoError(t, err)
	plain, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Equal(t, script.Body.Bytes(), plain)

	small := ask(t, "GET", "/"+m[1], "Accept-Encoding", "gzip, deflate, br")
	assert.Equal(t, "br", small.Header().Get("Content-Encoding"))
	assert.Less(t, small.Body.Len()+w.Body.Len(), 150_000)
}

func TestPageIsAllThereIs(t *testing.T) {
	for _, path := range []string{"/index.html", "/page.js", "/dist/index.html", "/..", "/.gitkeep", "/favicon.ico", "/index.html.gz"} {
		assert.Equal(t, 404, ask(t, "GET", path).Code, path)
	}
	assert.Equal(t, 405, ask(t, "POST", "/").Code)
	head := ask(t, "HEAD", "/")
	assert.Equal(t, 200, head.Code)
	assert.Zero(t, head.Body.Len())
}

// A host name from outside can't add to the policy.
func TestHostInPolicy(t *testing.T) {
	p := page(fstest.MapFS{"dist/index.html": {Data: []byte("<style>a</style><body>")}}, 0)
	for _, host := range []string{"a;script-src *", "a b", "a'", ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		assert.Contains(t, w.Header().Get("Content-Security-Policy"), "connect-src 'self'; base-uri", host)
	}
}

func TestBuildWithoutThePageSaysWhatToDo(t *testing.T) {
	w := httptest.NewRecorder()
	page(fstest.MapFS{"dist/.gitkeep": {}}, 0).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, w.Body.String(), "make build")
}
