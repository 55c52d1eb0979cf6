package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/cmd/websockify/internal/auth"
)

func check(t *testing.T, plugin, source string, prepare func(*http.Request)) int {
	t.Helper()
	c, err := auth.New(plugin, source)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	prepare(r)
	refusal := c.Check(r)
	if refusal == nil {
		return http.StatusOK
	}
	assert.NotEmpty(t, refusal.Reason)
	w := httptest.NewRecorder()
	refusal.Write(w)
	assert.Equal(t, "close", w.Header().Get("Connection"))
	if w.Code == http.StatusUnauthorized {
		assert.Equal(t, `Basic realm="Websockify"`, w.Header().Get("WWW-Authenticate"))
	}
	return w.Code
}

func TestBasicHTTPAuth(t *testing.T) {
	basic := func(credentials string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	}
	for header, want := range map[string]int{
		basic("al:pä:ss"):      200,
		basic("al:p\xe4:ss"):   200, // as ISO 8859-1
		basic("al:pa:ss"):      401,
		basic("al:"):           401,
		basic("al"):            403,
		"":                     401,
		"Basic":                403,
		"Bearer x":             403,
		"Basic !!!":            403,
		"bAsIc YWw6cMOkOnNz":   200,
		basic("al:pä:ss\x00"):  401,
		basic("xal:pä:ss")[:8]: 403,
	} {
		assert.Equal(t, want, check(t, "BasicHTTPAuth", "al:pä:ss", func(r *http.Request) { r.Header.Set("Authorization", header) }), header)
	}
	_, err := auth.New("BasicHTTPAuth", "")
	assert.Error(t, err, "a check that nobody passes is a mistake")
}

func TestExpectOrigin(t *testing.T) {
	for origin, want := range map[string]int{"http://a": 200, "http://b:8": 200, "": 403, "http://A": 403, "http://a ": 403, "null": 403, "http://a http://b:8": 403} {
		assert.Equal(t, want, check(t, "websockify.auth_plugins.ExpectOrigin", " http://a  http://b:8", func(r *http.Request) { r.Header.Set("Origin", origin) }), origin)
	}
	assert.Equal(t, 403, check(t, "ExpectOrigin", "", func(r *http.Request) {}))
}

func TestClientCertCNAuth(t *testing.T) {
	state := func(name string, verified bool) *tls.ConnectionState {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
		s := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		if verified {
			s.VerifiedChains = [][]*x509.Certificate{{cert}}
		}
		return s
	}
	for _, c := range []struct {
		tls  *tls.ConnectionState
		want int
	}{{state("bob", true), 200}, {state("alice", true), 200}, {state("bob", false), 403}, {state("", true), 403}, {state("eve", true), 403}, {&tls.ConnectionState{}, 403}, {nil, 403}} {
		assert.Equal(t, c.want, check(t, "ClientCertCNAuth", "alice bob", func(r *http.Request) {
			r.TLS = c.tls
			r.Header.Set("SSL_CLIENT_S_DN_CN", "bob")
		}), "%+v", c.tls)
	}
}

func TestUnknownPlugin(t *testing.T) {
	_, err := auth.New("my.Class", "")
	assert.ErrorIs(t, err, auth.ErrUnknownPlugin)
}
