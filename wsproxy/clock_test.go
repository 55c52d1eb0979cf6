package wsproxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

// What depends on time is tested with synctest's clock, over connections in
// memory: a second there takes as long as the work in it, on any machine.

// piped listens to connections in memory.
type piped struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *piped) Close() error   { close(p.done); return nil }
func (p *piped) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// inBubble serves h to one viewer, in a synctest bubble. All has ended when the
// test has.
func inBubble(t *testing.T, h *wsproxy.Handler, test func(t *testing.T, c *raw, records <-chan wsproxy.Record)) {
	synctest.Test(t, func(t *testing.T) {
		records := make(chan wsproxy.Record, 1)
		h.OnEnd = func(r wsproxy.Record) { records <- r }
		ln := &piped{make(chan net.Conn), make(chan struct{})}
		srv := &http.Server{Handler: h}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		near, far := net.Pipe()
		ln.conns <- near
		_, err := io.WriteString(far, handshake("vda1"))
		require.NoError(t, err)
		c := &raw{t: t, conn: far, r: bufio.NewReader(far)}
		c.resp, err = http.ReadResponse(c.r, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, c.resp.StatusCode)
		test(t, c, records)
		far.Close()
		require.NoError(t, h.Shutdown(t.Context()))
		require.NoError(t, srv.Close())
		<-served
	})
}

// pipeTo is a Dial to targets in memory, which it hands to the test.
func pipeTo(targets chan<- net.Conn) func(context.Context, *http.Request) (net.Conn, error) {
	return func(context.Context, *http.Request) (net.Conn, error) {
		near, far := net.Pipe()
		targets <- far
		return near, nil
	}
}

// A viewer that takes less than a frame in each write timeout, but some, isn't
// stalled, however long that lasts. Once it takes nothing it is, when the
// timeout is over or up to a quarter later.
func TestSlowViewerIsNotStalled(t *testing.T) {
	const timeout = 15 * time.Second
	flood := relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
		for {
			if _, err := viewer.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	})
	h := &wsproxy.Handler{Dial: pipeDial, Relay: flood, PingInterval: -1, WriteTimeout: timeout}
	inBubble(t, h, func(t *testing.T, c *raw, records <-chan wsproxy.Record) {
		b := make([]byte, 100)
		for range 600 {
			time.Sleep(time.Second)
			_, err := io.ReadFull(c.conn, b) // not through a buffer, which would read ahead
			require.NoError(t, err)
		}
		require.Empty(t, records)
		stopped := time.Now()
		record := <-records
		assert.Equal(t, wsproxy.StatusStalled, record.Code)
		waited := time.Since(stopped)
		assert.GreaterOrEqual(t, waited, timeout)
		assert.LessOrEqual(t, waited, timeout+timeout/4+3*time.Second, "and the closing handshake")
	})
}

// A frame that comes slowly is a frame.
func TestSlowFrame(t *testing.T) {
	targets := make(chan net.Conn, 1)
	h := &wsproxy.Handler{Dial: pipeTo(targets), PingInterval: -1, PongTimeout: 15 * time.Second}
	inBubble(t, h, func(t *testing.T, c *raw, records <-chan wsproxy.Record) {
		target := <-targets
		got := make(chan []byte, 1)
		go func() {
			b := make([]byte, 10)
			_, _ = io.ReadFull(target, b)
			got <- b
		}()
		for _, b := range frame(fin|opBinary, []byte("0123456789")) { // for much longer than the timeout
			time.Sleep(10 * time.Second)
			c.write([]byte{b})
		}
		assert.Equal(t, "0123456789", string(<-got))
		assert.Empty(t, records)
		target.Close()
		c.untilClose()
	})
}

// The last pings are sent only if the first count as answered.
func TestSignsOfLife(t *testing.T) {
	const interval = 30 * time.Second
	handler := func(relay wsproxy.Relay) *wsproxy.Handler {
		return &wsproxy.Handler{Dial: pipeDial, Relay: relay, PingInterval: interval, PongTimeout: 40 * time.Second, MaxMessage: 8 << 20}
	}
	pings := func(t *testing.T, c *raw, answer func()) {
		for range 5 {
			first, _ := c.next()
			require.Equal(t, byte(fin|opPing), first)
			answer()
		}
	}
	silent := relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
		_, err := io.Copy(io.Discard, viewer)
		return err
	})
	t.Run("pong", func(t *testing.T) {
		inBubble(t, handler(silent), func(t *testing.T, c *raw, _ <-chan wsproxy.Record) {
			pings(t, c, func() { c.frame(fin|opPong, nil) })
		})
	})
	t.Run("data", func(t *testing.T) {
		inBubble(t, handler(silent), func(t *testing.T, c *raw, _ <-chan wsproxy.Record) {
			pings(t, c, func() { c.frame(fin|opBinary, []byte("busy")) })
		})
	})
	t.Run("silence", func(t *testing.T) {
		inBubble(t, handler(silent), func(t *testing.T, c *raw, _ <-chan wsproxy.Record) {
			start := time.Now()
			code, reason := c.untilClose()
			assert.Equal(t, wsproxy.StatusStalled, code)
			assert.Equal(t, "no ping answered for 40s", reason)
			assert.Equal(t, interval+40*time.Second, time.Since(start))
		})
	})
	t.Run("silence while nothing is read", func(t *testing.T) {
		stuck := relayFunc(func(ctx context.Context, _, _ net.Conn) error {
			<-ctx.Done() // a target that takes nothing
			return ctx.Err()
		})
		inBubble(t, handler(stuck), func(t *testing.T, c *raw, _ <-chan wsproxy.Record) {
			go func() { _, _ = c.conn.Write(frame(fin|opBinary, make([]byte, 200<<10))) }() // more than the inbox holds
			pings(t, c, func() {})
		})
	})
}

// Pings come whether or not they are answered, and no more often than asked for.
func TestPingsWithoutAnswer(t *testing.T) {
	const interval = 20 * time.Second
	h := &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: interval, PongTimeout: time.Hour}
	inBubble(t, h, func(t *testing.T, c *raw, _ <-chan wsproxy.Record) {
		start := time.Now()
		for i := range 5 {
			first, _ := c.next()
			require.Equal(t, byte(fin|opPing), first)
			assert.Equal(t, time.Duration(i+1)*interval, time.Since(start))
		}
	})
}

// A session is idle when nothing is carried in either direction; pings and
// pongs aren't part of the stream.
func TestIdleSession(t *testing.T) {
	targets := make(chan net.Conn, 1)
	h := &wsproxy.Handler{Dial: pipeTo(targets), IdleTimeout: 4 * time.Minute, PingInterval: 10 * time.Second}
	inBubble(t, h, func(t *testing.T, c *raw, records <-chan wsproxy.Record) {
		target := <-targets
		go func() { _, _ = io.Copy(io.Discard, target) }()
		go func() {
			for i := range 8 {
				time.Sleep(2 * time.Minute)
				if i%2 == 0 {
					_, _ = target.Write([]byte("down"))
				} else {
					_, _ = c.Write([]byte("up"))
				}
			}
		}()
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Equal(t, "downdowndowndown", string(got))
		_, _ = c.conn.Write(frame(fin|opClose, nil))
		record := <-records
		assert.Equal(t, wsproxy.StatusGoingAway, record.Code)
		assert.Equal(t, "session idle", record.Reason)
		assert.NoError(t, record.Err)
		assert.GreaterOrEqual(t, record.Duration, 20*time.Minute)
		assert.LessOrEqual(t, record.Duration, 21*time.Minute)
		target.Close()
	})
}
