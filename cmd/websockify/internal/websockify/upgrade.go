package websockify

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow/cmd/websockify/internal/auth"
	"vda.internal/shadow/internal/rfc6455"
)

// An upgrade is a request and its ResponseWriter as package wsproxy wants
// them, which is stricter about the request than the Python program. The
// client gets the answer to what it asked, in the Python program's words.
type upgrade struct {
	http.ResponseWriter
	request *http.Request
	header  http.Header // what wsproxy wants to say

	accept   string // of Sec-WebSocket-Accept
	protocol string // of Sec-WebSocket-Protocol; empty: none
	switched bool   // wsproxy has said 101
}

// checkHandshake finds out whether the request can be upgraded: its version is
// one whose frames are RFC 6455's, and there is a key, whatever it is.
func checkHandshake(r *http.Request) *auth.Refusal {
	refuse := func(format string, args ...any) *auth.Refusal {
		return &auth.Refusal{Status: http.StatusBadRequest, Reason: fmt.Sprintf(format, args...)}
	}
	version, ok := r.Header["Sec-Websocket-Version"]
	switch {
	case !ok:
		return refuse("Missing Sec-WebSocket-Version header")
	case !slices.Contains([]string{"7", "8", "13"}, version[0]):
		return refuse("Unsupported protocol version %q", version[0])
	case r.Header["Sec-Websocket-Key"] == nil:
		return refuse("Missing Sec-WebSocket-Key header")
	}
	return nil
}

// newUpgrade prepares a request that checkHandshake has passed. origin says
// that wsproxy is to check that.
func newUpgrade(ctx context.Context, w http.ResponseWriter, r *http.Request, origin bool) *upgrade {
	u := &upgrade{ResponseWriter: w, request: r.Clone(ctx), header: make(http.Header)}
	u.accept = rfc6455.Accept(r.Header.Get("Sec-WebSocket-Key"))
	if offers(r.Header, "binary") {
		u.protocol = "binary"
	}
	u.request.Proto, u.request.ProtoMajor, u.request.ProtoMinor = "HTTP/1.1", 1, 1
	h := u.request.Header
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") // a valid one; u.accept answers the client's
	switch from := h.Get("Sec-WebSocket-Origin"); {        // of versions 7 and 8
	case !origin:
		h.Del("Origin")
	case h.Get("Origin") == "" && from != "":
		h.Set("Origin", from)
	}
	return u
}

// offers reports whether a client offers a subprotocol.
func offers(h http.Header, protocol string) bool {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(p) == protocol {
				return true
			}
		}
	}
	return false
}

// Header implements http.ResponseWriter.
func (u *upgrade) Header() http.Header { return u.header }

// WriteHeader implements http.ResponseWriter. The 101 waits for Hijack.
func (u *upgrade) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		u.switched = true
		return
	}
	h := u.ResponseWriter.Header()
	for name, values := range u.header {
		h[name] = values
	}
	u.ResponseWriter.WriteHeader(status)
}

// answerPatience bounds the writing of the 101, which fits into any buffer.
const answerPatience = 10 * time.Second

// Hijack implements http.Hijacker. It sends the 101.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil || !u.switched {
		return conn, rw, err
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + u.accept + "\r\n"
	if u.protocol != "" {
		answer += "Sec-WebSocket-Protocol: " + u.protocol + "\r\n"
	}
	_ = conn.SetDeadline(time.Now().Add(answerPatience))
	if _, err := conn.Write([]byte(answer + "\r\n")); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, rw, conn.SetDeadline(time.Time{})
}
