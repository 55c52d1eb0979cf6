package rfb

import (
	"runtime/debug"
	"time"
)

// A consumer is a viewer's connection that has what it reads taken where it is read, instead of waking who waits in Read: a small
// message costs less than a wake-up. Consume calls take with what comes, until take takes less than it is given, or Read would
// return an error; no call of take goes on when it returns. What wasn't taken is Read's. wsproxy's connections are consumers.
type consumer interface{ Consume(take func(p []byte) int) }

// fromViewer passes on what the viewer sends.
func (s *session) fromViewer() error {
	buf := make([]byte, viewerBuffer)
	before := s.unread
	s.unread = nil
	viewer, consumes := s.viewer.(consumer)
	consumes = consumes && s.bounded()
	for {
		if consumes && len(before) == 0 {
			if err := s.consume(viewer); err != nil {
				return err
			}
		}
		n, readErr := copy(buf, before), error(nil)
		if before = before[n:]; n == 0 {
			n, readErr = s.viewer.Read(buf)
		}
		for p := buf[:n]; len(p) > 0; {
			used, again, err := s.forward(p, false)
			p = p[used:]
			s.unread = append(p[:len(p):len(p)], before...) // for the session after a pause
			if err != nil {
				return err
			}
			if len(p) > 0 && !s.sleep(time.Until(again)) {
				return nil
			}
		}
		if readErr != nil {
			return connError(FromViewer, readErr)
		}
	}
}

// bounded reports whether the server's connection is a socket of the kernel's, whose calls end when their deadlines pass: the
// viewer's connection may wait for them.
func (s *session) bounded() bool {
	l, ok := s.server.Conn.(lowater)
	return ok && l.SetReadLowat(1) == nil
}

// consume passes on what the viewer sends where it is read, until something has to wait.
func (s *session) consume(viewer consumer) (err error) {
	viewer.Consume(func(p []byte) (used int) {
		defer func() {
			if v := recover(); v != nil { // nobody else would catch it there
				used, err = 0, &PanicError{v, debug.Stack()}
			}
		}()
		if used, _, err = s.forward(p, false); err != nil {
			return 0
		}
		return used
	})
	return err
}

// sleep reports false if the session ends meanwhile.
func (s *session) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.over:
		return false
	}
}
