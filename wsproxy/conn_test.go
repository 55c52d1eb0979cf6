package wsproxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"vda.internal/shadow/wsproxy"
)

// A lent is the viewer of a relay, lent to the test until it is closed.
type lent struct {
	net.Conn
	back chan struct{}
}

func (l lent) Close() error {
	err := l.Conn.Close()
	select {
	case <-l.back:
	default:
		close(l.back)
	}
	return err
}

// A client is a raw that closes as a browser does.
type client struct{ *raw }

func (c client) Close() error {
	_, _ = c.writeFrame(fin|opClose, nil)
	return c.SetDeadline(time.Unix(1, 0))
}

// lend is a Handler that gives its viewers to the test.
func lend() (*wsproxy.Handler, <-chan lent) {
	viewers := make(chan lent, 1)
	return &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
		l := lent{viewer, make(chan struct{})}
		viewers <- l
		<-l.back
		return nil
	})}, viewers
}

func TestViewerIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		h, viewers := lend()
		r := newRig(t, h)
		c := r.dialRaw()
		viewer := receive(t, viewers)
		return viewer, client{c}, func() {
			viewer.Close()
			c.Close()
			r.record()
		}, nil
	})
}

func TestWriteDeadlineInMidFrame(t *testing.T) {
	h, viewers := lend()
	r := newRig(t, h, narrow)
	r.readBuffer = 8 << 10
	c := r.dialRaw()
	viewer := receive(t, viewers)
	defer viewer.Close()
	// Fill the connection; the deadline surely expires within a frame.
	sent := make([]byte, 0, 64<<20)
	for {
		require.NoError(t, viewer.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		p := pattern(rand.IntN(200_000) + 70_000)
		n, err := viewer.Write(p)
		sent = append(sent, p[:n]...)
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.LessOrEqual(t, n, len(p))
			break
		}
	}
	n, err := viewer.Write([]byte("still expired"))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, n)
	// Moved, the deadline lets the rest of the frame and more pass.
	require.NoError(t, viewer.SetWriteDeadline(time.Time{}))
	go func() { _, _ = viewer.Write([]byte("the end")) }()
	sent = append(sent, "the end"...)
	got := make([]byte, len(sent))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got))
}

func TestCloseEndsABlockedWrite(t *testing.T) {
	h, viewers := lend()
	r := newRig(t, h, narrow)
	c := r.dialRaw()
	viewer := receive(t, viewers)
	end := make(chan error, 1)
	go func() {
		_, err := io.Copy(viewer, zeros{})
		end <- err
	}()
	_, err := c.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, viewer.Conn.Close()) // the relay hasn't returned
	assert.ErrorIs(t, receive(t, end), net.ErrClosed)
	assert.ErrorIs(t, viewer.Conn.Close(), net.ErrClosed)
	viewer.Close()
	c.wantClose(1000, "") // behind whole frames
	r.record()
}

