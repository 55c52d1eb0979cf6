package websockify

import (
	"io"
	"net"
	"sync"

	queues "vda.internal/shadow/internal/logs"
)

// A traffic shows what goes on, one mark an event. Nobody waits for its writer: what comes while maxMarks
// wait is left out.
type traffic struct {
	w io.Writer

	mu      sync.Mutex
	marks   []byte        // that wait for w
	written chan struct{} // closed when none are left; nil: there are none
}

const maxMarks = 64 << 10

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
	if len(t.marks)+len(marks) > maxMarks {
		return
	}
	t.marks = append(t.marks, marks...)
	if t.written == nil {
		t.written = make(chan struct{})
		go t.run()
	}
}

// run writes the marks.
func (t *traffic) run() {
	for {
		t.mu.Lock()
		marks := t.marks
		t.marks = nil
		if len(marks) == 0 {
			close(t.written)
			t.written = nil
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		_, _ = t.w.Write(marks)
	}
}

// flush waits until the marks are written, for a second at most.
func (t *traffic) flush() {
	if t == nil {
		return
	}
	t.mu.Lock()
	written := t.written
	t.mu.Unlock()
	if written != nil {
		queues.Within(queues.FlushTime, func() { <-written })
	}
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
