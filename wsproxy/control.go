package wsproxy

import (
	"errors"
	"net"
	"time"
)

// The tasks of control. Each is one bit.
const (
	taskPong    = 1 << iota // a ping is to be answered
	taskBeat                // the heartbeat's timer has fired
	taskIdle                // the idleness's has
	taskBegun               // a frame is under way, and nobody looks after it
	taskFrame               // the unfinished's timer has fired
	taskGoodbye             // the end is decided

	controlling // control is at work; no task
)

// ask has control do a task, in a goroutine of its own. There is none while
// there is nothing to do: a session has time to lie idle.
func (c *conn) ask(task uint32) {
	if c.hand(task) {
		go c.control()
	}
}

// due is ask for a timer, which has a goroutine already.
func (c *conn) due(task uint32) {
	if c.hand(task) {
		c.control()
	}
}

// hand notes a task and reports whether nobody is at work on tasks. The caller
// is, then.
func (c *conn) hand(task uint32) bool { return c.tasks.Or(task|controlling)&controlling == 0 }

// control does the tasks that there are, one goroutine at a time, and returns
// when there are no more. After the goodbye, nobody comes for another.
func (c *conn) control() {
	for {
		tasks := c.tasks.Swap(controlling)
		switch {
		case tasks&taskGoodbye != 0:
			c.goodbye()
			return
		case tasks == controlling:
			if c.tasks.CompareAndSwap(controlling, 0) {
				return
			}
			continue
		}
		if err := c.do(tasks); err != nil {
			c.writeFailed(err)
		}
	}
}

// do does some tasks, and fails with the first that does.
func (c *conn) do(tasks uint32) error {
	if tasks&taskPong != 0 {
		if err := c.sendPongs(); err != nil {
			return err
		}
	}
	if tasks&taskBeat != 0 {
		if err := c.beat.beat(); err != nil {
			return err
		}
	}
	if tasks&taskIdle != 0 {
		if err := c.idle.check(); err != nil {
			return err
		}
	}
	if tasks&taskBegun != 0 {
		c.frame.begin()
	}
	if tasks&taskFrame != 0 {
		return c.frame.check()
	}
	return nil
}

// sendPongs answers pings.
func (c *conn) sendPongs() error {
	for {
		pong := c.wire.nextPong()
		if pong == nil {
			return nil
		}
		if err := c.wire.sendControl(pong); err != nil {
			return err
		}
	}
}

// goodbye closes the connection, properly if that can be done in time (RFC
// 6455 §7.1).
func (c *conn) goodbye() {
	c.stopTimers()
	e := c.ended()
	polite := e.Code != StatusAbnormalClosure && c.sendPongs() == nil && c.wire.sendControl(closeFrame(e.Code, e.Reason)) == nil
	if polite {
		<-c.received // the viewer's close frame, or the last deadline
		c.wire.free()
		if errors.Is(e.Err, errMalformed) {
			c.wire.linger(c.wire.last)
		}
	}
	if !polite {
		c.abandon()
	}
	_ = c.wire.Conn.Close()
	c.ws.release()
	<-c.received
	c.in.stop()
	close(c.done)
}

// abandon closes the connection under a TLS one, whose own Close would wait
// for room to say so.
func (c *conn) abandon() {
	if secure, ok := c.wire.Conn.(interface{ NetConn() net.Conn }); ok {
		_ = secure.NetConn().Close()
	}
}

// stopTimers ends the tasks that come by themselves.
func (c *conn) stopTimers() {
	for _, t := range []*time.Timer{c.beat.timer, c.idle.timer, c.frame.timer} {
		if t != nil {
			t.Stop()
		}
	}
}
