package wsproxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

func TestTargetClosesWithBytesUnderWay(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn) error{
		"closed":      (*net.TCPConn).Close,
		"half-closed": (*net.TCPConn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			dial, targets := dialTo(t)
			r := newRig(t, &wsproxy.Handler{Dial: dial})
			c := r.dialRaw()
			target := receive(t, targets)
			go func() {
				_, _ = target.Write(pattern(3_000_000))
				_ = end(target)
			}()
			got := 0
			for {
				first, payload := c.next()
				if first == fin|opClose {
					assert.Equal(t, append([]byte{3, 232}, "Target closed"...), payload)
					break
				}
				got += len(payload)
			}
			assert.Equal(t, 3_000_000, got)
			c.frame(fin|opClose, []byte{3, 232})
			record := r.record()
			assert.Equal(t, 1000, record.Code)
			assert.EqualValues(t, 3_000_000, record.Sent)
			assert.False(t, record.ByViewer)
			assert.NoError(t, record.Err)
		})
	}
}

func TestTargetResets(t *testing.T) {
	dial, targets := dialTo(t)
	r := newRig(t, &wsproxy.Handler{Dial: dial})
	c := r.dialRaw()
	target := receive(t, targets)
	require.NoError(t, target.SetLinger(0))
	target.Close()
	c.wantClose(wsproxy.StatusInternalError, "Target failed")
	assert.ErrorContains(t, r.record().Err, "reset")
}

func TestTargetRefuses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	ln.Close()
	r := newRig(t, &wsproxy.Handler{Dial: func(ctx context.Context, _ *http.Request) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}})
	r.dialRaw().wantClose(wsproxy.StatusInternalError, "Failed to connect to downstream server")
	assert.ErrorContains(t, r.record().Err, "refused")
}

func TestViewerLeavesWithBytesUnderWay(t *testing.T) {
	for name, leave := range map[string]func(*raw){
		"properly": func(c *raw) { _, _ = c.writeFrame(fin|opClose, nil) },
		"silently": func(c *raw) { _ = c.conn.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			dial, targets := dialTo(t)
			r := newRig(t, &wsproxy.Handler{Dial: dial})
			c := r.dialRaw()
			target := receive(t, targets)
			const total = 1_000_000
			go func() {
				for range 100 {
					_, _ = c.Write(make([]byte, total/100))
				}
				leave(c)
			}()
			go func() { _, _ = target.Write([]byte("a target that talks meanwhile")) }()
			n, err := io.Copy(io.Discard, target)
			require.NoError(t, err)
			assert.EqualValues(t, total, n)
			target.Close()
			record := r.record()
			assert.EqualValues(t, total, record.Received)
			assert.True(t, record.ByViewer)
		})
	}
}

// A target that talks to a viewer that has left still gets what that had sent,
// even what waits in a socket's buffer: closing with unread input discards it.
func TestViewerLeavesATargetThatTalks(t *testing.T) {
	dial, targets := dialTo(t)
	r := newRig(t, &wsproxy.Handler{Dial: dial})
	c := r.dialRaw()
	target := receive(t, targets)
	const total = 400_000
	go func() {
		_, _ = c.Write(make([]byte, total))
		_, _ = c.writeFrame(fin|opClose, nil)
	}()
	code, _ := c.untilClose()
	assert.Equal(t, wsproxy.StatusNoStatus, code)
	for range 20 { // one after the other was read: a closed connection would answer with a reset
		_, err := target.Write([]byte("still there?"))
		require.NoError(t, err)
		pause(t, 5*time.Millisecond)
	}
	n, err := io.Copy(io.Discard, target)
	require.NoError(t, err)
	assert.EqualValues(t, total, n)
	target.Close()
	r.record()
}

func TestViewerLeavesATargetThatHangs(t *testing.T) {
	t.Parallel()
	dial, targets := dialTo(t)
	r := newRig(t, &wsproxy.Handler{Dial: dial})
	c := r.dialRaw()
	target := receive(t, targets)
	c.closeWith(1000, "")
	c.wantEcho(1000, "")
	within(t, patience/2, "the end", func() { r.record() })
	_, err := io.Copy(io.Discard, target)
	assert.NoError(t, err)
}

func TestTargetWithoutHalfClose(t *testing.T) {
	near, far := net.Pipe()
	r := newRig(t, &wsproxy.Handler{Dial: func(context.Context, *http.Request) (net.Conn, error) { return near, nil }})
	c := r.dialRaw()
	c.frame(fin|opBinary, []byte("hello"))
	c.closeWith(1000, "")
	got, err := io.ReadAll(far)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	c.wantEcho(1000, "")
	r.record()
}
