package rfb

import (
	"errors"
	"os"
	"time"
)

// A joiner makes one write of an update that the server sends in small pieces:
// libvncserver writes each rectangle for itself, some twenty of 100 bytes while
// a terminal scrolls. The viewer can't ask for the next update before it has all
// of this one, and a browser wakes up once instead of twenty times.
//
// It holds pieces back until the update is whole, for no longer than joinTime,
// and lets the server write some more before it reads again: to wake up is what
// reading them costs.
type joiner struct {
	s      *session
	w      *walker
	held   []byte // the update, as far as it has come; empty: nothing is held back
	pieces int    // of the update
	timed  bool   // the server's connection has a read deadline
	deaf   bool   // and wakes nobody for a little
}

const (
	joinTime = 8 * time.Millisecond // that a piece is held back
	joinMost = 16 << 10             // bytes that are
	joinRead = 4 << 10              // a larger piece is none that needs joining
	joinRest = time.Millisecond     // before the third piece is read, and those behind it
	joinEnd  = 3                    // rectangles before the end of the update: to rest would delay it
	joinOpen = 1 << 15              // more rectangles than that: their number isn't known, and one with EncodingLastRect ends them
)

// A lowater is a connection that can be told to wake nobody for less than some bytes.
type lowater interface{ SetReadLowat(n int) error }

// rest lets the server write.
func (j *joiner) rest() {
	if j.pieces++; j.pieces == 1 || j.w.rects <= joinEnd {
		j.listen()
		return
	}
	if l, ok := j.s.server.Conn.(lowater); ok && !j.deaf && j.w.rects < joinOpen {
		j.deaf = l.SetReadLowat(joinMost) == nil
	}
	time.Sleep(joinRest)
}

// listen ends what rest has told the connection.
func (j *joiner) listen() {
	if j.deaf {
		j.deaf = false
		_ = j.s.server.Conn.(lowater).SetReadLowat(1) // worked before
	}
}

// show shows the bytes of a read of n bytes, at once or together with what
// follows. whole says that no message is left unfinished.
func (j *joiner) show(late, p []byte, n int, whole bool) error {
	if whole || n == 0 || n > joinRead || len(j.held)+len(late)+len(p) > joinMost {
		return j.flush(late, p, whole)
	}
	if len(j.held) == 0 && j.s.server.SetReadDeadline(time.Now().Add(joinTime)) == nil {
		j.timed = true
	}
	if !j.timed {
		return j.flush(late, p, whole)
	}
	j.held = append(append(j.held, late...), p...)
	j.rest()
	return nil
}

// flush shows what is held back, and what has come.
func (j *joiner) flush(late, p []byte, whole bool) error {
	j.listen()
	if j.timed {
		j.timed = false
		if err := j.s.server.SetReadDeadline(time.Time{}); err != nil {
			return connError(FromServer, err)
		}
	}
	if whole {
		j.pieces = 0
	}
	if len(j.held) > 0 {
		j.held = append(append(j.held, late...), p...)
		err := j.s.show(j.held)
		j.held = j.held[:0]
		return err
	}
	if err := j.s.show(late); err != nil {
		return err
	}
	return j.s.show(p)
}

// expired reports whether a read ended because a piece has been held back for
// long enough.
func (j *joiner) expired(err error) bool { return j.timed && errors.Is(err, os.ErrDeadlineExceeded) }
