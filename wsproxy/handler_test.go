package wsproxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

func TestZeroHandlerRefuses(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{})
	assert.Equal(t, http.StatusForbidden, r.connect().resp.StatusCode)
}

func TestRequestsThatAreNoHandshake(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{
		Dial:      func(context.Context, *http.Request) (net.Conn, error) { panic("dialled") },
		Authorize: func(*http.Request) error { panic("asked") },
	})
	proper := handshake("h")
	for name, tc := range map[string]struct {
		request string
		status  int
	}{
		"page":        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", http.StatusUpgradeRequired},
		"HTTP/1.0":    {strings.Replace(proper, "HTTP/1.1", "HTTP/1.0", 1), http.StatusUpgradeRequired},
		"other":       {strings.Replace(proper, "Upgrade: websocket", "Upgrade: h2c", 1), http.StatusUpgradeRequired},
		"POST":        {strings.Replace(proper, "GET", "POST", 1), http.StatusMethodNotAllowed},
		"version 8":   {strings.Replace(proper, "Version: 13", "Version: 8", 1), http.StatusBadRequest},
		"no key":      {strings.Replace(proper, "Sec-WebSocket-Key", "Sec-WebSocket-Lock", 1), http.StatusBadRequest},
		"invalid key": {strings.Replace(proper, "dGhl", "dGhl====", 1), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.status, r.send(tc.request).resp.StatusCode)
		})
	}
	assert.Empty(t, r.records)
	assert.Empty(t, r.rejects)
}

func TestSubprotocol(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}})
	for offered, chosen := range map[string]string{
		"":               "",
		"binary":         "binary",
		"base64, binary": "binary",
		"base64,binary":  "binary",
		"base64":         "",
		"chat, foo":      "",
	} {
		c := r.dialRaw("Sec-WebSocket-Protocol: "+offered, "Sec-WebSocket-Extensions: permessage-deflate")
		assert.Equal(t, chosen, c.resp.Header.Get("Sec-WebSocket-Protocol"), "offered %q", offered)
		assert.Empty(t, c.resp.Header.Get("Sec-WebSocket-Extensions"))
		c.closeWith(1000, "")
		c.wantEcho(1000, "")
		r.record()
	}
}

// unwrapping is a middleware's ResponseWriter.
type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestMiddleware(t *testing.T) {
	h := &wsproxy.Handler{Dial: pipeDial, Relay: echo{}}
	r := newRig(t, h, func(s *httptest.Server) {
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{w}, r) })
	})
	c := r.dialRaw()
	c.frame(fin|opBinary, []byte("hello"))
	_, payload := c.next()
	assert.Equal(t, "hello", string(payload))

	w := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/", nil)
	req.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	h.ServeHTTP(w, req)
	assert.Equal(t, http.StatusNotImplemented, w.Code, "a connection that can't be taken over")
}

func TestOriginEndToEnd(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{
		Dial:           func(context.Context, *http.Request) (net.Conn, error) { panic("dialled") },
		Authorize:      func(*http.Request) error { panic("asked") },
		OriginPatterns: []string{"console.corp"},
	})
	c := r.dialRaw("Origin: https://evil.example")
	c.frame(fin|opBinary, []byte("data behind the handshake"))
	c.wantClose(wsproxy.StatusPolicyViolation, `origin "https://evil.example" not allowed`)
	assert.ErrorContains(t, receive(t, r.rejects), "evil.example")

	// The same host but another port is another origin.
	host, _, err := net.SplitHostPort(r.addr)
	require.NoError(t, err)
	c = r.dialRaw("Origin: http://" + host + ":1")
	code, _ := c.untilClose()
	assert.Equal(t, wsproxy.StatusPolicyViolation, code)
	receive(t, r.rejects)
	assert.Empty(t, r.records, "nobody was admitted")
}

func TestOriginsThatMayConnect(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, OriginPatterns: []string{"*.corp", "[::1]:80"}})
	for _, origin := range []string{"http://" + r.addr, "https://console.corp", "http://[::1]:80"} {
		c := r.dialRaw("Origin: " + origin)
		c.closeWith(1000, "")
		c.wantEcho(1000, "")
	}
	assert.Empty(t, r.rejects)
}

