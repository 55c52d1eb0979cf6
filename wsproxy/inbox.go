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
	moved    sync.Cond        // the state changed; its L is mu
	buf      []byte           // nil while nothing is in it
	lent     bool             // the writer has a piece of buf
	held     bool             // the reader has
	start, n int              // the n bytes from start on, round the end
	err      error            // what a reader gets after the last byte; nil: more may come
	dropped  bool             // nobody gets the bytes any more: discard what comes
	deadline time.Time        // of readers; zero: none
	timer    *time.Timer      // wakes readers at the deadline
	pump     func()           // takes the stream when there is something, see drainTo; nil: who calls read or next
	pumping  bool             // it is at work, or has ended
	taker    func([]byte) int // takes the stream where it is read, see consume; nil: who waits is woken
	taking   bool             // it is at work
	waited   int              // how often the writer had to wait for room
	waiting  bool             // it is waiting now
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
		if ready, err := in.ready(enough); ready {
			return err
		}
		in.moved.Wait()
	}
}

// ready reports whether a reader need not wait, and what it gets if not bytes.
// It is called with mu held.
func (in *inbox) ready(enough bool) (bool, error) {
	switch {
	case in.dropped:
		return true, in.err
	case !in.deadline.IsZero() && !time.Now().Before(in.deadline):
		return true, os.ErrDeadlineExceeded
	case enough, in.n > 0:
		return true, nil
	}
	return in.err != nil, in.err
}

// changed tells who waits that the state is another. It is called with mu held.
func (in *inbox) changed() {
	in.moved.Broadcast()
	if in.pump == nil || in.pumping {
		return
	}
	if ready, _ := in.ready(false); ready {
		in.pumping = true
		go in.pump()
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
	return in.piece(), nil
}

// piece is what is there up to the end of the buffer, the reader's until took.
// It is called with mu held.
func (in *inbox) piece() []byte {
	in.held = true
	return in.buf[in.start:min(in.start+in.n, inboxSize)]
}

// took says that n bytes of next's piece have been read.
func (in *inbox) took(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pass(n)
	in.changed()
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
	in.changed()
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
		if in.taker != nil {
			in.feed()
		} else {
			in.changed()
		}
	}
	in.tidy()
}

// consume has take called with what comes, in the writer's goroutine: nobody is woken. It returns when take has taken less
// than it was given, or a reader would get an error; the rest, or the error, is a reader's. No call of take goes on then.
func (in *inbox) consume(take func([]byte) int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.taker = take
	in.feed()
	for {
		ready, _ := in.ready(false)
		if !in.taking && (ready || in.taker == nil) {
			break
		}
		in.moved.Wait()
	}
	in.taker = nil
}

// feed has the taker take what is there, unless it is at it. It is called with mu held, and lets go of it meanwhile.
func (in *inbox) feed() {
	for in.taker != nil && !in.taking && in.n > 0 {
		if _, err := in.ready(false); err != nil {
			break
		}
		take, p := in.taker, in.piece()
		in.taking = true
		in.mu.Unlock()
		n := take(p)
		in.mu.Lock()
		in.taking = false
		in.pass(n)
		if n < len(p) {
			in.taker = nil
		}
	}
	if ready, _ := in.ready(false); ready || in.taker == nil || in.waiting {
		in.moved.Broadcast()
	}
}

// pass takes n bytes of the reader's piece away. It is called with mu held.
func (in *inbox) pass(n int) {
	in.held = false
	if !in.dropped {
		in.start = (in.start + n) % inboxSize
		in.n -= n
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
	in.changed()
}

// drop gives readers err at once, and discards what is there and what comes.
func (in *inbox) drop(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.dropped {
		in.dropped, in.err = true, err
		if in.held {
			// The reader's piece is still being written somewhere. What comes
			// must not go over it, and neither of who has a part of that memory
			// knows when the other is done: it is left to the collector.
			in.buf, in.start, in.n, in.held = nil, 0, 0, false
		}
		in.tidy()
	}
	in.changed()
}

// blocked tells whether the writer waits for room, or for who takes what it reads, and counts its waits for room.
func (in *inbox) blocked() (now bool, count int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.waiting || in.taking, in.waited
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
	in.changed()
}

// wake lets waiting readers look at the clock.
func (in *inbox) wake() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.changed()
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

// drainTo has the stream written to w until one of them ends, and done called
// with the error that writeTo would return. There is a goroutine for that only
// while something is there: most of a session's time there isn't.
func (in *inbox) drainTo(w io.Writer, done func(error)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pump = func() {
		for {
			b, err := in.now()
			switch {
			case err == io.EOF:
				done(nil)
				return
			case err != nil:
				done(err)
				return
			case b == nil:
				return
			}
			n, err := w.Write(b)
			in.took(n)
			if err != nil {
				done(err)
				return
			}
		}
	}
	in.changed()
}

// now is next for the pump, which doesn't wait: without a piece and an error it
// has to return, and is called again when there is something.
func (in *inbox) now() ([]byte, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	ready, err := in.ready(false)
	switch {
	case !ready:
		in.pumping = false
		return nil, nil
	case err != nil:
		return nil, err
	}
	return in.piece(), nil
}
