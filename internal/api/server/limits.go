package server

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// What the API's callers may hold. Limits are per user, so that none keeps the others out, and
// streams of events, which stay, count apart from calls.
const (
	maxCalls       = 128 // connections with calls, or with nothing yet
	maxUserCalls   = 32  // of one user but root
	maxStreams     = 64  // connections with streams of events
	maxUserStreams = 16  // of one user but root
	forRoot        = 16  // of the calls and of the streams, that only root gets
	maxExcess      = 16  // connections at a time that are told that there is no room
)

// A book has the connections, and decides who may have one.
type book struct {
	mu     sync.Mutex
	conns  []*peerConn // oldest first
	excess int         // of them that are only told that there is no room
}

// errExcess is why a connection isn't served.
type errExcess struct{ what string }

func (e *errExcess) Error() string {
	return fmt.Sprintf("there are too many %s already; try again soon", e.what)
}

// enter lets c in. If there is no room, the oldest connection of c's user that waits for
// nothing goes. If there is none either, c is told so; enter reports false where even for that
// there are too many.
func (b *book) enter(c *peerConn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.roomFor(c, false) {
		if idle := b.idle(c.uid); idle != nil {
			b.remove(idle)
			_ = idle.UnixConn.Close()
		}
	}
	if !b.roomFor(c, false) {
		if b.excess >= maxExcess {
			return false
		}
		b.excess++
		c.excess = true
		c.refused = &errExcess{"connections"}
	}
	b.conns = append(b.conns, c)
	return true
}

// roomFor reports whether there is room for another call or stream of c's user. b.mu is held.
func (b *book) roomFor(c *peerConn, stream bool) bool {
	all, users := 0, 0
	for _, o := range b.conns {
		if o.stream == stream && !o.excess {
			all++
			if o.uid == c.uid {
				users++
			}
		}
	}
	most, mostUser := maxCalls, maxUserCalls
	if stream {
		most, mostUser = maxStreams, maxUserStreams
	}
	if c.root {
		return all < most
	}
	return all < most-forRoot && users < mostUser
}

// idle is a user's oldest connection on which nothing is being answered, or nil. b.mu is held.
func (b *book) idle(uid uint32) *peerConn {
	for _, c := range b.conns {
		if c.uid == uid && !c.busy && !c.stream && !c.excess {
			return c
		}
	}
	return nil
}

// toStream makes c, whose call asks for it, a stream of events.
func (b *book) toStream(c *peerConn) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.roomFor(c, true) {
		return &errExcess{"streams of events"}
	}
	c.stream = true
	return nil
}

// setBusy notes whether something is being answered on c.
func (b *book) setBusy(c *peerConn, busy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.busy = busy
}

// leave forgets c.
func (b *book) leave(c *peerConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(c)
}

// remove is leave with b.mu held.
func (b *book) remove(c *peerConn) {
	for i, o := range b.conns {
		if o == c {
			b.conns = append(b.conns[:i], b.conns[i+1:]...)
			if c.excess {
				b.excess--
			}
			return
		}
	}
}

// maxSpares is how many connections can be accepted when this process has no descriptor left.
const maxSpares = 8

// spares are descriptors that are kept for when there are no others.
type spares struct {
	mu    sync.Mutex
	files []*os.File
}

// fill takes as many as there are to be.
func (s *spares) fill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.files) < maxSpares {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		s.files = append(s.files, f)
	}
}

// give gives one back to the process, and reports whether there was one.
func (s *spares) give() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return false
	}
	_ = s.files[0].Close()
	s.files = s.files[1:]
	return true
}

func (s *spares) close() {
	for s.give() {
	}
}

// noDescriptor reports whether err says that the process, or the host, has no descriptor left.
func noDescriptor(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
