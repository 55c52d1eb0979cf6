package wsproxy_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

// An idle session keeps two goroutines and no more: the request's, which waits
// for the target, and one that waits for the viewer. The library may have one
// of its own; its successor has none.
func TestIdleSessionKeepsFewGoroutines(t *testing.T) {
	dial, targets := dialTo(t)
	r := newRig(t, &wsproxy.Handler{Dial: dial, IdleTimeout: time.Hour})
	const sessions = 10
	for range sessions {
		c := r.dialRaw()
		target := receive(t, targets)
		c.frame(fin|opPing, []byte("ping"))
		first, _ := c.next()
		require.EqualValues(t, fin|opPong, first)
		c.frame(fin|opBinary, []byte("up"))
		up := make([]byte, 2)
		_, err := io.ReadFull(target, up)
		require.NoError(t, err)
		require.Equal(t, "up", string(up))
		_, err = target.Write([]byte("down"))
		require.NoError(t, err)
		_, payload := c.next()
		require.Equal(t, "down", string(payload))
	}
	assert.Eventually(t, func() bool { return goroutines() == 2*sessions }, patience, 10*time.Millisecond)
}

// Nothing remembers a session that has ended, least of all a timer that would
// fire much later.
func TestEndedSessionIsForgotten(t *testing.T) {
	for name, h := range map[string]*wsproxy.Handler{
		"heartbeat":        {PingInterval: time.Hour, PongTimeout: time.Hour},
		"idleness":         {PingInterval: -1, IdleTimeout: time.Hour},
		"unfinished frame": {PingInterval: -1, PongTimeout: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h.Dial, h.Relay = pipeDial, echo{}
			r := newRig(t, h)
			forgotten := make(chan struct{})
			h.OnEnd = func(record wsproxy.Record) { // the session holds its request
				runtime.AddCleanup(record.Request, func(c chan struct{}) { close(c) }, forgotten)
			}
			c := r.dialRaw()
			f := frame(fin|opBinary, []byte("frame"))
			c.write(f[:8])
			_, part := c.next() // from here on a timer looks for the rest
			require.Equal(t, "fr", string(part))
			c.write(f[8:])
			for range 2 { // the second is answered when that timer is there
				c.frame(fin|opPing, nil)
				for first := byte(0); first != fin|opPong; {
					first, _ = c.next()
				}
			}
			c.closeWith(1000, "")
			c.wantEcho(1000, "")
			assert.Eventually(t, func() bool {
				runtime.GC()
				select {
				case <-forgotten:
					return true
				default:
					return false
				}
			}, patience, 10*time.Millisecond)
		})
	}
}

// goroutines counts those of this package.
func goroutines() (n int) {
	stacks := make([]byte, 4<<20)
	for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
		if bytes.Contains(stack, []byte("shadow/wsproxy.(")) {
			n++
		}
	}
	return n
}
