package gate_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/rfc6455"
)

// A fountain is a host whose views send as much as is taken, or echo what comes.
type fountain struct {
	address net.Addr
}

func newFountain(t testing.TB, serve func(net.Conn)) *fountain {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReaderSize(c, 4096))
				if err != nil {
					return
				}
				key := r.Header.Get("Sec-WebSocket-Key")
				_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: binary\r\n\r\n", rfc6455.Accept(key))
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return &fountain{address: ln.Addr()}
}

func (f *fountain) Name() string { return "f" }
func (f *fountain) Sessions(context.Context) ([]api.Session, error) {
	return []api.Session{{ID: "s1", User: "ann", Type: "x11", Shadowable: true}}, nil
}
func (f *fountain) Shadows(context.Context) ([]api.Status, error) { return nil, nil }
func (f *fountain) Rules(context.Context) ([]api.Rule, error)     { return nil, nil }
func (f *fountain) Terms(context.Context) (api.Terms, error)      { return api.Terms{}, nil }
func (f *fountain) TestRules(context.Context, api.Request) (*api.Verdict, error) {
	return &api.Verdict{}, nil
}
func (f *fountain) Stop(context.Context, string) error           { return nil }
func (f *fountain) Follow(context.Context) (hosts.Stream, error) { return nil, errors.New("none") }
func (f *fountain) Ask(context.Context, api.Request) (*api.Grant, error) {
	a := f.address.(*net.TCPAddr)
	return &api.Grant{ID: fmt.Sprint("v", time.Now().UnixNano()), Session: "s1", Admin: "alice", Scheme: "ws", Host: "127.0.0.1", Port: a.Port, Token: "t"}, nil
}
func (f *fountain) Dial(context.Context, hosts.Target) (net.Conn, error) {
	return net.Dial("tcp", f.address.String())
}

// rawView is a browser's connection to a view, behind the handshake.
func rawView(t testing.TB, g *testgate.Gate, c *testgate.Client, id string) net.Conn {
	conn, err := net.Dial("tcp", g.Address())
	require.NoError(t, err)
	var cookies []string
	for _, one := range c.Cookies() {
		cookies = append(cookies, one.Name+"="+one.Value)
	}
	origin := g.URL
	_, err = fmt.Fprintf(conn, "GET /view/%s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nCookie: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n",
		id, g.Address(), origin, strings.Join(cookies, "; "))
	require.NoError(t, err)
	line := make([]byte, 0, 512)
	for b := make([]byte, 1); !strings.HasSuffix(string(line), "\r\n\r\n"); {
		_, err := io.ReadFull(conn, b)
		require.NoError(t, err)
		line = append(line, b...)
	}
	require.Contains(t, string(line), " 101 ", "%s", line)
	return conn
}

// BenchmarkBulk is what the gate carries, beside the host's own connection.
func BenchmarkBulk(b *testing.B) {
	const chunk = 256 << 10
	block := make([]byte, chunk)
	f := newFountain(b, func(c net.Conn) {
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	take := func(b *testing.B, c net.Conn) {
		defer c.Close()
		buf := make([]byte, chunk)
		b.SetBytes(chunk)
		b.ResetTimer()
		for range b.N {
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) {
		c, err := f.Dial(b.Context(), hosts.Target{})
		require.NoError(b, err)
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: x\r\n\r\n")
		require.NoError(b, err)
		take(b, c)
	})
	b.Run("gate", func(b *testing.B) {
		g := testgate.New(b, nil, testgate.Options{Hosts: []hosts.Host{f}})
		c := g.SignIn("alice")
		take(b, rawView(b, g, c, c.Ask("s1").ID))
	})
}

// BenchmarkEcho is what the gate adds to the way there and back.
func BenchmarkEcho(b *testing.B) {
	f := newFountain(b, func(c net.Conn) { _, _ = io.Copy(c, c) })
	ping := func(b *testing.B, c net.Conn) {
		defer c.Close()
		buf := []byte{0x82, 0x84, 0, 0, 0, 0, 1, 2, 3, 4} // one masked frame
		b.ResetTimer()
		for range b.N {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, len(buf))); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) {
		c, err := f.Dial(b.Context(), hosts.Target{})
		require.NoError(b, err)
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: x\r\n\r\n")
		require.NoError(b, err)
		head := bufio.NewReader(io.LimitReader(c, int64(len("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")+28+len("\r\nSec-WebSocket-Protocol: binary\r\n\r\n"))))
		_, err = io.Copy(io.Discard, head)
		require.NoError(b, err)
		ping(b, c)
	})
	b.Run("gate", func(b *testing.B) {
		g := testgate.New(b, nil, testgate.Options{Hosts: []hosts.Host{f}})
		c := g.SignIn("alice")
		ping(b, rawView(b, g, c, c.Ask("s1").ID))
	})
}
