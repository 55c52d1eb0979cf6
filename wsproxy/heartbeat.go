package wsproxy

import "time"

// A heartbeat sends pings and finds out whether the viewer is still there.
// Whatever is received after a ping answers it: a pong can be a long way behind
// in a busy stream. While nothing is read because the inbox is full, silence
// means nothing. Pings go out whether or not the last was answered, for some are
// sent to keep the timers of routers on the way from expiring.
type heartbeat struct {
	c     *conn
	timer *time.Timer // nil: no pings

	next   time.Time // when a ping is due
	asked  time.Time // when the oldest unanswered ping was sent; zero: all are answered
	reads  uint64    // c.wire.intake.reads at that time
	waited int       // how often the inbox had been full
}

// start begins to send pings, unless none are wanted.
func (h *heartbeat) start() {
	if h.c.pingInterval >= 0 {
		h.timer = time.AfterFunc(h.c.pingInterval, func() { h.c.due(taskBeat) })
	}
}

// beat is called when the timer fires: a ping is due, or an answer.
func (h *heartbeat) beat() (err error) {
	now := time.Now()
	switch {
	case h.asked.IsZero():
	case h.answered():
		h.asked = time.Time{}
	case now.Sub(h.asked) >= h.c.pongTimeout:
		return errNoPong
	}
	if !now.Before(h.next) {
		err = h.ping(now)
	}
	wake := h.next
	if answer := h.asked.Add(h.c.pongTimeout); !h.asked.IsZero() && answer.Before(wake) {
		wake = answer
	}
	h.timer.Reset(time.Until(wake))
	return err
}

func (h *heartbeat) ping(now time.Time) error {
	h.next = now.Add(h.c.pingInterval)
	if h.asked.IsZero() {
		h.asked = now
		h.reads = h.c.wire.intake.reads.Load()
		_, h.waited = h.c.in.blocked()
	}
	return h.c.wire.sendControl([]byte{finPing, 0})
}

func (h *heartbeat) answered() bool {
	blocked, waited := h.c.in.blocked()
	return blocked || waited != h.waited || h.c.wire.intake.reads.Load() != h.reads
}

// An unfinished finds out that a viewer has begun a frame and sends nothing more
// of it. It looks four times in the time that the viewer has, and not at all
// while every frame has come whole.
type unfinished struct {
	c      *conn
	timer  *time.Timer // nil until a frame is under way for the first time
	reads  uint64      // c.wire.intake.reads, when it looked last
	waited int         // how often the inbox had been full then
	still  int         // times that it has seen the same since
}

// begin is called when a frame is under way and nobody looks after it.
func (u *unfinished) begin() {
	u.still, u.reads = 0, u.c.wire.intake.reads.Load()
	_, u.waited = u.c.in.blocked()
	if u.timer == nil {
		u.timer = time.AfterFunc(u.c.pongTimeout/4, func() { u.c.due(taskFrame) })
	} else {
		u.timer.Reset(u.c.pongTimeout / 4)
	}
}

// check is called when the timer fires, and looks for progress.
func (u *unfinished) check() error {
	f := u.c.wire.intake
	if f.pending.CompareAndSwap(watched, 0) {
		return nil // all is whole; the intake asks again
	}
	blocked, waited := u.c.in.blocked()
	reads := f.reads.Load()
	switch {
	case blocked, waited != u.waited, reads != u.reads:
		u.still = 0
	default:
		u.still++
	}
	if u.still == 4 {
		return errUnfinished
	}
	u.reads, u.waited = reads, waited
	u.timer.Reset(u.c.pongTimeout / 4)
	return nil
}

// An idleness finds out that nothing was transferred for a time. It looks four
// times in that time, so that the copying need not look at the clock.
type idleness struct {
	c     *conn
	timer *time.Timer // nil: idleness is allowed
	bytes int64       // of the stream, when it looked last
	still int         // times that it has seen the same number since
}

// start begins to look, if idleness has a limit.
func (i *idleness) start() {
	if i.c.idleTimeout > 0 {
		i.timer = time.AfterFunc(i.c.idleTimeout/4, func() { i.c.due(taskIdle) })
	}
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
