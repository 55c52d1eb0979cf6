package websockify

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A request of any bytes is read, refused or upgraded, and no token in it gets
// into the log.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		request("/?token=secret"), request("/a?b=c&t%6Fken=sec%72et&d"), request("/", "Sec-WebSocket-Protocol: a, binary"),
		strings.Replace(request("/"), "Version: 13", "Version: 7", 1), get("/x"), "GET / HTTP/1.0\r\n\r\n", request("/?token=%zz&token"), request("/?a=b;token=x"),
	} {
		f.Add([]byte(seed))
	}
	s := &server{o: &options{}}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(b))))
		if err != nil {
			return
		}
		token := s.tokenOf(r)
		if len(token) > 8 && !strings.Contains("token=sha256:0123456789abcdef", token) {
			assert.NotContains(t, unescape(redact(r.RequestURI)), "token="+token)
		}
		if checkHandshake(r) != nil {
			return
		}
		u := newUpgrade(t.Context(), httptest.NewRecorder(), r, true)
		assert.Equal(t, "13", u.request.Header.Get("Sec-WebSocket-Version"))
		assert.Contains(t, []string{"", "binary"}, u.protocol)
		assert.Equal(t, r.URL, u.request.URL)
	})
}

func TestRedact(t *testing.T) {
	for uri, want := range map[string]string{
		"/":                         "/",
		"/token=x":                  "/token=x",
		"/?token=x":                 "/?token=" + digest("x"),
		"/p?a=b&token=a%20b&token=": "/p?a=b&token=" + digest("a b") + "&token=",
		"/?t%6fken=x%0a":            "/?t%6fken=" + digest("x"),
		"/?token=x&token=y":         "/?token=" + digest("x") + "&token=" + digest("y"),
	} {
		assert.Equal(t, want, redact(uri), uri)
	}
}
