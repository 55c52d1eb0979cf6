package xconn

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Codes of what a server sends (X11 protocol, appendix B).
const (
	codeReply           = 1
	codeConfigureNotify = 22
	codeClientMessage   = 33
	codeGenericEvent    = 35
	sentFlag            = 0x80 // of an event: made by SendEvent
)

const (
	packetSize = 32      // of everything but long replies and GenericEvents
	maxReply   = 4 << 20 // bytes of a reply; an image's are 1 MB at most
)

// tooLong is the error that stands in for a reply of more than maxReply bytes: Alloc.
const tooLong = 11

// A filter is the net.Conn that xgb gets: it walks the server's packets and
// passes on those that xgb and the dialog can take.
type filter struct {
	net.Conn
	r       *bufio.Reader
	head    [packetSize]byte
	pending []byte // for the next reads: the set-up, then a packet's head
	body    int    // bytes of a reply that follow pending and pass unseen
	skip    int64  // bytes of one that is too long, which are read over after pending

	setupSent bool // xgb's own set-up request was swallowed

	generic atomic.Pointer[func(extension byte, event uint16)] // of Conn.OnGenericEvent

	mu      sync.Mutex
	passing map[*byte]int // descriptors to go with requests, which are told by their first byte's place

	gone chan struct{} // closed when the server is lost
	lost sync.Once
}

func newFilter(conn net.Conn, setup []byte) *filter {
	return &filter{Conn: conn, r: bufio.NewReader(conn), pending: setup, gone: make(chan struct{}), passing: make(map[*byte]int)}
}

// Read gives xgb the set-up and then whole packets. When the server is lost it
// never returns: xgb panics when a read fails.
func (f *filter) Read(p []byte) (int, error) {
	for len(f.pending) == 0 && f.body == 0 {
		err := f.readOver()
		if err == nil {
			err = f.next()
		}
		if err != nil {
			f.lose()
			select {}
		}
	}
	if len(f.pending) > 0 {
		n := copy(p, f.pending)
		f.pending = f.pending[n:]
		return n, nil
	}
	n, err := f.r.Read(p[:min(len(p), f.body)])
	f.body -= n
	if n == 0 && err != nil {
		f.lose()
		select {}
	}
	return n, nil
}

// Write sends xgb's requests. The first is its set-up, which was sent already.
func (f *filter) Write(p []byte) (int, error) {
	if !f.setupSent {
		f.setupSent = true
		return len(p), nil
	}
	var err error
	if fd, ok := f.passed(p); ok {
		_, _, err = f.Conn.(*net.UnixConn).WriteMsgUnix(p, unix.UnixRights(fd), nil)
	} else {
		_, err = f.Conn.Write(p)
	}
	if err != nil {
		f.lose()
		return 0, err
	}
	return len(p), nil
}

// passed takes the descriptor that goes with the request p.
func (f *filter) passed(p []byte) (fd int, ok bool) {
	if len(p) == 0 {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fd, ok = f.passing[&p[0]]
	delete(f.passing, &p[0])
	return fd, ok
}

func (f *filter) lose() { f.lost.Do(func() { close(f.gone) }) }

// next reads the head of the next packet and passes or drops it. A GenericEvent
// is dropped whole.
func (f *filter) next() error {
	if _, err := io.ReadFull(f.r, f.head[:]); err != nil {
		return err
	}
	code := f.head[0]
	switch {
	case code == codeReply:
		f.reply(f.bodySize())
	case code&^sentFlag == codeGenericEvent:
		if told := f.generic.Load(); told != nil {
			(*told)(f.head[1], binary.LittleEndian.Uint16(f.head[8:]))
		}
		f.skip = f.bodySize()
		return nil
	case code&sentFlag != 0 && !maySend(code&^sentFlag):
		return nil
	}
	f.pending = f.head[:]
	return nil
}

// bodySize is how many bytes follow the head in f.head.
func (f *filter) bodySize() int64 { return 4 * int64(binary.LittleEndian.Uint32(f.head[4:])) }

// reply passes a reply of n bytes. One that is too long, as of a pointer of more than 1024x1024 pixels,
// is an error of its request instead: what the session's programs make the X server answer ends nothing.
func (f *filter) reply(n int64) {
	if n <= maxReply {
		f.body = int(n)
		return
	}
	sequence := [2]byte(f.head[2:])
	f.head = [packetSize]byte{1: tooLong, 2: sequence[0], 3: sequence[1]}
	f.skip = n
}

// readOver reads over what is too long. It takes no longer than the server takes to send that.
func (f *filter) readOver() error {
	_, err := io.CopyN(io.Discard, f.r, f.skip)
	f.skip = 0
	return err
}

// maySend reports whether an event counts although another client made it:
// messages between clients are made so, and window managers say where a window is.
func maySend(code byte) bool { return code == codeClientMessage || code == codeConfigureNotify }
