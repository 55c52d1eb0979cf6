package wsproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

// listening puts a Listener under a server.
func listening(s *httptest.Server) { s.Listener = &wsproxy.Listener{Listener: s.Listener} }

// gathering is TLS over a Listener.
func gathering(s *httptest.Server) {
	listening(s)
	s.TLS = noTickets()
}

// A counting listener's connections count what is written to them.
type counting struct {
	net.Listener
	writes, bytes *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l}, nil
}

type countingConn struct {
	net.Conn
	l counting
}

func (c countingConn) Write(p []byte) (int, error) {
	c.l.writes.Add(1)
	c.l.bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}

func TestTLSRecordsAreGathered(t *testing.T) {
	for name, gather := range map[string]bool{"with a Listener": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			var writes, written atomic.Int64
			begin := make(chan struct{})
			r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
				<-begin
				_, err := viewer.Write(pattern(10 * 64 << 10))
				return err
			})}, func(s *httptest.Server) {
				s.Listener = counting{s.Listener, &writes, &written}
				if gather {
					listening(s)
				}
				s.TLS = noTickets()
			})
			c := r.dialRaw()
			before := writes.Load()
			close(begin)
			got := make([]byte, 10*64<<10)
			_, err := io.ReadFull(c, got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(pattern(10*64<<10), got))
			n := writes.Load() - before
			_, _ = c.writeFrame(fin|opClose, nil)
			_, _ = io.Copy(io.Discard, c.conn)
			r.record()
			if gather {
				assert.LessOrEqual(t, n, int64(10+1), "one for each message, and the close frame")
			} else {
				assert.Greater(t, n, int64(30), "crypto/tls writes each record")
			}
		})
	}
}

// What a TLS connection has begun to send gets through, however late: nothing
// of what is sealed may be lost.
func TestWriteDeadlineInMidRecord(t *testing.T) {
	h, viewers := lend()
	r := newRig(t, h, gathering, narrow)
	r.readBuffer = 8 << 10
	c := r.dialRaw()
	viewer := receive(t, viewers)
	defer viewer.Close()
	var sent []byte
	for {
		require.NoError(t, viewer.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		p := pattern(150_000)
		n, err := viewer.Write(p)
		sent = append(sent, p[:n]...)
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			break
		}
	}
	require.NoError(t, viewer.SetWriteDeadline(time.Time{}))
	go func() { _, _ = viewer.Write([]byte("the end")) }()
	sent = append(sent, "the end"...)
	got := make([]byte, len(sent))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got))
}

// proxyHello is what a proxy says of 192.0.2.1:4711 before anything else.
const (
	proxyOne = "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"
	proxyTwo = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x01\xc6\x33\x64\x01\x12\x67\x01\xbb\x04\x00\x00" // and a TLV
)

func TestProxyProtocolIn(t *testing.T) {
	for name, tc := range map[string]struct {
		hello, remote, local string // addresses; empty: the connection's
		fails                bool
	}{
		"version 1":            {proxyOne, "192.0.2.1:4711", "198.51.100.1:443", false},
		"version 2":            {proxyTwo, "192.0.2.1:4711", "198.51.100.1:443", false},
		"version 1, IPv6":      {"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "[2001:db8::1]:1", "[2001:db8::2]:2", false},
		"version 1, unknown":   {"PROXY UNKNOWN\r\n", "", "", false},
		"version 1, unknown 2": {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "", "", false},
		"version 2, local":     {"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "", "", false},
		"version 2, unix":      {"\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + strings.Repeat("x", 0xd8), "", "", false},
		"none":                 {"", "", "", true},
		"half":                 {proxyOne[:20] + "\r\n", "", "", true},
		"ports":                {"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443443\r\n", "", "", true},
		"endless":              {"PROXY TCP4 " + strings.Repeat("1", 200), "", "", true},
		"version 3":            {"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00", "", "", true},
		"too few bytes":        {"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x04abcd", "", "", true},
		"too many":             {"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			addresses := make(chan [2]string, 1)
			h := &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
				addresses <- [2]string{viewer.RemoteAddr().String(), viewer.LocalAddr().String()}
				return nil
			})}
			r := newRig(t, h, func(s *httptest.Server) {
				s.Listener = &wsproxy.Listener{Listener: s.Listener, ProxyProtocol: wsproxy.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
			})
			nc, err := net.Dial("tcp", r.addr)
			require.NoError(t, err)
			defer nc.Close()
			_, err = io.WriteString(nc, tc.hello+handshake(r.addr))
			require.NoError(t, err)
			require.NoError(t, nc.SetReadDeadline(time.Now().Add(patience)))
			br := bufio.NewReader(nc)
			resp, err := http.ReadResponse(br, nil)
			if tc.fails {
				assert.True(t, err != nil || resp.StatusCode == http.StatusBadRequest, "the connection isn't served")
				return
			}
			require.NoError(t, err)
			require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
			got := receive(t, addresses)
			if tc.remote == "" {
				tc.remote, tc.local = nc.LocalAddr().String(), nc.RemoteAddr().String()
			}
			assert.Equal(t, [2]string{tc.remote, tc.local}, got)
			_, _ = nc.Write(frame(fin|opClose, nil))
			_, _ = io.Copy(io.Discard, br)
			assert.Equal(t, tc.remote, r.record().Remote)
		})
	}
}

