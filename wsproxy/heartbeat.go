package wsproxy

import "time"

// A heartbeat finds out whether the viewer is still there. Whatever is
// received after a ping answers it: a pong can be a long way behind in a busy
// stream. While nothing is read because the inbox is full, silence means nothing.
type heartbeat struct {
	c     *conn
	timer *time.Timer

	asked  bool   // a ping is unanswered
	reads  uint64 // c.wire.intake.reads when it was sent
	waited int    // how often the inbox had been full
}

func newHeartbeat(c *conn) *heartbeat {
	h := &heartbeat{c: c, timer: time.NewTimer(max(c.pingInterval, 0))}
	if c.pingInterval < 0 {
		h.timer.Stop()
	}
	return h
}

// beat is called when the timer fires.
func (h *heartbeat) beat() error {
	if h.asked {
		if !h.answered() {
			return errNoPong
		}
		h.asked = false
		h.timer.Reset(max(h.c.pingInterval-h.c.pongTimeout, 0))
		return nil
	}
	h.asked = true
	h.reads = h.c.wire.intake.reads.Load()
	_, h.waited = h.c.in.blocked()
	err := h.c.wire.sendControl([]byte{finPing, 0})
	h.timer.Reset(h.c.pongTimeout)
	return err
}

func (h *heartbeat) answered() bool {
	blocked, waited := h.c.in.blocked()
	return blocked || waited != h.waited || h.c.wire.intake.reads.Load() != h.reads
}

// An idleness finds out that nothing was transferred for a time. It looks four
// times in that time, so that the copying need not look at the clock.
type idleness struct {
	c     *conn
	timer *time.Timer
	bytes int64 // of the stream, when it looked last
	still int   // times that it has seen the same number since
}

func newIdleness(c *conn) *idleness {
	i := &idleness{c: c, timer: time.NewTimer(c.idleTimeout / 4)}
	if c.idleTimeout <= 0 {
		i.timer.Stop()
	}
	return i
}

// check is called when the timer fires.
func (i *idleness) check() error {
	if bytes := i.c.sent.Load() + i.c.got.Load(); bytes != i.bytes {
		i.bytes, i.still = bytes, 0
	} else if i.still++; i.still == 4 {
		return errIdle
	}
	i.timer.Reset(i.c.idleTimeout / 4)
	return nil
}
