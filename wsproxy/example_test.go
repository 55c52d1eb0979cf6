package wsproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"vda.internal/shadow/wsproxy"
)

// A target that greets and leaves, and a browser that was told where to find it.
func Example() {
	h := &wsproxy.Handler{
		Authorize: func(r *http.Request) error {
			if r.URL.Query().Get("token") != "good" {
				return &wsproxy.CloseError{Code: wsproxy.StatusPolicyViolation, Reason: "wrong token"}
			}
			return nil
		},
		Dial: func(context.Context, *http.Request) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				io.WriteString(far, "RFB 003.008\n")
				far.Close()
			}()
			return near, nil
		},
		OnReject: func(_ *http.Request, err error) { fmt.Println("rejected:", err) },
		OnEnd:    func(r wsproxy.Record) { fmt.Println("ended:", r.Code, r.Reason, r.Sent, "bytes") },
	}
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Shutdown(context.Background())

	for _, token := range []string{"bad", "good"} {
		url := strings.Replace(server.URL, "http", "ws", 1) + "/websockify?token=" + token
		greeting, err := browse(url)
		fmt.Printf("%q %v\n", greeting, err)
	}
	h.Shutdown(context.Background())
	// Unordered output:
	// rejected: wsproxy: closed with 1008: wrong token
	// "" status = StatusPolicyViolation and reason = "wrong token"
	// "RFB 003.008\n" status = StatusNormalClosure and reason = "Target closed"
	// ended: 1000 Target closed 12 bytes
}
