package wsproxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pipeSize    = maxFrame        // wanted; what an unprivileged user may have
	minPipe     = 256 << 10       // with less, copying is as good
	pipeIdle    = 1 * time.Second // how long an unused pipe is kept
	spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
)

// splice moves what the target sends through a pipe, frame by frame, until
// little comes at a time. Then copying costs less.
func (d *download) splice() (n int64, readErr, writeErr error) {
	if d.copies {
		return 0, nil, nil
	}
	for {
		p, size, err := d.fillPipe()
		if err != nil || p == nil {
			return n, err, nil
		}
		for left := size; left > 0; {
			frame := min(left, d.c.pace.limit(maxFrame))
			m, err := d.sendPipe(p, frame, left > frame)
			n += int64(m)
			left -= m
			if err != nil {
				p.close()
				return n, nil, err
			}
		}
		d.pipes.put(p)
		if size < bulk {
			return n, nil, nil
		}
	}
}

// fillPipe waits for the target and moves what is there into a pipe. No pipe
// means that this can't be done, and nothing was moved.
func (d *download) fillPipe() (p *pipe, size int, err error) {
	var moveErr error
	err = d.raw.Read(func(fd uintptr) bool {
		if p = d.pipes.take(); p == nil {
			if p, moveErr = newPipe(); moveErr != nil {
				return true
			}
		}
		if size, moveErr = move(int(fd), p.w, pipeSize); moveErr == unix.EAGAIN {
			d.pipes.put(p)
			p = nil
			return false
		}
		return true
	})
	switch {
	case err != nil:
	case moveErr == nil && size > 0:
		return p, size, nil
	case moveErr == nil:
		err = io.EOF
	case p == nil, moveErr == unix.EINVAL, moveErr == unix.ENOSYS:
		d.copies = true
	default:
		err = os.NewSyscallError("splice", moveErr)
	}
	if p != nil {
		p.close()
	}
	return nil, 0, err
}

// sendPipe sends a frame of the pipe's next size bytes and returns how many of
// them count as sent.
func (d *download) sendPipe(p *pipe, size int, more bool) (int, error) {
	d.c.writing.Lock()
	defer d.c.writing.Unlock()
	return d.c.sendFrame(size, func() error { return d.c.wire.sendPiped(p, size, more) })
}

// sendPiped is sendData for a payload in a pipe. more says that another frame
// follows at once.
func (w *wire) sendPiped(p *pipe, size int, more bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(true); err != nil {
		return err
	}
	p.head = appendHeader(p.memory[:0], finBinary, size)
	p.left, p.flags = size, spliceFlags
	if more {
		p.flags |= unix.SPLICE_F_MORE
	}
	n, err := w.send(len(p.head)+size, true, func(int) (int, error) { return p.sendTo(w.raw) })
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		rest, readErr := p.rest()
		if readErr != nil {
			w.dead = readErr
			return readErr
		}
		w.tail = rest
		return errFrameKept
	}
	return err
}

// A pipe is on the way from the target to the viewer.
type pipe struct {
	r, w int

	memory [maxHeader]byte
	head   []byte // of the frame being sent: what isn't sent of its header,
	left   int    // and of its payload
	flags  int
	err    error
	step   func(fd uintptr) bool
}

// newPipe makes a pipe, large enough to be worth it.
func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	p := &pipe{r: fds[0], w: fds[1]}
	p.step = p.sendSome
	// A user has a limited amount of large pipes.
	for size := pipeSize; size >= minPipe; size /= 2 {
		if _, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, size); err == nil {
			return p, nil
		}
	}
	p.close()
	return nil, pkg.New("no large pipe available")
}

func (p *pipe) close() {
	_ = unix.Close(p.r) // of no consequence
	_ = unix.Close(p.w)
}

// sendTo sends what is left of the frame, and returns how much it could.
func (p *pipe) sendTo(raw syscall.RawConn) (n int, err error) {
	before := len(p.head) + p.left
	p.err = nil
	err = raw.Write(p.step)
	if err == nil {
		err = p.err
	}
	return before - len(p.head) - p.left, err
}

// sendSome is what raw.Write calls while there is room.
func (p *pipe) sendSome(fd uintptr) (done bool) {
	for len(p.head) > 0 {
		n, err := unix.SendmsgN(int(fd), p.head, nil, nil, unix.MSG_MORE|unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch err {
		case nil:
			p.head = p.head[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			p.err = os.NewSyscallError("sendmsg", err)
			return true
		}
	}
	for p.left > 0 {
		n, err := spliceOut(p.r, int(fd), p.left, p.flags)
		switch {
		case err == unix.EAGAIN:
			return false
		case err == nil && n == 0:
			p.err = io.ErrUnexpectedEOF // not so long as the pipe holds what is left
			return true
		case err != nil:
			p.err = os.NewSyscallError("splice", err)
			return true
		}
		p.left -= n
	}
	return true
}

// rest takes what is left of the frame out of the pipe.
func (p *pipe) rest() ([]byte, error) {
	b := append(bytes.Clone(p.head), make([]byte, p.left)...)
	for at := len(p.head); at < len(b); {
		n, err := unix.Read(p.r, b[at:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, os.NewSyscallError("read", err)
		case n == 0:
			return nil, io.ErrUnexpectedEOF
		}
		at += max(n, 0)
	}
	return b, nil
}

// move splices up to size bytes.
func move(from, to, size int) (int, error) { return spliceOut(from, to, size, spliceFlags) }

func spliceOut(from, to, size, flags int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, size, flags)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}

// A pipeSlot keeps one empty pipe for a while, so that a pause in bulk traffic
// doesn't cost a new one and an idle session has none.
type pipeSlot struct {
	mu    sync.Mutex
	pipe  *pipe
	timer *time.Timer
}

// take takes the pipe out; nil if none is there.
func (s *pipeSlot) take() *pipe {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipe
	s.pipe = nil
	if s.timer != nil {
		s.timer.Stop()
	}
	return p
}

// put keeps p, which is empty. There is no other.
func (s *pipeSlot) put(p *pipe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pipe = p
	if s.timer == nil {
		s.timer = time.AfterFunc(pipeIdle, s.close)
	} else {
		s.timer.Reset(pipeIdle)
	}
}

// close closes the pipe, if one is there.
func (s *pipeSlot) close() {
	if p := s.take(); p != nil {
		p.close()
	}
}
