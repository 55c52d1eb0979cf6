package tickets

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

const patience = testenv.Patience

// office issues tickets for websockify, and has so many ports.
func office(t *testing.T, ports int) *Office {
	t.Helper()
	from := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	api, err := NewAPI("0123456789abcdef01", from)
	require.NoError(t, err)
	first := testenv.Ports(t, ports)
	o, err := New(Config{Address: netip.MustParseAddr("127.0.0.1"), First: first, Last: first + ports - 1, From: from, Valid: patience, API: api})
	require.NoError(t, err)
	t.Cleanup(o.Close)
	return o
}

// A host is where a view comes from.
type host struct {
	conn chan net.Conn // its side, once the handshake is over
	cut  chan func()
}

func newHost() *host { return &host{make(chan net.Conn, 1), make(chan func(), 1)} }

// view is one of h's.
func (h *host) view(t *testing.T, id string) View {
	return View{Key: id, ID: id, Name: "alice", Dial: func(ctx context.Context, cut func()) (net.Conn, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, err
		}
		theirs, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		_ = ln.Close()
		t.Cleanup(func() { _ = theirs.Close() })
		h.cut <- cut
		go func() {
			s := rfb.Server{Init: rfb.ServerInit{Width: 10, Height: 10}}
			if _, err := s.Accept(ctx, theirs); err == nil {
				h.conn <- theirs
			}
		}()
		return c, nil
	}}
}

// port is the one that was opened for the view.
func (o *Office) port(t *testing.T, id string) int {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Contains(t, o.ports, id)
	return o.ports[id].number
}

// visit connects as a front end does.
func visit(t *testing.T, port int, password string) (*rfb.ServerConn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	view, err := (&rfb.Client{Password: password}).Connect(ctx, c)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	t.Cleanup(func() { _ = view.Close() })
	return view, nil
}

func receive[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		require.FailNow(t, what)
	}
	return v
}

// A front end that takes nothing keeps a view's end from nobody for longer than takeTime.
func TestStuckFrontEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ours := net.Pipe()
		upstream, host := net.Pipe()
		start := time.Now()
		go func() {
			_, _ = host.Write([]byte("a picture"))
			_ = host.Close()
		}()
		carry(t.Context(), ours, upstream)
		assert.Equal(t, takeTime, time.Since(start))
	})
}

// Nor does a host that takes nothing.
func TestStuckHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front, ours := net.Pipe()
		upstream, _ := net.Pipe()
		start := time.Now()
		go func() { _, _ = front.Write([]byte("a key")) }()
		carry(t.Context(), ours, upstream)
		assert.Equal(t, takeTime, time.Since(start))
	})
}

// Sides that take what comes may be quiet for as long as they like.
func TestQuietView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front, ours := net.Pipe()
		upstream, host := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); carry(t.Context(), ours, upstream) }()
		for _, word := range []string{"one", "two"} {
			_, err := host.Write([]byte(word))
			require.NoError(t, err)
			_, err = io.ReadFull(front, make([]byte, len(word)))
			require.NoError(t, err)
			_, err = front.Write([]byte(word))
			require.NoError(t, err)
			_, err = io.ReadFull(host, make([]byte, len(word)))
			require.NoError(t, err)
			time.Sleep(10 * takeTime) // of the bubble's clock
		}
		_ = front.Close()
		<-done
		_, err := host.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
	})
}

// A view that has to end does so at once, though the front end takes nothing of what it was sent.
func TestCutWhileStuck(t *testing.T) {
	o, h := office(t, 1), newHost()
	ticket, err := o.Issue(t.Context(), Websockify, h.view(t, "v1"))
	require.NoError(t, err)
	_, err = visit(t, o.port(t, "v1"), ticket.Password)
	require.NoError(t, err)
	conn, cut := receive(t, h.conn, "the host has no viewer"), receive(t, h.cut, "nobody dialled")
	for block := make([]byte, 1<<20); err == nil; { // until the buffers of both connections are full
		require.NoError(t, conn.SetWriteDeadline(time.Now().Add(time.Second)))
		_, err = conn.Write(block)
	}
	start := time.Now()
	cut()
	require.NoError(t, conn.SetReadDeadline(start.Add(patience)))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	o.running.Wait()
	assert.Less(t, time.Since(start), takeTime/2)
}

