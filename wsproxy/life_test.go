package wsproxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

func TestPingIsAnswered(t *testing.T) {
	for _, interval := range []time.Duration{-1, 0} { // with neither does a ping of ours come first
		r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: interval})
		c := r.dialRaw()
		c.frame(fin|opPing, []byte("payload"))
		first, payload := c.next()
		assert.Equal(t, byte(fin|opPong), first)
		assert.Equal(t, "payload", string(payload))
	}
}

func TestViewerThatNeverPongs(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: time.Millisecond, PongTimeout: 50 * time.Millisecond})
	c := r.dialRaw()
	first, _ := c.next()
	assert.Equal(t, byte(fin|opPing), first)
	c.wantClose(wsproxy.StatusStalled, "no ping answered for 50ms")
	record := r.record()
	assert.Equal(t, wsproxy.StatusStalled, record.Code)
	assert.ErrorContains(t, record.Err, "ping")
	assert.False(t, record.ByViewer)
}

// A viewer that begins a frame and sends no more of it is found out, without
// pings too; one that sends a little now and then isn't.
func TestUnfinishedFrame(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string][]byte{
		"1 TiB":             append(binary.BigEndian.AppendUint64([]byte{fin | opBinary, 0x80 | 127}, 1<<40), 1, 2, 3, 4, 5),
		"half a header":     {fin | opBinary, 0x80 | 126, 1},
		"half a ping":       frame(fin|opPing, []byte("payload"))[:9],
		"a later frame":     append(frame(fin|opBinary, []byte("first")), fin|opBinary, 0x80|5, 1, 2, 3, 4, 'x'),
		"a fragment's half": append(frame(opBinary, []byte("first")), fin|opContinuation, 0x80|5, 1, 2, 3, 4, 'x'),
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " TLS ", secure), func(t *testing.T) {
				t.Parallel()
				dial, _ := dialTo(t)
				h := &wsproxy.Handler{Dial: dial, PingInterval: -1, PongTimeout: 100 * time.Millisecond, MaxMessage: -1}
				r := newRig(t, h, func(s *httptest.Server) {
					if secure {
						s.TLS = noTickets()
					}
				})
				c := r.dialRaw()
				c.write(begin)
				c.wantClose(wsproxy.StatusStalled, "nothing of an unfinished frame for 100ms")
				record := r.record()
				assert.ErrorContains(t, record.Err, "doesn't finish a frame")
				assert.False(t, record.ByViewer)
			})
		}
	}
}

// narrow gives a server's connections small send buffers.
func narrow(s *httptest.Server) {
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = secure.NetConn()
		}
		raw, _ := c.(syscall.Conn).SyscallConn()
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4<<10) })
		return ctx
	}
}

// A flood is a Relay that writes until the viewer takes no more, says so, and
// goes on writing.
type flood struct {
	full chan int   // bytes written until then
	end  chan error // of the write after that
}

func newFlood() *flood { return &flood{make(chan int, 1), make(chan error, 1)} }

func (f *flood) Run(_ context.Context, viewer, _ net.Conn) error {
	p, sent := make([]byte, 1<<20), 0
	for {
		_ = viewer.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := viewer.Write(p)
		sent += n
		if err != nil {
			break
		}
	}
	_ = viewer.SetWriteDeadline(time.Time{})
	f.full <- sent
	var err error
	for err == nil {
		_, err = viewer.Write(p)
	}
	f.end <- err
	return err
}

func TestStalledViewer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*httptest.Server){
		"ws":                  narrow,
		"wss":                 func(s *httptest.Server) { s.TLS = noTickets(); narrow(s) },
		"wss with a Listener": func(s *httptest.Server) { gathering(s); narrow(s) },
	} {
		t.Run(name, func(t *testing.T) {
			end := make(chan error, 1)
			r := newRig(t, &wsproxy.Handler{Dial: pipeDial, WriteTimeout: 300 * time.Millisecond, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
				_, err := io.Copy(viewer, zeros{})
				end <- err
				return err
			})}, change)
			r.dialRaw()
			assert.Error(t, receive(t, end))
			record := r.record()
			assert.Equal(t, wsproxy.StatusStalled, record.Code)
			assert.Equal(t, "no data taken for 300ms", record.Reason)
			assert.False(t, record.ByViewer)
			assert.Error(t, record.Err)
			assert.GreaterOrEqual(t, record.Duration, 300*time.Millisecond, "it was given its time")
		})
	}
}

// pause makes a slow viewer.
func pause(t *testing.T, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	receive(t, timer.C)
}

func TestNothingIsQueuedForAStalledViewer(t *testing.T) {
	dial, targets := dialTo(t)
	r := newRig(t, &wsproxy.Handler{Dial: dial, WriteTimeout: time.Second}, narrow)
	c := r.dialRaw()
	target := receive(t, targets)
	before := heap()
	_, err := io.CopyN(target, zeros{}, 256<<20)
	assert.Error(t, err, "the target was never stopped")
	assert.Less(t, heap()-before, int64(1<<20))
	record := r.record()
	assert.Equal(t, wsproxy.StatusStalled, record.Code)
	assert.Less(t, record.Sent, int64(32<<20))
	_ = c
}

