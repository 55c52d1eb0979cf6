package wsproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/wsproxy"
)

func TestMain(m *testing.M) {
	// What is parallel here waits, it doesn't compute.
	_ = flag.Set("test.parallel", "16")
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test.
const patience = testenv.Patience

// A rig is a Handler behind an HTTP server on loopback.
type rig struct {
	t       *testing.T
	h       *wsproxy.Handler
	server  *httptest.Server
	addr    string
	records chan wsproxy.Record
	rejects chan error

	readBuffer int // of clients' sockets; 0: the system's
}

// newRig serves h, whose hooks it sets.
func newRig(t *testing.T, h *wsproxy.Handler, change ...func(*httptest.Server)) *rig {
	t.Helper()
	r := &rig{t: t, h: h, records: make(chan wsproxy.Record, 64), rejects: make(chan error, 64)}
	if h.PingInterval == 0 { // however long the test takes
		h.PingInterval = -1
	}
	h.OnEnd = func(record wsproxy.Record) { r.records <- record }
	h.OnReject = func(_ *http.Request, err error) { r.rejects <- err }
	r.server = httptest.NewUnstartedServer(h)
	for _, f := range change {
		f(r.server)
	}
	if r.server.TLS != nil {
		r.server.StartTLS()
	} else {
		r.server.Start()
	}
	r.addr = r.server.Listener.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		assert.NoError(t, h.Shutdown(ctx))
		r.server.Close()
	})
	return r
}

// record waits for the record of a session's end.
func (r *rig) record() wsproxy.Record {
	r.t.Helper()
	return receive(r.t, r.records)
}

// receive waits for a value.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came in time")
		panic("unreachable")
	}
}

// within fails the test if f takes too long.
func within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		require.FailNow(t, what+" takes too long")
	}
}

// dialTo is a Dial that gives every session the target's end of a fresh TCP
// connection, and the other end to the test.
func dialTo(t *testing.T) (dial func(context.Context, *http.Request) (net.Conn, error), targets <-chan *net.TCPConn) {
	c := make(chan *net.TCPConn, 64)
	return func(context.Context, *http.Request) (net.Conn, error) {
		near, far := tcpPair(t)
		c <- far
		return near, nil
	}, c
}

// tcpPair is two ends of a TCP connection on loopback.
func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	n, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	f, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { n.Close(); f.Close() })
	return n.(*net.TCPConn), f.(*net.TCPConn)
}

// noTickets is a TLS configuration for a server, whose handshake leaves
// nothing to be read.
func noTickets() *tls.Config { return &tls.Config{SessionTicketsDisabled: true} }

// echo is a Relay that sends everything back. It ends with the viewer.
type echo struct{}

func (echo) Run(_ context.Context, viewer, _ net.Conn) error {
	_, err := io.Copy(struct{ io.Writer }{viewer}, struct{ io.Reader }{viewer})
	return err
}

// relayFunc is a function as a Relay.
type relayFunc func(ctx context.Context, viewer, target net.Conn) error

func (f relayFunc) Run(ctx context.Context, viewer, target net.Conn) error {
	return f(ctx, viewer, target)
}

// pipeDial is a Dial for sessions whose target doesn't matter.
func pipeDial(context.Context, *http.Request) (net.Conn, error) {
	near, _ := net.Pipe()
	return near, nil
}

// Opcodes, and what a frame's first byte has besides.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
	fin            = 0x80
)

// A raw is a WebSocket client that does exactly what it is told. As an
// io.ReadWriter it is the stream, and then it answers pings.
type raw struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	resp *http.Response

	wmu     sync.Mutex
	goodbye bool   // a close frame was sent; nothing may follow
	rest    []byte // of the frame that is being read
}

// dialRaw opens a session with these additional header lines.
func (r *rig) dialRaw(headers ...string) *raw {
	r.t.Helper()
	c := r.connect(headers...)
	require.Equal(r.t, http.StatusSwitchingProtocols, c.resp.StatusCode)
	return c
}

// handshake is a proper one.
func handshake(host string, headers ...string) string {
	s := "GET /websockify?token=secret HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, h := range headers {
		s += h + "\r\n"
	}
	return s + "\r\n"
}

func (r *rig) connect(headers ...string) *raw {
	r.t.Helper()
	return r.send(handshake(r.addr, headers...))
}

// send sends a request and reads the response's head.
func (r *rig) send(request string) *raw {
	r.t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, s syscall.RawConn) error {
		if r.readBuffer == 0 {
			return nil
		}
		return s.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, r.readBuffer)
		})
	}}
	nc, err := dialer.Dial("tcp", r.addr)
	require.NoError(r.t, err)
	if r.server.TLS != nil {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	r.t.Cleanup(func() { nc.Close() })
	_, err = io.WriteString(nc, request)
	require.NoError(r.t, err)
	c := &raw{t: r.t, conn: nc, r: bufio.NewReader(nc)}
	require.NoError(r.t, nc.SetReadDeadline(time.Now().Add(patience)))
	c.resp, err = http.ReadResponse(c.r, nil)
	require.NoError(r.t, err)
	return c
}

