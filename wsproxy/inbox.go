package wsproxy

import (
	"os"
	"sync"
	"time"
)

// inboxSize bounds the bytes from a viewer that nobody has read yet.
const inboxSize = blockSize

// An inbox is the bounded buffer between the goroutine that reads frames and
// whoever reads the stream. While it is full, nothing is read from the viewer.
type inbox struct {
	mu       sync.Mutex
	moved    sync.Cond   // the state changed; its L is mu
	buf      *block      // nil while nothing is in it
	lent     bool        // the writer has a piece of buf
	start, n int         // the n bytes from start on, round the end
	err      error       // what a reader gets after the last byte; nil: more may come
	dropped  bool        // nobody gets the bytes any more: discard what comes
	deadline time.Time   // of readers; zero: none
	timer    *time.Timer // wakes readers at the deadline
	waited   int         // how often the writer had to wait for room
	waiting  bool        // it is waiting now
}

func newInbox() *inbox {
	in := new(inbox)
	in.moved.L = &in.mu
	return in
}

// read is net.Conn's Read.
func (in *inbox) read(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		switch {
		case in.dropped:
			return 0, in.err
		case !in.deadline.IsZero() && !time.Now().Before(in.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case in.n > 0:
			return in.take(p), nil
		case in.err != nil:
			return 0, in.err
		}
		in.moved.Wait()
	}
}

// take moves bytes to p. It is called with mu held.
func (in *inbox) take(p []byte) int {
	n := 0
	for len(p) > n && in.n > 0 {
		m := copy(p[n:], in.buf[in.start:min(in.start+in.n, inboxSize)])
		in.start = (in.start + m) % inboxSize
		in.n -= m
		n += m
	}
	in.tidy()
	in.moved.Broadcast()
	return n
}

// tidy gives the memory back if nothing is in it. It is called with mu held.
func (in *inbox) tidy() {
	if (in.n == 0 || in.dropped) && !in.lent && in.buf != nil {
		putBlock(in.buf)
		in.buf, in.start, in.n = nil, 0, 0
	}
}

// room waits for room and returns a piece of it, for add to follow.
func (in *inbox) room() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.n == inboxSize && !in.dropped {
		if !in.waiting {
			in.waiting = true
			in.waited++
		}
		in.moved.Wait()
	}
	if in.waiting {
		in.waiting = false
		in.waited++
	}
	if in.buf == nil {
		in.buf = getBlock()
	}
	in.lent = true
	if in.dropped {
		return in.buf[:]
	}
	if in.n == 0 {
		in.start = 0
	}
	from := (in.start + in.n) % inboxSize
	if from < in.start {
		return in.buf[from:in.start]
	}
	return in.buf[from:]
}

// add says that the first n bytes of room's piece are there. The piece is the
// writer's no more.
func (in *inbox) add(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lent = false
	if n > 0 && !in.dropped {
		in.n += n
		in.moved.Broadcast()
	}
	in.tidy()
}

// finish lets readers have what is there and then err.
func (in *inbox) finish(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = err
	}
	in.moved.Broadcast()
}

// drop gives readers err at once, and discards what is there and what comes.
func (in *inbox) drop(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.dropped {
		in.dropped, in.err = true, err
		in.tidy()
	}
	in.moved.Broadcast()
}

// blocked tells whether the writer waits for room, and counts its waits.
func (in *inbox) blocked() (now bool, count int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.waiting, in.waited
}

// setDeadline is net.Conn's SetReadDeadline.
func (in *inbox) setDeadline(t time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.deadline = t
	switch {
	case in.timer != nil && t.IsZero():
		in.timer.Stop()
	case in.timer != nil:
		in.timer.Reset(time.Until(t))
	case !t.IsZero():
		in.timer = time.AfterFunc(time.Until(t), in.wake)
	}
	in.moved.Broadcast()
}

// wake lets waiting readers look at the clock.
func (in *inbox) wake() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.moved.Broadcast()
}

// stop ends the timer.
func (in *inbox) stop() { in.setDeadline(time.Time{}) }
