package viewer

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestBuildWithoutNoVNCSaysWhatToDo(t *testing.T) {
	bare := fstest.MapFS{"novnc/.gitkeep": {}}
	_, err := open(bare)
	require.ErrorIs(t, err, ErrMissing)
	w := get(handler(bare), "/core/rfb.js")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, w.Body.String(), "run make pages")
}

func TestServesModules(t *testing.T) {
	full := fstest.MapFS{"novnc/core/rfb.js": {Data: []byte("export default 1;")}}
	w := get(handler(full), "/core/rfb.js")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "export default 1;", w.Body.String())
	// A browser runs a module only with a script's type.
	assert.Contains(t, w.Header().Get("Content-Type"), "text/javascript")
	assert.Equal(t, http.StatusNotFound, get(handler(full), "/core/other.js").Code)
}

func TestEmbeddedNoVNCIsTheLockedRelease(t *testing.T) {
	novnc, err := FS()
	require.NoError(t, err)
	for _, name := range []string{"core/rfb.js", "vendor/pako/lib/zlib/inflate.js", "LICENSE.txt", "docs/LICENSE.MPL-2.0"} {
		f, err := novnc.Open(name)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	readJSON(t, os.ReadFile, "package-lock.json", &lock)
	var own struct{ Version string }
	readJSON(t, files.ReadFile, "novnc/package.json", &own)
	locked := lock.Packages["node_modules/@novnc/novnc"]
	assert.Equal(t, locked.Version, own.Version, "run make pages")
	assert.NotEmpty(t, locked.Integrity)
}

func TestLockNamesNoRegistry(t *testing.T) {
	lock, err := os.ReadFile("package-lock.json")
	require.NoError(t, err)
	assert.False(t, strings.Contains(string(lock), "://"), "package-lock.json must not depend on one registry")
}

func readJSON(t *testing.T, read func(string) ([]byte, error), name string, v any) {
	t.Helper()
	b, err := read(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, v))
}