// upgradeQuietly performs the handshakes on c.conn, and fails no test.
func (c *raw) upgradeQuietly(r *rig) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if r.server.TLS != nil {
		c.conn = tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := io.WriteString(c.conn, handshake(r.addr)); err != nil {
		return err
	}
	c.r = bufio.NewReader(c.conn)
	resp, err := http.ReadResponse(c.r, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(resp.Status)
	}
	return err
}

// frame makes a masked frame.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, key[:]...)
	for i, x := range payload {
		b = append(b, x^key[i%4])
	}
	return b
}

// write sends bytes as they are.
func (c *raw) write(b []byte) {
	c.t.Helper()
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, err := c.conn.Write(b)
	require.NoError(c.t, err)
}

// frame sends a masked frame.
func (c *raw) frame(first byte, payload []byte) {
	c.t.Helper()
	c.write(frame(first, payload))
}

// closeWith sends a close frame.
func (c *raw) closeWith(code int, reason string) {
	c.t.Helper()
	c.frame(fin|opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// head reads a frame's header, which must be what a server sends.
func (c *raw) head() (first byte, size int, err error) {
	var b [8]byte
	if _, err := io.ReadFull(c.r, b[:2]); err != nil {
		return 0, 0, err
	}
	first, size = b[0], int(b[1])
	if first&0x70 != 0 || size&0x80 != 0 || first&fin == 0 {
		return 0, 0, fmt.Errorf("frame % x: masked, fragmented or with reserved bits", b[:2])
	}
	switch size {
	case 126:
		_, err = io.ReadFull(c.r, b[:2])
		size = int(binary.BigEndian.Uint16(b[:2]))
	case 127:
		_, err = io.ReadFull(c.r, b[:8])
		size = int(binary.BigEndian.Uint64(b[:8]))
	}
	if size > 1<<20 {
		return 0, 0, fmt.Errorf("frame of %d bytes", size)
	}
	return first, size, err
}

// next reads a frame.
func (c *raw) next() (first byte, payload []byte) {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	first, size, err := c.head()
	require.NoError(c.t, err)
	payload = make([]byte, size)
	_, err = io.ReadFull(c.r, payload)
	require.NoError(c.t, err)
	return first, payload
}

// untilClose reads up to the close frame.
func (c *raw) untilClose() (code int, reason string) {
	c.t.Helper()
	for {
		first, payload := c.next()
		if first != fin|opClose {
			continue
		}
		if len(payload) == 0 {
			code = wsproxy.StatusNoStatus
		} else {
			code, reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
		}
		return code, reason
	}
}

// wantClose demands that the session closes with that, and answers.
func (c *raw) wantClose(code int, reason string) {
	c.t.Helper()
	c.wantEcho(code, reason, frame(fin|opClose, nil)...)
}

// wantEcho demands a close frame as the last thing on the connection, and
// sends these bytes between the two.
func (c *raw) wantEcho(code int, reason string, answer ...byte) {
	c.t.Helper()
	gotCode, gotReason := c.untilClose()
	require.Equal(c.t, fmt.Sprint(code, " ", reason), fmt.Sprint(gotCode, " ", gotReason))
	if len(answer) > 0 {
		c.write(answer)
	}
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	_, err := c.r.ReadByte()
	require.ErrorIs(c.t, err, io.EOF, "something follows the close frame")
}

// Read reads the stream. A close frame is io.EOF.
func (c *raw) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		first, size, err := c.head()
		if err != nil {
			return 0, err
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(c.r, payload); err != nil {
			return 0, err
		}
		switch first {
		case fin | opBinary:
			c.rest = payload
		case fin | opPing:
			if _, err := c.writeFrame(fin|opPong, payload); err != nil {
				return 0, err
			}
		case fin | opPong:
		case fin | opClose:
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("frame with first byte %#x", first)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write sends p as one message.
func (c *raw) Write(p []byte) (int, error) { return c.writeFrame(fin|opBinary, p) }

func (c *raw) writeFrame(first byte, p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.goodbye {
		return len(p), nil
	}
	c.goodbye = first == fin|opClose
	if _, err := c.conn.Write(frame(first, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *raw) Close() error                       { return c.conn.Close() }
func (c *raw) LocalAddr() net.Addr                { return c.conn.LocalAddr() }
func (c *raw) RemoteAddr() net.Addr               { return c.conn.RemoteAddr() }
func (c *raw) SetDeadline(t time.Time) error      { return c.conn.SetDeadline(t) }
func (c *raw) SetReadDeadline(t time.Time) error  { return c.conn.SetReadDeadline(t) }
func (c *raw) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// reset ends the connection with a TCP reset.
func (c *raw) reset() {
	c.t.Helper()
	require.NoError(c.t, c.conn.(*net.TCPConn).SetLinger(0))
	require.NoError(c.t, c.conn.Close())
}

// codedError is an error of somebody else's that knows its close code.
type codedError struct {
	code int
	text string
}

func (e *codedError) Error() string  { return e.text }
func (e *codedError) CloseCode() int { return e.code }

var errPlain = errors.New("secret: 10.0.0.1 refused")
