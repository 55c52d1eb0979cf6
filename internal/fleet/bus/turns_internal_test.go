package bus

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// come has somebody come from a network, and say nothing if he is silent. The channel has whether it is his turn.
func come(t *testing.T, all *turns, network int, silent bool) (*visit, <-chan bool) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	v := &visit{conn: &arrival{
		Conn: near, gone: make(chan struct{}), turn: make(chan struct{}), from: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(network), 1}), 32),
	}}
	his := make(chan bool, 1)
	go func() {
		is := all.begin(v)
		if is && silent {
			_, _ = v.conn.Read(make([]byte, 1))
			all.end(v)
		}
		his <- is
	}()
	return v, his
}

// waiting waits until so many wait.
func waiting(t *testing.T, all *turns, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.waiting) == n
	}, time.Minute, time.Millisecond)
}

func turn(t *testing.T, his <-chan bool) {
	t.Helper()
	select {
	case is := <-his:
		require.True(t, is)
	case <-time.After(time.Minute):
		require.Fail(t, "it never is his turn")
	}
}

// Whom the bus is busy with isn't sent away, however many come: the newest of the others is next, and one network has its
// share only.
func TestTurns(t *testing.T) {
	all := &turns{}
	var busy []*visit
	for range maxBegunOf {
		v, his := come(t, all, 1, false)
		turn(t, his)
		busy = append(busy, v)
	}
	var queue []<-chan bool
	var visits []*visit
	for n := range 3 {
		v, his := come(t, all, 1, false)
		waiting(t, all, n+1)
		queue, visits = append(queue, his), append(visits, v)
	}
	_, other := come(t, all, 2, false)
	turn(t, other)
	all.end(busy[0])
	turn(t, queue[2])
	require.NoError(t, visits[1].conn.Close()) // who gives up has no turn
	assert.False(t, <-queue[1])
	all.end(visits[1])
	all.end(busy[1])
	turn(t, queue[0])
	for i, v := range busy[2:] {
		select {
		case <-v.conn.gone:
			require.Fail(t, "sent away in the middle of it", "%d", i)
		default:
		}
	}
}

// Who says nothing when it is his turn makes room for who waits.
func TestTurnsOfSilentOnes(t *testing.T) {
	all := &turns{}
	for network := range maxBegun / maxBegunOf {
		for range maxBegunOf {
			come(t, all, network, true)
		}
	}
	require.Eventually(t, func() bool {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.begun) == maxBegun
	}, time.Minute, time.Millisecond)
	for n := range 3 {
		_, his := come(t, all, 100+n, false)
		turn(t, his)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	assert.Len(t, all.begun, maxBegun, fmt.Sprint(len(all.waiting), " wait"))
}

// Who says a little now and then is no better, and many of a few networks keep out nobody of another.
func TestTurnsOfThoseWhoDrip(t *testing.T) {
	all := &turns{}
	drip := func(network int) {
		near, far := net.Pipe()
		t.Cleanup(func() { _, _ = near.Close(), far.Close() })
		v := &visit{conn: &arrival{
			Conn: near, gone: make(chan struct{}), turn: make(chan struct{}), from: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(network), 1}), 32),
		}}
		go func() {
			for {
				time.Sleep(100 * time.Millisecond)
				if _, err := far.Write([]byte{0}); err != nil {
					return
				}
			}
		}()
		go func() {
			defer all.end(v)
			if !all.begin(v) {
				return
			}
			for {
				if _, err := v.conn.Read(make([]byte, 1)); err != nil {
					return
				}
			}
		}()
	}
	for network := range maxBegun / maxBegunOf {
		for range 2 * maxBegunOf { // as many again wait for a free turn
			drip(network)
		}
	}
	require.Eventually(t, func() bool {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.begun) == maxBegun && len(all.waiting) == maxBegun
	}, time.Minute, time.Millisecond)
	for n := range 3 {
		_, his := come(t, all, 100+n, false)
		turn(t, his)
	}
}