func TestAuthorize(t *testing.T) {
	var asked atomic.Int32
	var answer error
	r := newRig(t, &wsproxy.Handler{
		Dial:  pipeDial,
		Relay: echo{},
		Authorize: func(r *http.Request) error {
			asked.Add(1)
			assert.Equal(t, "secret", r.URL.Query().Get("token"))
			_, bounded := r.Context().Deadline()
			assert.True(t, bounded)
			return answer
		},
	})
	for _, tc := range []struct {
		err    error
		code   int
		reason string
	}{
		{errors.New("wrong token"), wsproxy.StatusPolicyViolation, "wrong token"},
		{&codedError{1013, "coded"}, wsproxy.StatusPolicyViolation, "coded"},
		{fmt.Errorf("full: %w", &wsproxy.CloseError{Code: wsproxy.StatusTryAgainLater, Reason: "later"}), wsproxy.StatusTryAgainLater, "later"},
		{&wsproxy.CloseError{Code: 1005, Reason: "not a code to send"}, wsproxy.StatusInternalError, "not a code to send"},
		{errors.New(strings.Repeat("ä", 100)), wsproxy.StatusPolicyViolation, strings.Repeat("ä", 60) + "…"},
	} {
		asked.Store(0)
		answer = tc.err
		r.dialRaw().wantClose(tc.code, tc.reason)
		assert.Equal(t, tc.err, receive(t, r.rejects))
		assert.EqualValues(t, 1, asked.Load())
	}
	assert.Empty(t, r.records)

	asked.Store(0)
	answer = nil
	c := r.dialRaw()
	c.closeWith(1000, "")
	c.wantEcho(1000, "")
	r.record()
	assert.EqualValues(t, 1, asked.Load())
	assert.Empty(t, r.rejects)
}

func TestDialFails(t *testing.T) {
	var answer error
	r := newRig(t, &wsproxy.Handler{Dial: func(context.Context, *http.Request) (net.Conn, error) { return nil, answer }})
	for _, tc := range []struct {
		err    error
		code   int
		reason string
	}{
		{errPlain, wsproxy.StatusInternalError, "Failed to connect to downstream server"},
		{nil, wsproxy.StatusInternalError, "Failed to connect to downstream server"},
		{fmt.Errorf("dial: %w", &codedError{1013, "full"}), 1013, "dial: full"},
		{&wsproxy.CloseError{Code: 4000, Reason: "so"}, 4000, "so"},
		{&codedError{200, "no such code"}, wsproxy.StatusInternalError, "no such code"},
	} {
		answer = tc.err
		r.dialRaw().wantClose(tc.code, tc.reason)
		record := r.record()
		assert.Equal(t, tc.code, record.Code)
		assert.False(t, record.ByViewer)
		assert.Error(t, record.Err)
		if tc.err != nil {
			assert.ErrorIs(t, record.Err, tc.err)
		}
	}
}

