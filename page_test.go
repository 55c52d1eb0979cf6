package shadow_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// A granted port shows a page to a browser until its viewer is there. Nothing of the view is
// in it, and it takes no place.
func TestPageOfAGrantedPort(t *testing.T) {
	paths := make(chan string, 10)
	h := start(t, shadow.Config{Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.RequestURI()
		_, _ = io.WriteString(w, "a page")
	})})
	g := h.granted(t, "s1", "alice")
	u, err := url.Parse(g.Page)
	require.NoError(t, err)
	assert.Equal(t, "http", u.Scheme)
	assert.Equal(t, g.Token, u.Fragment)
	socket, err := url.Parse(g.URL)
	require.NoError(t, err)
	assert.Equal(t, socket.Host, u.Host)
	for range 2 {
		resp, err := http.Get(g.Page)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, "a page", string(body))
		assert.Equal(t, "/", next(t, paths), "the token doesn't travel")
	}
	v := view(t, g.URL)
	v.update()
	_, err = http.Get(g.Page)
	require.Error(t, err, "the port is shut while somebody views")
}

func TestNoPage(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	assert.Empty(t, g.Page)
	resp, err := http.Get(strings.Replace(g.URL, "ws:", "http:", 1))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusUpgradeRequired, resp.StatusCode)
}
