package wsproxy

import (
	"io"
	"net"
	"syscall"

	"vda.internal/shadow/internal/quiet"
)

// ReadFrom sends what it reads from r until r ends. It implements
// io.ReaderFrom, so that io.Copy needs no buffer.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	d := c.downloadFrom(r)
	n, readErr, writeErr := d.run()
	switch {
	case writeErr != nil:
		return n, writeErr
	case readErr == io.EOF:
		return n, nil
	}
	return n, readErr
}

// A download carries a stream to the viewer, the fastest way that the two
// connections allow:
//
//   - A target that is a socket is waited for without a buffer.
//   - What is there is read behind the place for a frame's header and sent with
//     it, up to a small frame at a time.
//   - If more than that was waiting, a plain viewer gets the rest without
//     copying, through a pipe (splice_linux.go), until the target pauses. For
//     any other viewer the next frame is larger.
type download struct {
	c      *conn
	r      io.Reader
	raw    syscall.RawConn // of r; nil: r is read with a buffer at hand
	pipes  pipeSlot
	copies bool // splicing doesn't work

	buf     []byte // memory of a frame; nil: nothing is there
	small   []byte // for a reader that can't be waited for otherwise; nil until then
	frame   []byte // of buf: what is to be sent
	payload int    // bytes of the stream in it
	some    bool   // more may be waiting
	much    bool   // of that more than a small frame
	readErr error
}

// bulk is how much a read gives that may have left some.
const bulk = 16 << 10

func (c *conn) downloadFrom(r io.Reader) *download {
	d := &download{c: c, r: r}
	if conn, ok := r.(net.Conn); ok {
		d.raw = quiet.Raw(conn)
	}
	return d
}

// run carries until one end fails. The reader's error is io.EOF at its end.
func (d *download) run() (n int64, readErr, writeErr error) {
	defer d.pipes.close()
	read := d.readRaw // one allocation
	for {
		if d.raw == nil {
			d.readFrame()
		} else if err := d.raw.Read(read); err != nil {
			d.readErr = err
		}
		m, err := d.send()
		n += int64(m)
		if err != nil || d.readErr != nil {
			return n, d.readErr, err
		}
		if d.much && d.raw != nil && d.c.wire.raw != nil {
			m, readErr, writeErr := d.splice()
			n += m
			if readErr != nil || writeErr != nil {
				return n, readErr, writeErr
			}
		}
	}
}

// send sends the frame that was made.
func (d *download) send() (int, error) {
	defer d.drop()
	if d.payload == 0 {
		return 0, nil
	}
	d.c.writing.Lock()
	defer d.c.writing.Unlock()
	return d.c.send(d.payload, d.frame)
}

// readRaw makes a frame of what a socket has. It is what d.raw.Read calls, and
// holds no memory while there is nothing.
func (d *download) readRaw(fd uintptr) (done bool) {
	d.hold()
	n, waiting, err := quiet.Read(fd, d.room())
	if waiting {
		d.much = false
		d.drop()
		return false
	}
	d.readErr = err
	d.filled(n)
	return true
}

// readFrame makes a frame of what any reader has.
func (d *download) readFrame() {
	if d.some {
		d.hold()
	} else {
		if d.small == nil {
			d.small = make([]byte, maxHeader+smallSize)
		}
		d.buf = d.small
	}
	room := d.room()
	n, err := d.r.Read(room)
	d.readErr = err
	d.filled(n)
	d.some = n == len(room) || n >= bulk
}

// room is where to read to.
func (d *download) room() []byte {
	return d.buf[maxHeader:min(len(d.buf), maxHeader+d.c.frameSize())]
}

// filled makes a frame of the n bytes that were read.
func (d *download) filled(n int) {
	d.much = n >= minFrame
	if d.payload = n; n > 0 {
		var b [maxHeader]byte
		head := appendHeader(b[:0], finBinary, n)
		d.frame = d.buf[maxHeader-len(head) : maxHeader+n]
		copy(d.frame, head)
	}
}

// hold takes memory for a frame: a block, or more if a socket had much the last
// time and the viewer is quick.
func (d *download) hold() {
	size := blockSize
	if d.much && d.raw != nil && d.c.frameSize() > minFrame {
		size = largeSize
	}
	d.buf = getMemory(size)
}

// drop forgets the frame and gives its memory back.
func (d *download) drop() {
	if cap(d.buf) >= blockSize {
		putMemory(d.buf)
	}
	d.buf, d.frame, d.payload = nil, nil, 0
}