func TestNothingIsQueuedForAStalledTarget(t *testing.T) {
	dial, targets := dialTo(t)
	r := newRig(t, &wsproxy.Handler{Dial: dial, MaxMessage: 1 << 30})
	c := r.dialRaw()
	target := receive(t, targets)
	_ = target.SetReadBuffer(4 << 10)
	before := heap()
	p := frame(fin|opBinary, make([]byte, 1<<20))
	var err error
	for range 256 {
		_ = c.conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err = c.conn.Write(p); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the viewer was never stopped")
	assert.Less(t, heap()-before, int64(1<<20))
	c.reset()
	target.Close()
	r.record()
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// heap is the memory in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// superseding is a server whose sessions the test can end.
func superseding() (change func(*httptest.Server), end func()) {
	base, cancel := context.WithCancelCause(context.Background())
	return func(s *httptest.Server) {
			narrow(s)
			s.Config.BaseContext = func(net.Listener) context.Context { return base }
		}, func() {
			cancel(&wsproxy.CloseError{Code: wsproxy.StatusSuperseded, Reason: "superseded"})
		}
}

func TestEndWhileTheViewerReadsNothing(t *testing.T) {
	t.Parallel()
	f := newFlood()
	change, end := superseding()
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: f, WriteTimeout: patience}, change)
	r.dialRaw()
	receive(t, f.full)
	within(t, patience/2, "the end of a blocked write", func() {
		end()
		assert.Error(t, receive(t, f.end))
		record := r.record()
		assert.Equal(t, wsproxy.StatusSuperseded, record.Code)
		assert.Equal(t, "superseded", record.Reason)
		assert.NoError(t, record.Err)
	})
}

func TestEndWhileTheViewerIsSlow(t *testing.T) {
	f := newFlood()
	change, end := superseding()
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: f, WriteTimeout: patience}, change)
	c := r.dialRaw()
	receive(t, f.full)
	end()
	c.wantClose(wsproxy.StatusSuperseded, "superseded") // behind whole frames
	assert.Equal(t, wsproxy.StatusSuperseded, r.record().Code)
}

// The same with the raw copy, whose frames are in a pipe or in TLS records then.
func TestEndInMidBulk(t *testing.T) {
	for name, change := range map[string]func(*httptest.Server){
		"ws":  listening,
		"wss": gathering,
	} {
		t.Run(name, func(t *testing.T) {
			dial, targets := dialTo(t)
			slow, end := superseding()
			r := newRig(t, &wsproxy.Handler{Dial: dial, WriteTimeout: patience}, change, slow)
			r.readBuffer = 8 << 10
			c := r.dialRaw()
			target := receive(t, targets)
			sent := pattern(8 << 20)
			flooded := make(chan struct{})
			go func() {
				defer close(flooded)
				_, _ = target.Write(sent)
			}()
			got := make([]byte, 3<<20) // by now it is bulk
			_, err := io.ReadFull(c, got)
			require.NoError(t, err)
			pause(t, 50*time.Millisecond) // and now it is stuck
			end()
			rest, err := io.ReadAll(c) // up to the close frame, behind whole frames
			require.NoError(t, err)
			got = append(got, rest...)
			assert.True(t, bytes.Equal(sent[:len(got)], got))
			assert.Less(t, len(got), len(sent), "the end came first")
			_, _ = c.conn.Write(frame(fin|opClose, nil))
			record := r.record()
			assert.Equal(t, wsproxy.StatusSuperseded, record.Code)
			assert.EqualValues(t, len(got), record.Sent)
			<-flooded
		})
	}
}

func TestEndWhileTheTargetIsSilent(t *testing.T) {
	dial, targets := dialTo(t)
	change, end := superseding()
	r := newRig(t, &wsproxy.Handler{Dial: dial}, change)
	c := r.dialRaw()
	target := receive(t, targets)
	end()
	c.wantClose(wsproxy.StatusSuperseded, "superseded")
	_, err := target.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, wsproxy.StatusSuperseded, r.record().Code)
}

func TestEndWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	change, end := superseding()
	running := make(chan struct{})
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(ctx context.Context, _, _ net.Conn) error {
		close(running)
		<-ctx.Done()
		return errPlain
	})}, change)
	c := r.dialRaw()
	receive(t, running)
	end()
	within(t, patience/2, "a viewer without manners", func() {
		c.wantEcho(wsproxy.StatusSuperseded, "superseded")
		assert.Equal(t, wsproxy.StatusSuperseded, r.record().Code)
	})
}

func TestRelayThatReadsNothingLearnsOfTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(ctx context.Context, viewer, _ net.Conn) error {
		<-ctx.Done()
		return errPlain
	})})
	c := r.dialRaw()
	c.closeWith(1000, "bye")
	c.wantEcho(1000, "bye")
	record := r.record()
	assert.Equal(t, 1000, record.Code)
	assert.True(t, record.ByViewer)
	assert.NoError(t, record.Err)
}
