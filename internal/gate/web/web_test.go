package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://gate.corp.example"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	needPages(t)
	h := Pages()
	for _, path := range []string{"/", "/activity", "/me", "/signin", "/view/4k7qz2ha"} {
		w := get(h, "GET", path)
		require.Equal(t, 200, w.Code, path)
		assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.Empty(t, w.Header().Values("Set-Cookie"))
		assert.NotRegexp(t, `https?://|<style|style=|<script[^>]*>[^<]|\son\w+=`, w.Body.String(), "nothing from elsewhere, nothing inline")
		policy := w.Header().Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self';")
		assert.Contains(t, policy, "connect-src 'self' ws://gate.corp.example wss://gate.corp.example;")
		assert.Contains(t, policy, "frame-ancestors 'none'")
		assert.Contains(t, policy, "require-trusted-types-for 'script'")
		assert.NotContains(t, policy, "unsafe")
	}
	names := regexp.MustCompile(`(?:src|href)="(/app-[0-9A-Z]{8}\.(?:js|css))"`).FindAllStringSubmatch(get(h, "GET", "/").Body.String(), -1)
	require.Len(t, names, 2)
	first := 0
	for _, name := range names {
		w := get(h, "GET", name[1], "Accept-Encoding", "gzip, br")
		require.Equal(t, 200, w.Code)
		assert.Equal(t, "br", w.Header().Get("Content-Encoding"))
		assert.Contains(t, w.Header().Get("Cache-Control"), "immutable")
		first += w.Body.Len()
	}
	assert.Less(t, first, 40_000, "what the list of sessions needs is small")
}

func TestPagesAreAllThereIs(t *testing.T) {
	needPages(t)
	h := Pages()
	for _, path := range []string{"/index.html", "/app.js", "/view/", "/view/a/b", "/view/..", "/..", "/dist/index.html", "/.gitkeep", "/signin/x", "/api/v1/me", "/favicon.ico", "//activity"} {
		assert.Equal(t, 404, get(h, "GET", path).Code, path)
	}
	assert.Equal(t, 405, get(h, "POST", "/signin").Code)
	head := get(h, "HEAD", "/")
	assert.Equal(t, 200, head.Code)
	assert.Zero(t, head.Body.Len())
}

func TestBuildWithoutThePagesSaysWhatToDo(t *testing.T) {
	w := get(handler(fstest.MapFS{"dist/.gitkeep": {}}), "GET", "/")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, w.Body.String(), "make build")
}

// No way leads from a string to markup or code.
func TestModulesMakeNoMarkup(t *testing.T) {
	banned := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|createContextualFragment|DOMParser|\beval\b|new Function|srcdoc|javascript:`)
	for _, folder := range []string{"page", "../../viewer/page"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.js"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			for i, line := range strings.Split(string(data), "\n") {
				assert.NotRegexp(t, banned, line, "%s:%d", file, i+1)
			}
		}
	}
}
