package rfb

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pieces is an update of small rectangles as libvncserver writes it: the first
// with the update's head, the others one by one.
func pieces(n int) [][]byte {
	var rects [][]byte
	for range n {
		rects = append(rects, rectOf(Rect{0, 0, 5, 5}, EncodingRaw, zeros(100)))
	}
	whole := update(rects...)
	size := len(rects[0])
	cut := [][]byte{whole[:len(whole)-(n-1)*size]}
	for i := n - 1; i > 0; i-- {
		cut = append(cut, whole[len(whole)-i*size:len(whole)-(i-1)*size])
	}
	return cut
}

// written is one Write of the relay to the viewer, and when it came.
type written struct {
	size int
	at   time.Duration
}

// show sends pieces with pauses and returns what the viewer gets of them, in how
// many writes. An in-memory connection gives each Write to a Read of its own.
func show(t *testing.T, x *running, all [][]byte, pause time.Duration) (writes []written) {
	t.Helper()
	total := 0
	for _, p := range all {
		total += len(p)
	}
	start := time.Now()
	go func() {
		for i, p := range all {
			if i > 0 {
				time.Sleep(pause)
			}
			x.server.sends(p)
		}
	}()
	b := make([]byte, 64<<10)
	for got := 0; got < total; {
		n, err := x.viewer.Read(b)
		require.NoError(t, err)
		got += n
		writes = append(writes, written{n, time.Since(start)})
	}
	return writes
}

func TestUpdateInPiecesIsOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		for _, n := range []int{1, 2, 6} { // an in-memory connection holds one piece at a time
			writes := show(t, x, pieces(n), 100*time.Microsecond)
			assert.Len(t, writes, 1, "%d pieces", n)
			sent := time.Duration(n-1) * 100 * time.Microsecond
			assert.LessOrEqual(t, writes[0].at, sent+joinRest*time.Duration(n), "%d pieces", n)
		}
		assert.Zero(t, show(t, x, pieces(1), 0)[0].at, "what comes whole waits for nothing")
		assert.Zero(t, show(t, x, pieces(2), 0)[0].at, "nor what comes in two pieces at once")
		x.viewer.Close()
		x.server.Close()
		<-x.done
	})
}

// A server that takes its time holds back what it has sent for a moment only.
func TestUpdateThatStallsIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		writes := show(t, x, pieces(3), time.Second)
		require.Len(t, writes, 3)
		assert.Equal(t, joinTime, writes[0].at)
		assert.Equal(t, time.Second+joinTime, writes[1].at)
		assert.Equal(t, 2*time.Second, writes[2].at, "the end of an update waits for nothing")
		// And it was no end of the session.
		assert.Len(t, show(t, x, pieces(2), 0), 1)
		x.viewer.Close()
		x.server.Close()
		<-x.done
	})
}

// Much at a time isn't held back.
func TestLargePiecesAreShownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		large := update(rectOf(Rect{0, 0, 100, 100}, EncodingRaw, zeros(40000)))
		writes := show(t, x, [][]byte{large[:20000], large[20000:]}, time.Second)
		assert.Zero(t, writes[0].at)
		x.viewer.Close()
		x.server.Close()
		<-x.done
	})
}

// deafened remembers what it was told to wake for.
type deafened struct {
	net.Conn
	marks []int
}

func (d *deafened) SetReadLowat(n int) error {
	d.marks = append(d.marks, n)
	return nil
}

// A socket is told to wake nobody while a long update comes, and told otherwise
// before its end, which isn't to be missed.
func TestLongUpdateWakesSeldom(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	d := &deafened{Conn: near}
	w := &walker{}
	j := joiner{s: &session{server: &ServerConn{Conn: d}}, w: w}
	for w.rects = 20; w.rects > 0; w.rects-- {
		require.NoError(t, j.show(nil, []byte{1}, 1, false))
	}
	assert.Equal(t, []int{joinMost, 1}, d.marks)
}

// The end of an update whose rectangles aren't counted can't be seen coming, so no socket is told
// to wait for more: it would be missed.
func TestUpdateOfUnknownLengthWakes(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	d := &deafened{Conn: near}
	w := &walker{}
	j := joiner{s: &session{server: &ServerConn{Conn: d}}, w: w}
	for i := range 20 {
		w.rects = 65535 + 1 - i
		require.NoError(t, j.show(nil, []byte{1}, 1, false))
	}
	assert.Empty(t, d.marks)
}

// hung is a server's connection whose Close doesn't return, and which counts how often it is read.
type hung struct {
	net.Conn
	released chan struct{}
	spun     chan struct{} // closed when it is read far too often
	reads    atomic.Int32
}

func (h *hung) Close() error {
	<-h.released
	return h.Conn.Close()
}

func (h *hung) Read(p []byte) (int, error) {
	if h.reads.Add(1) == 100 {
		close(h.spun)
	}
	return h.Conn.Read(p)
}

// The end of a session, which sets a deadline, isn't taken for that of a piece that is held back.
func TestEndWhileAPieceIsHeldBack(t *testing.T) {
	h := &hung{released: make(chan struct{}), spun: make(chan struct{})}
	over := make(chan struct{})
	x := runThrough(t, &Relay{OnEnd: func(error) { close(over) }}, func(c net.Conn) net.Conn { h.Conn = c; return h })
	x.viewer.view(shown)
	x.server.gets(start(t))
	x.server.sends(pieces(3)[0])
	x.cancel(errors.New("over"))
	<-over
	select {
	case <-h.spun:
	case <-time.After(200 * time.Millisecond): // too short would only make the test easier
	}
	close(h.released)
	assert.ErrorContains(t, result(t, x.done), "over")
	assert.LessOrEqual(t, h.reads.Load(), int32(4))
}
