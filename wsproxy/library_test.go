package wsproxy_test

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow/wsproxy"
)

// browse reads a WebSocket to its end, with the library's client.
func browse(url string) (all []byte, end error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		return nil, err
	}
	defer c.CloseNow()
	for {
		typ, p, err := c.Read(ctx)
		if err != nil {
			var closed websocket.CloseError
			if errors.As(err, &closed) {
				err = closed
			}
			return all, err
		}
		if typ != websocket.MessageBinary {
			return all, errors.New("text")
		}
		all = append(all, p...)
	}
}

// The library's own client finds nothing wrong with us: echo, ping, close.
func TestWithTheLibrarysClient(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: time.Millisecond})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, "ws://"+r.addr, &websocket.DialOptions{
		Subprotocols:    []string{"base64", "binary"},
		CompressionMode: websocket.CompressionContextTakeover,
	})
	require.NoError(t, err)
	assert.Equal(t, "binary", c.Subprotocol())
	assert.Empty(t, resp.Header.Get("Sec-WebSocket-Extensions"))
	c.SetReadLimit(-1)
	stream := websocket.NetConn(ctx, c, websocket.MessageBinary)
	want := pattern(3 << 20)
	go func() {
		for p := range slices.Chunk(want, 100_001) {
			_, _ = stream.Write(p)
		}
	}()
	got := make([]byte, len(want))
	_, err = io.ReadFull(stream, got)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))
	idle := c.CloseRead(ctx) // something has to read for Ping
	require.NoError(t, c.Ping(ctx))
	_ = c.Close(4000, "enough") // whether idle or this sees our answer is a race in the library
	<-idle.Done()
	record := r.record()
	assert.Equal(t, 4000, record.Code)
	assert.Equal(t, "enough", record.Reason)
	assert.True(t, record.ByViewer)
}

// BenchmarkDown moves 64 KiB at a time to a client on loopback that reads bytes
// and does nothing else: with a relay's Write, with the raw copy, and with the
// library's own Write for comparison.
func BenchmarkDown(b *testing.B) {
	payload := pattern(64 << 10)
	b.Run("Write", func(b *testing.B) {
		benchmarkDown(b, &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
			for {
				if _, err := viewer.Write(payload); err != nil {
					return err
				}
			}
		})})
	})
	b.Run("ReadFrom", func(b *testing.B) {
		benchmarkDown(b, &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
			_, err := io.Copy(viewer, zeros{})
			return err
		})})
	})
	b.Run("library", func(b *testing.B) {
		benchmarkDown(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			ctx := c.CloseRead(context.Background())
			for c.Write(ctx, websocket.MessageBinary, payload) == nil {
			}
		}))
	})
}

func benchmarkDown(b *testing.B, h http.Handler) {
	server := httptest.NewServer(h)
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(b, err)
	defer c.Close()
	require.NoError(b, c.(*net.TCPConn).SetReadBuffer(256<<10)) // else it is the cache that is measured
	_, err = io.WriteString(c, handshake("h"))
	require.NoError(b, err)
	buf := make([]byte, 256<<10)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	for left := int64(b.N) * (64<<10 + 10); left > 0; {
		n, err := c.Read(buf)
		require.NoError(b, err)
		left -= int64(n)
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpu is the time that the process has computed. On a busy machine it says
// more than the time that has passed.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEcho is a round trip of a small message.
func BenchmarkEcho(b *testing.B) {
	server := httptest.NewServer(&wsproxy.Handler{Dial: pipeDial, Relay: echo{}})
	defer server.Close()
	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(b, err)
	defer nc.Close()
	_, err = io.WriteString(nc, handshake("h"))
	require.NoError(b, err)
	c := &raw{t: b, conn: nc, r: bufio.NewReader(nc)}
	_, err = http.ReadResponse(c.r, nil)
	require.NoError(b, err)
	message, answer := frame(fin|opBinary, make([]byte, 16)), make([]byte, 2+16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nc.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.r, answer); err != nil {
			b.Fatal(err)
		}
	}
}
