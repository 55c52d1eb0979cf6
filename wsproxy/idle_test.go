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

// An idle session keeps three goroutines and no more: the request's, which
// waits for the target, one that waits for the viewer, and the library's.
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
	assert.Eventually(t, func() bool { return goroutines() == 3*sessions }, patience, 10*time.Millisecond)
}

// goroutines counts those of this package and of the library.
func goroutines() (n int) {
	stacks := make([]byte, 4<<20)
	for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
		if bytes.Contains(stack, []byte("shadow/wsproxy.(")) || bytes.Contains(stack, []byte("websocket.(*Conn).timeoutLoop")) {
			n++
		}
	}
	return n
}