// Only the named proxies are believed.
func TestProxyProtocolOfStrangers(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial}, func(s *httptest.Server) {
		s.Listener = &wsproxy.Listener{Listener: s.Listener, ProxyProtocol: wsproxy.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	})
	assert.Equal(t, http.StatusBadRequest, r.send(proxyOne+handshake(r.addr)).resp.StatusCode)
}

// A proxy that says nothing holds up neither others nor its connection for long.
func TestProxyProtocolThatDoesNotCome(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &wsproxy.Listener{Listener: inner, ProxyProtocol: wsproxy.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	defer l.Close()
	silent, err := net.Dial("tcp", inner.Addr().String())
	require.NoError(t, err)
	defer silent.Close()
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	within(t, patience, "a silent proxy", func() {
		_, err = c.Read(make([]byte, 1))
		assert.Error(t, err)
	})
	assert.Equal(t, silent.LocalAddr(), c.RemoteAddr(), "known, if not who is behind it")
}

// A connection of a Listener is as good as the one in it.
func TestListenerKeepsWhatConnectionsCan(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &wsproxy.Listener{Listener: inner}
	defer l.Close()
	client, err := net.Dial("tcp", inner.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()

	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer file.Close()
	_, err = file.WriteString("sent by sendfile")
	require.NoError(t, err)
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	_, err = io.Copy(c, file)
	require.NoError(t, err)
	require.Implements(t, (*syscall.Conn)(nil), c)
	_, err = c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	assert.Equal(t, "sent by sendfile", string(got))

	near, _ := net.Pipe()
	defer near.Close()
	piped := &wsproxy.Listener{Listener: &one{near}}
	c, err = piped.Accept()
	require.NoError(t, err)
	assert.ErrorIs(t, c.(interface{ CloseWrite() error }).CloseWrite(), errors.ErrUnsupported)
}

// A one is a listener with one connection.
type one struct{ c net.Conn }

func (o *one) Accept() (net.Conn, error) { return o.c, nil }
func (o *one) Close() error              { return nil }
func (o *one) Addr() net.Addr            { return o.c.LocalAddr() }

// A TLS connection over a Listener ends with TLS's own goodbye.
func TestCloseNotifyComesThrough(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}}, gathering)
	c := r.dialRaw()
	c.closeWith(1000, "")
	c.wantEcho(1000, "") // io.EOF from crypto/tls means that close_notify came
	require.IsType(t, (*tls.Conn)(nil), c.conn)
	r.record()
}

func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{proxyOne, proxyTwo, "PROXY UNKNOWN\r\n", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "GET / HTTP/1.1\r\n\r\n"} {
		f.Add([]byte(seed + "what follows"))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := bytes.NewReader(input)
		src, dst, err := wsproxy.ReadProxyHeader(r)
		read := input[:len(input)-r.Len()]
		if err != nil {
			assert.Nil(t, src)
			assert.Nil(t, dst)
			return
		}
		assert.Equal(t, src == nil, dst == nil)
		// The same header cut anywhere is none, and nothing behind it is read.
		_, _, err = wsproxy.ReadProxyHeader(bytes.NewReader(read[:len(read)-1]))
		assert.Error(t, err)
		// What we send of these addresses says the same.
		if src == nil {
			return
		}
		a, b := src.(*net.TCPAddr).AddrPort(), dst.(*net.TCPAddr).AddrPort()
		if a.Addr().Zone() != "" || b.Addr().Zone() != "" {
			return
		}
		for version := 1; version <= 2; version++ {
			header, err := wsproxy.ProxyHeader(version, a, b)
			require.NoError(t, err)
			src2, dst2, err := wsproxy.ReadProxyHeader(bytes.NewReader(header))
			require.NoError(t, err)
			assert.True(t, src2.(*net.TCPAddr).IP.Equal(a.Addr().AsSlice()), "%v %v", src2, a)
			assert.True(t, dst2.(*net.TCPAddr).IP.Equal(b.Addr().AsSlice()))
			assert.Equal(t, a.Port(), src2.(*net.TCPAddr).AddrPort().Port())
		}
	})
}
