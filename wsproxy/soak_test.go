package wsproxy_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/wsproxy"
)

var soakFor = flag.Duration("soak", time.Second, "how long TestSoak goes on")

// TestSoak has 99 viewers at a time that come and go in every way, on plain and
// TLS connections. Nothing may be left of them: no session, goroutine,
// descriptor (pipes are two) or memory. `make soak` gives it ten minutes.
func TestSoak(t *testing.T) {
	newSoakTarget(t).stop() // the runtime opens two descriptors at the first use of the network
	before := goleak.IgnoreCurrent()
	files, memory := descriptors(t), heap()
	var came, ended atomic.Int64
	target := newSoakTarget(t)
	var servers []*rig
	for _, change := range []func(*httptest.Server){listening, gathering} {
		h := &wsproxy.Handler{
			PingInterval: 50 * time.Millisecond, PongTimeout: 2 * time.Second, WriteTimeout: 400 * time.Millisecond,
			Dial: func(ctx context.Context, _ *http.Request) (net.Conn, error) {
				came.Add(1)
				var d net.Dialer
				return d.DialContext(ctx, "tcp", target.Addr().String())
			},
		}
		r := newRig(t, h, change)
		h.OnEnd = func(wsproxy.Record) { ended.Add(1) }
		servers = append(servers, r)
	}
	end := time.Now().Add(*soakFor)
	var viewers sync.WaitGroup
	for i := range 99 {
		viewers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 12))
			for time.Now().Before(end) {
				soakViewer(servers[random.IntN(2)], random)
			}
		})
	}
	resident := make([]int, 4) // KiB, after each quarter
	viewers.Go(func() {
		for i := range resident {
			timer := time.NewTimer(*soakFor / 4)
			<-timer.C
			resident[i] = residentMemory(t)
		}
	})
	viewers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, r := range servers {
		require.NoError(t, r.h.Shutdown(ctx))
		r.server.Close()
	}
	target.stop()
	assert.Equal(t, came.Load(), ended.Load())
	goleak.VerifyNone(t, before)
	if !assert.Eventually(t, func() bool { return descriptors(t) <= files }, patience, 10*time.Millisecond) {
		t.Logf("%d descriptors", descriptors(t))
	}
	runtime.GC() // sync.Pool keeps what it has through one
	assert.Less(t, heap()-memory, int64(4<<20))
	if *soakFor >= time.Minute { // long enough for a level
		first, last := max(resident[0], resident[1]), max(resident[2], resident[3])
		assert.Less(t, last, first+first/2, "KiB: %d", resident)
	}
	t.Logf("%d sessions in %v; before and after: %d and %d descriptors, %+d KiB of heap; resident after each quarter: %d KiB",
		ended.Load(), *soakFor, files, descriptors(t), (heap()-memory)>>10, resident)
}

// soakViewer is one session, or the attempt.
func soakViewer(r *rig, random *rand.Rand) {
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		return
	}
	c := &raw{t: r.t, conn: nc}
	defer nc.Close()
	if c.upgradeQuietly(r) != nil {
		return
	}
	_ = c.SetDeadline(time.Now().Add(time.Second)) // for what never comes
	p := pattern(1 + random.IntN(100_000))
	p[0] = byte(random.IntN(4)) // tells the target what to do
	if _, err := c.Write(p); err != nil {
		return
	}
	switch random.IntN(6) {
	case 0: // properly
		_, _ = io.CopyN(io.Discard, c, int64(random.IntN(400_000)))
		_, _ = c.writeFrame(fin|opClose, closing(1000, "enough"))
		_, _ = io.Copy(io.Discard, c)
	case 1: // in the middle
		_, _ = io.CopyN(io.Discard, c, int64(random.IntN(4_000_000)))
	case 2: // in the middle of a frame
		_, _ = nc.Write(frame(fin|opBinary, p)[:random.IntN(len(p))])
	case 3: // with a reset
		_ = nc.(*net.TCPConn).SetLinger(0)
	case 4: // a stall, longer or shorter than is allowed
		timer := time.NewTimer(time.Duration(random.IntN(800)) * time.Millisecond)
		<-timer.C
	case 5: // with nonsense
		_, _ = c.Write([]byte("x"))
		_, _ = c.conn.Write([]byte{0xff, 0xff, 0xff, 0xff})
		_, _ = io.Copy(io.Discard, c)
	}
}

// A soakTarget does what a viewer's first byte says.
type soakTarget struct {
	net.Listener
	conns sync.WaitGroup
}

func newSoakTarget(t *testing.T) *soakTarget {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &soakTarget{Listener: ln}
	s.conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { soakServe(c) })
		}
	})
	return s
}

func (s *soakTarget) stop() {
	s.Close()
	s.conns.Wait()
}

func soakServe(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return
	}
	switch first[0] {
	case 0: // an echo
		_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) // not by Go's own splice, which keeps pipes
	case 1: // a flood
		_, _ = io.CopyN(c, zeros{}, 20<<20)
	case 2: // a stall
		timer := time.NewTimer(300 * time.Millisecond)
		<-timer.C
	case 3: // a reset
		_, _ = c.Write(pattern(70_000))
		_ = c.(*net.TCPConn).SetLinger(0)
	}
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(files)
}

// residentMemory is this process's, in KiB.
func residentMemory(t *testing.T) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	b, err := os.ReadFile("/proc/self/statm")
	if !assert.NoError(t, err) {
		return 0
	}
	var size, resident int
	_, err = fmt.Sscan(string(b), &size, &resident)
	assert.NoError(t, err)
	return resident * os.Getpagesize() >> 10
}
