package rfb

import "sync"

// toViewer walks what the server sends and writes it to the viewer, an update
// that comes in small pieces as a whole.
func (s *session) toViewer() error {
	from := serverMemory{part: make([]byte, serverPart)}
	defer from.free()
	w, t := newWalker(s.agreed, pinned, s.server.read), &s.agreed.turn
	j := joiner{s: s, w: w}
	for {
		buf := from.next()
		n, readErr := s.server.Read(buf)
		select {
		case <-s.over: // whose deadline would look like a piece's
			return nil
		default:
		}
		if j.expired(readErr) {
			readErr = nil
		}
		from.last = n
		if err := s.pass(w, t, &j, buf[:n], readErr != nil); err != nil {
			return err
		}
		if readErr != nil {
			return connError(FromServer, readErr)
		}
	}
}

// pass shows the viewer what it is to have of p. It is errPaused between two messages if there is to
// be a pause.
func (s *session) pass(w *walker, t *turn, j *joiner, read []byte, last bool) error {
	s.stage.Lock()
	defer s.stage.Unlock()
	select {
	case <-s.over:
		return nil
	default:
	}
	if len(read) > 0 {
		t.heard.Add(1)
	}
	t.busy.Store(true)
	p, err := w.walk(read)
	if err != nil {
		return err
	}
	s.between = false
	if err := j.show(w.late, p, len(read), w.between() || last); err != nil {
		return err
	}
	w.late = w.late[:0]
	s.between = w.between()
	t.busy.Store(!s.between)
	if s.between && s.pausing {
		return errPaused
	}
	return nil
}

// A serverMemory is where a server's bytes are read to: much while much comes,
// for that saves half of the time, and little otherwise.
type serverMemory struct {
	last  int // bytes of the last read
	part  []byte
	large *[serverBuffer]byte // nil while little comes
}

var serverBuffers = sync.Pool{New: func() any { return new([serverBuffer]byte) }}

// next is memory for the next read.
func (m *serverMemory) next() []byte {
	if m.last < serverPart {
		m.free()
		return m.part
	}
	if m.large == nil {
		m.large = serverBuffers.Get().(*[serverBuffer]byte)
	}
	return m.large[:]
}

func (m *serverMemory) free() {
	if m.large != nil {
		serverBuffers.Put(m.large)
		m.large = nil
	}
}

// show writes p to the viewer. The deadline is set before the end is looked
// for, so that the end's own deadline can't be lost.
func (s *session) show(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	err := s.viewerTime.extend(s.viewer, viewerTimeout)
	select {
	case <-s.over:
		return nil
	default:
	}
	if err == nil {
		s.pulse.showing.Store(true)
		_, err = s.viewer.Write(p)
		s.pulse.showing.Store(false)
	}
	if err != nil {
		return connError(FromViewer, err)
	}
	return nil
}
