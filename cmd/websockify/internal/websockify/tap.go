package websockify

import (
	"io"
	"net"
	"sync"
)

// A traffic shows what goes on, one mark an event.
type traffic struct {
	mu sync.Mutex
	w  io.Writer
}

const trafficLegend = `
Traffic Legend:
    }  - Client receive
    {  - Target receive

    >  - Target send
    <  - Client send
`

func (t *traffic) mark(marks string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.w, marks)
}

func (t *traffic) tap(conn net.Conn) net.Conn {
	t.mark(trafficLegend)
	return &trafficConn{Conn: conn, t: t}
}

// A trafficConn is a target's connection. What was read from it has been sent
// to the client when the next read begins.
type trafficConn struct {
	net.Conn
	t    *traffic
	read bool // something, the last time
}

func (c *trafficConn) Read(p []byte) (int, error) {
	if c.read {
		c.t.mark("<")
	}
	n, err := c.Conn.Read(p)
	if c.read = n > 0; c.read {
		c.t.mark("{")
	}
	return n, err
}

func (c *trafficConn) Write(p []byte) (int, error) {
	c.t.mark("}")
	n, err := c.Conn.Write(p)
	if err == nil {
		c.t.mark(">")
	}
	return n, err
}

// CloseWrite is for who wants to tell the target that the client is done.
func (c *trafficConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}