func TestReadDeadlineExpiresAndIsMoved(t *testing.T) {
	h, viewers := lend()
	c := newRig(t, h).dialRaw()
	viewer := receive(t, viewers)
	defer viewer.Close()
	b := make([]byte, 5)
	whole := frame(fin|opBinary, []byte("hello"))
	c.write(whole[:3]) // within a header
	require.NoError(t, viewer.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := viewer.Read(b)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	c.write(whole[3:8]) // within the payload
	require.NoError(t, viewer.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(viewer, b[:2])
	require.NoError(t, err, "a frame is passed on as it comes")
	require.NoError(t, viewer.SetReadDeadline(time.Now().Add(-1)))
	_, err = viewer.Read(b)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, viewer.SetReadDeadline(time.Time{}))
	c.write(whole[8:])
	_, err = io.ReadFull(viewer, b[2:])
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
}

// send writes total random bytes in messages and writes of random sizes and
// returns their hash.
func send(w io.Writer, total int, seed uint64) ([32]byte, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	h, buf := sha256.New(), make([]byte, 300_000)
	for total > 0 {
		size := 1 + random.IntN(len(buf))
		if random.IntN(2) == 0 {
			size = 1 + random.IntN(200)
		}
		p := buf[:min(size, total)]
		for i := 0; i < len(p); i += 97 {
			p[i] = byte(random.Uint32())
		}
		h.Write(p)
		if _, err := w.Write(p); err != nil {
			return [32]byte{}, err
		}
		total -= len(p)
	}
	return [32]byte(h.Sum(nil)), nil
}

// hashOf reads total bytes in reads of random sizes.
func hashOf(r io.Reader, total int, seed uint64) ([32]byte, error) {
	random := rand.New(rand.NewPCG(seed, 1))
	h, buf := sha256.New(), make([]byte, 100_000)
	for total > 0 {
		n, err := r.Read(buf[:min(1+random.IntN(len(buf)), total)])
		h.Write(buf[:n])
		total -= n
		if err != nil && total > 0 {
			return [32]byte{}, fmt.Errorf("%w, with %d bytes to come", err, total)
		}
	}
	return [32]byte(h.Sum(nil)), nil
}

func TestBytesArriveUnchangedBothWays(t *testing.T) {
	const total = 3 << 20
	passing := relayFunc(func(_ context.Context, viewer, target net.Conn) error {
		up := make(chan error, 1)
		go func() {
			_, err := io.Copy(target, struct{ io.Reader }{viewer})
			up <- err
		}()
		_, err := io.Copy(struct{ io.Writer }{viewer}, target)
		target.Close()
		<-up
		return err
	})
	for name, tc := range map[string]struct {
		relay  wsproxy.Relay
		change func(*httptest.Server)
		dial   func(dialFunc) dialFunc
	}{
		"a target that is no socket": {nil, listening, wrapTarget},
		"and gathered":               {nil, gathering, wrapTarget},
		"ws":                         {nil, func(*httptest.Server) {}, nil},
		"ws with relay":              {passing, func(*httptest.Server) {}, nil},
		"wss":                        {nil, func(s *httptest.Server) { s.TLS = noTickets() }, nil},
		"wss with relay":             {passing, func(s *httptest.Server) { s.TLS = noTickets() }, nil},
		"gathered":                   {nil, gathering, nil},
		"gathered with relay":        {passing, gathering, nil},
		"ws with a Listener":         {nil, listening, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dial, targets := dialTo(t)
			if tc.dial != nil {
				dial = tc.dial(dial)
			}
			r := newRig(t, &wsproxy.Handler{Dial: dial, Relay: tc.relay, PingInterval: time.Millisecond, PongTimeout: patience}, tc.change)
			c := r.dialRaw()
			target := receive(t, targets)
			type result struct {
				way  string
				hash [32]byte
				err  error
			}
			results := make(chan result, 4)
			run := func(way string, f func() ([32]byte, error)) {
				go func() {
					h, err := f()
					results <- result{way, h, err}
				}()
			}
			run("up", func() ([32]byte, error) { return send(c, total, 1) })
			run("up", func() ([32]byte, error) { return hashOf(target, total, 2) })
			run("down", func() ([32]byte, error) { return send(target, total, 3) })
			run("down", func() ([32]byte, error) { return hashOf(c, total, 4) })
			hashes := map[string][32]byte{}
			for range 4 {
				got := receive(t, results)
				if got.err != nil {
					c.Close()
					target.Close()
					require.NoError(t, got.err, "%s: %+v", got.way, r.record())
				}
				if h, ok := hashes[got.way]; ok {
					assert.Equal(t, h, got.hash, got.way)
				}
				hashes[got.way] = got.hash
			}
			_, _ = c.writeFrame(fin|opClose, []byte{3, 232})
			_, err := io.Copy(io.Discard, c)
			require.NoError(t, err)
			target.Close()
			record := r.record()
			assert.Equal(t, 1000, record.Code)
			assert.EqualValues(t, total, record.Sent)
			assert.EqualValues(t, total, record.Received)
		})
	}
}

type dialFunc = func(context.Context, *http.Request) (net.Conn, error)

// wrapTarget makes targets of which nobody knows that they are sockets.
func wrapTarget(dial dialFunc) dialFunc {
	return func(ctx context.Context, r *http.Request) (net.Conn, error) {
		c, err := dial(ctx, r)
		return struct{ net.Conn }{c}, err
	}
}

func TestManySessionsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}})
	const sessions = 20
	done := make(chan error, sessions)
	for i := range sessions {
		c := r.dialRaw()
		go func() {
			done <- func() error {
				sent := make(chan [32]byte, 1)
				go func() {
					h, err := send(c, 1<<20, uint64(i))
					if err == nil {
						sent <- h
					}
				}()
				got, err := hashOf(c, 1<<20, uint64(i))
				if err == nil && got != <-sent {
					err = io.ErrNoProgress
				}
				if i%2 == 0 {
					_, _ = c.writeFrame(fin|opClose, nil)
				} else {
					c.Close()
				}
				return err
			}()
		}()
	}
	for range sessions {
		assert.NoError(t, receive(t, done))
	}
	for range sessions {
		assert.EqualValues(t, 1<<20, r.record().Sent)
	}
}