func TestDialIsBounded(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{
		HandshakeTimeout: 50 * time.Millisecond,
		Dial: func(ctx context.Context, _ *http.Request) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	r.dialRaw().wantClose(wsproxy.StatusInternalError, "Failed to connect to downstream server")
	assert.ErrorIs(t, r.record().Err, context.DeadlineExceeded)
}

func TestViewerLeavesWhileDialling(t *testing.T) {
	dialling := make(chan struct{})
	r := newRig(t, &wsproxy.Handler{
		HandshakeTimeout: patience,
		Dial: func(ctx context.Context, _ *http.Request) (net.Conn, error) {
			close(dialling)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	c := r.dialRaw()
	receive(t, dialling)
	c.reset()
	record := r.record()
	assert.Equal(t, wsproxy.StatusAbnormalClosure, record.Code)
	assert.True(t, record.ByViewer)
	assert.Less(t, record.Duration, patience)
}

func TestRelayDecidesTheEnd(t *testing.T) {
	var answer error
	r := newRig(t, &wsproxy.Handler{
		Dial: pipeDial,
		Relay: relayFunc(func(_ context.Context, viewer, target net.Conn) error {
			viewer.Close() // must not decide anything
			target.Close()
			return answer
		}),
	})
	for _, tc := range []struct {
		err    error
		code   int
		reason string
		wrong  bool
	}{
		{nil, 1000, "", false},
		{errPlain, wsproxy.StatusInternalError, "Target failed", true},
		{io.EOF, wsproxy.StatusInternalError, "Target failed", true},
		{fmt.Errorf("rfb: %w", &codedError{1002, "bad message"}), 1002, "rfb: bad message", true},
		{&wsproxy.CloseError{Code: wsproxy.StatusSuperseded, Reason: "superseded"}, 4001, "superseded", true},
		{&wsproxy.CloseError{Code: 1000, Reason: "done"}, 1000, "done", false},
		{&wsproxy.CloseError{Code: 1006}, wsproxy.StatusInternalError, "", true},
		{&codedError{1008, "a\xffb"}, 1008, "a\ufffdb", true},
	} {
		answer = tc.err
		r.dialRaw().wantClose(tc.code, tc.reason)
		record := r.record()
		assert.Equal(t, tc.code, record.Code)
		assert.Equal(t, tc.wrong, record.Err != nil, "%v", record.Err)
		assert.False(t, record.ByViewer)
	}
}

func TestRelayPanics(t *testing.T) {
	near, far := tcpPair(t)
	r := newRig(t, &wsproxy.Handler{
		Dial:  func(context.Context, *http.Request) (net.Conn, error) { return near, nil },
		Relay: relayFunc(func(context.Context, net.Conn, net.Conn) error { panic(http.ErrAbortHandler) }),
	})
	r.dialRaw().wantClose(wsproxy.StatusInternalError, "")
	assert.Error(t, r.record().Err)
	_, err := far.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err, "the target is closed")
}

func TestShutdown(t *testing.T) {
	running := make(chan struct{}, 3)
	h := &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(ctx context.Context, viewer, _ net.Conn) error {
		running <- struct{}{}
		_, err := viewer.Read(make([]byte, 1))
		return err
	})}
	r := newRig(t, h)
	clients := []*raw{r.dialRaw(), r.dialRaw(), r.dialRaw()}
	for range clients {
		receive(t, running)
	}
	down := make(chan error, 1)
	go func() { down <- h.Shutdown(context.Background()) }()
	for _, c := range clients {
		c.wantClose(wsproxy.StatusGoingAway, "going away")
	}
	require.NoError(t, receive(t, down))
	require.Len(t, r.records, len(clients), "Shutdown waits for the hooks too")
	for range clients {
		record := r.record()
		assert.Equal(t, wsproxy.StatusGoingAway, record.Code)
		assert.NoError(t, record.Err)
	}
	assert.Equal(t, http.StatusServiceUnavailable, r.connect().resp.StatusCode)
	require.NoError(t, h.Shutdown(context.Background()))
}

func TestShutdownGivesUp(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	h := &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(context.Context, net.Conn, net.Conn) error {
		close(running)
		<-release
		return nil
	})}
	r := newRig(t, h)
	c := r.dialRaw()
	receive(t, running)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := h.Shutdown(ctx)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "1 sessions")
	c.wantClose(wsproxy.StatusGoingAway, "going away") // a relay that doesn't return holds up nobody else
	close(release)
	r.record()
}

type key struct{}

func TestContextOfTheRequest(t *testing.T) {
	t.Parallel()
	base, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "base"))
	defer cancel(nil)
	seen := make(chan any, 1)
	var limit func(context.Context) (context.Context, context.CancelFunc)
	h := &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(ctx context.Context, viewer, _ net.Conn) error {
		seen <- ctx.Value(key{})
		<-ctx.Done()
		return errPlain
	})}
	r := newRig(t, h, func(s *httptest.Server) {
		s.Config.BaseContext = func(net.Listener) context.Context { return base }
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := limit(r.Context())
			defer cancel()
			h.ServeHTTP(w, r.WithContext(ctx))
		})
	})

	t.Run("a limit for requests isn't one for sessions", func(t *testing.T) {
		limit = func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Nanosecond)
		}
		c := r.dialRaw()
		assert.Equal(t, "base", receive(t, seen))
		c.frame(fin|opPing, []byte("still there?"))
		first, payload := c.next()
		assert.Equal(t, byte(fin|opPong), first)
		assert.Equal(t, "still there?", string(payload))
		c.reset()
		r.record()
	})
	t.Run("cancelled", func(t *testing.T) {
		var stop context.CancelFunc
		limit = func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, stop = context.WithCancel(ctx)
			return ctx, stop
		}
		c := r.dialRaw()
		receive(t, seen)
		stop()
		c.wantClose(wsproxy.StatusGoingAway, "going away")
		assert.Equal(t, wsproxy.StatusGoingAway, r.record().Code)
	})
	t.Run("cancelled with a close error", func(t *testing.T) {
		limit = context.WithCancel
		c := r.dialRaw()
		receive(t, seen)
		cancel(fmt.Errorf("engine: %w", &wsproxy.CloseError{Code: wsproxy.StatusSuperseded, Reason: "superseded"}))
		c.wantClose(wsproxy.StatusSuperseded, "superseded")
		record := r.record()
		assert.Equal(t, wsproxy.StatusSuperseded, record.Code)
		assert.Equal(t, "superseded", record.Reason)
		assert.NoError(t, record.Err)
		assert.False(t, record.ByViewer)
	})
}
