package e2e

import (
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A cable is what is between a viewer and its port, and can be cut.
type cable struct {
	t    *testing.T
	port int // where it begins

	mu    sync.Mutex
	conns []*net.TCPConn
}

// newCable lays a cable to a port, until the test ends.
func newCable(t *testing.T, port int) *cable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{t: t, port: ln.Addr().(*net.TCPAddr).Port}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				near.Close()
				continue
			}
			c.join(&all, near.(*net.TCPConn), far.(*net.TCPConn))
		}
	})
	t.Cleanup(func() { ln.Close(); c.cut(); all.Wait() })
	return c
}

func (c *cable) join(all *sync.WaitGroup, ends ...*net.TCPConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, ends...)
	for i := range ends {
		all.Go(func() {
			_, _ = io.Copy(ends[i], ends[1-i])
			ends[i].Close()
			ends[1-i].Close()
		})
	}
}

// cut breaks every connection, without a word of goodbye.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.SetLinger(0)
		conn.Close()
	}
	c.conns = nil
}

// url is a granted one through the cable.
func (c *cable) url(granted string) string {
	u, err := url.Parse(granted)
	require.NoError(c.t, err)
	u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(c.port))
	return u.String()
}

// dialFrom connects to a port of this host from one of its addresses.
func dialFrom(t *testing.T, from string, port int) (net.Conn, error) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}
