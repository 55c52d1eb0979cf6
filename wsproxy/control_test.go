package wsproxy

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// countedConn is a conn that nobody reads, and how many frames it has sent.
func countedConn(t *testing.T) (*conn, *atomic.Int64) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	sink := &counting{Conn: near}
	c := &conn{in: newInbox()}
	c.wire = newWire(sink, nil, time.Second)
	c.wire.intake.to = c
	return c, &sink.writes
}

// A counting connection counts what is written.
type counting struct {
	net.Conn
	writes atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return len(p), nil
}

// Whoever asks for a task while the last is being finished gets it done all the
// same. Here a pong is asked for soon after the one before was sent, when control
// is about to return.
func TestNoTaskIsLost(t *testing.T) {
	c, sent := countedConn(t)
	for i := range int64(40_000) {
		for range i % 400 {
			c.tasks.Load() // passes a nanosecond
		}
		_, _ = c.wire.Write([]byte{finPong, 0})
		settles(t, func() bool { return sent.Load() == i+1 })
	}
	settles(t, func() bool { return c.tasks.Load() == 0 })
}

// Of all that many goroutines ask for, all is done.
func TestTasksOfMany(t *testing.T) {
	c, sent := countedConn(t)
	for round := range int64(2000) {
		var asking sync.WaitGroup
		for range maxPongs {
			asking.Go(func() { _, _ = c.wire.Write([]byte{finPong, 0}) })
		}
		asking.Wait()
		settles(t, func() bool { return sent.Load() == (round+1)*maxPongs })
	}
	settles(t, func() bool { return c.tasks.Load() == 0 })
}

// settles waits for what other goroutines are about to do, without a pause that
// would let them get there first.
func settles(t *testing.T, done func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for i := 1; !done(); i++ {
		if i%1000 == 0 {
			runtime.Gosched()
			require.True(t, time.Now().Before(end), "a task was not done")
		}
	}
}
