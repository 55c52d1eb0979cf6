package wsproxy

import (
	"io"
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
	buf      []byte      // nil while nothing is in it
	lent     bool        // the writer has a piece of buf
	held     bool        // the reader has
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
	if err := in.await(len(p) == 0); err != nil {
		return 0, err
	}
	return in.take(p), nil
}

// await waits until there are bytes, or not if enough is true. It is called
// with mu held.
func (in *inbox) await(enough bool) error {
	for {
		switch {
		case in.dropped:
			return in.err
		case !in.deadline.IsZero() && !time.Now().Before(in.deadline):
			return os.ErrDeadlineExceeded
		case enough, in.n > 0:
			return nil
		case in.err != nil:
			return in.err
		}
		in.moved.Wait()
	}
}

// next waits for bytes and returns a piece of what is there, the reader's
// until took.
func (in *inbox) next() ([]byte, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.await(false); err != nil {
		return nil, err
	}
	in.held = true
	return in.buf[in.start:min(in.start+in.n, inboxSize)], nil
}

// took says that n bytes of next's piece have been read.
func (in *inbox) took(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.held = false
	if !in.dropped {
		in.start = (in.start + n) % inboxSize
		in.n -= n
	}
	in.tidy()
	in.moved.Broadcast()
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
	if (in.n == 0 || in.dropped) && !in.lent && !in.held && in.buf != nil {
		putMemory(in.buf)
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
		in.buf = getMemory(inboxSize)
	}
	in.lent = true
	if in.dropped {
		return in.buf
	}
	if in.n == 0 { // and so nothing is held
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

// writeTo writes the stream to w, all that is there at a time, until one of
// them ends. The end of the stream is no error.
func (in *inbox) writeTo(w io.Writer) (n int64, err error) {
	for {
		b, err := in.next()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		m, err := w.Write(b)
		in.took(m)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
}