// A void ticket opens nothing, and leaves its port to others; the connection that came of another goes on.
func TestVoid(t *testing.T) {
	o, used, unused := office(t, 2), newHost(), newHost()
	ticket, err := o.Issue(t.Context(), Websockify, used.view(t, "v1"))
	require.NoError(t, err)
	viewer, err := visit(t, o.port(t, "v1"), ticket.Password)
	require.NoError(t, err)
	conn := receive(t, used.conn, "the host has no viewer")
	_, err = o.Issue(t.Context(), Websockify, unused.view(t, "v2"))
	require.NoError(t, err)
	port := o.port(t, "v2")
	for _, view := range []string{"v1", "v2", "none"} {
		o.Void(view)
	}
	require.Eventually(t, func() bool { return o.pool.InUse() == 0 }, patience, time.Millisecond)
	_, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.Error(t, err)
	go func() { _, _ = conn.Write([]byte("x")) }()
	require.NoError(t, viewer.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(viewer, make([]byte, 1))
	require.NoError(t, err)
}

// A ticket that was used leaves its port to others while the view goes on.
func TestUsedPortIsFree(t *testing.T) {
	o, first, second := office(t, 1), newHost(), newHost()
	for id, h := range map[string]*host{"v1": first, "v2": second} {
		ticket, err := o.Issue(t.Context(), Websockify, h.view(t, id))
		require.NoError(t, err)
		_, err = visit(t, o.port(t, id), ticket.Password)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return o.pool.InUse() == 0 }, patience, time.Millisecond)
	}
	for _, h := range []*host{first, second} {
		conn := receive(t, h.conn, "the view has gone")
		require.NoError(t, conn.SetReadDeadline(time.Now()))
		_, err := conn.Read(make([]byte, 1))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout, "the view is still there")
		assert.True(t, timeout.Timeout())
	}
}

// Others at a front end's address don't void a ticket, however many wrong passwords they send.
func TestWrongPasswords(t *testing.T) {
	o, h := office(t, 1), newHost()
	ticket, err := o.Issue(t.Context(), Websockify, h.view(t, "v1"))
	require.NoError(t, err)
	port := o.port(t, "v1")
	for range 1200 {
		_, err := visit(t, port, "wrong")
		require.ErrorIs(t, err, rfb.ErrPassword)
	}
	_, err = visit(t, port, ticket.Password)
	require.NoError(t, err)
}

// Nor do those keep anybody out who connect from his address while he is on his way in.
func TestCrowdedAddress(t *testing.T) {
	o, h := office(t, 1), newHost()
	ticket, err := o.Issue(t.Context(), Websockify, h.view(t, "v1"))
	require.NoError(t, err)
	arrive := func() net.Conn {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port(t, "v1"))))
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := arrive()
	for range 50 {
		_, err := io.ReadFull(arrive(), make([]byte, 12)) // the port's greeting
		require.NoError(t, err)
	}
	view, err := (&rfb.Client{Password: ticket.Password}).Connect(t.Context(), c)
	require.NoError(t, err)
	require.NoError(t, view.Close())
}

// Passwords are what people can copy, and many.
func TestPasswords(t *testing.T) {
	seen := map[string]bool{}
	used := map[rune]bool{}
	for range 10_000 {
		p := newPassword()
		require.Len(t, p, 8)
		require.False(t, seen[p])
		seen[p] = true
		for _, c := range p {
			require.Contains(t, letters, string(c))
			used[c] = true
		}
	}
	assert.Len(t, used, len(letters))
}

// Whoever connects to a view's port and isn't let in makes a few lines of the log, however often he comes.
func TestStrangersMakeFewLines(t *testing.T) {
	for name, from := range map[string]string{"not named": "192.0.2.0/24", "named": "127.0.0.0/8"} {
		t.Run(name, func(t *testing.T) {
			o := office(t, 1)
			o.From = []netip.Prefix{netip.MustParsePrefix(from)}
			var log bytes.Buffer
			o.Logger = zerolog.New(zerolog.SyncWriter(&log))
			begun := time.Now()
			_, err := o.Issue(t.Context(), Websockify, newHost().view(t, "v1"))
			require.NoError(t, err)
			for range 100 {
				c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port(t, "v1"))))
				require.NoError(t, err)
				_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
				_, _ = io.Copy(io.Discard, c) // until it is turned away
				_ = c.Close()
			}
			o.Close()
			lines := bytes.Count(log.Bytes(), []byte("\n"))
			assert.Positive(t, lines)
			assert.LessOrEqual(t, lines, 11+int(time.Since(begun)/(10*time.Second)))
		})
	}
}
