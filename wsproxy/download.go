package wsproxy

import (
	"io"
	"net"
	"syscall"
)

// ReadFrom sends what it reads from r until r ends, at most 64 KiB a message.
// It implements io.ReaderFrom, so that io.Copy needs no buffer.
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
//   - What is there is read into a batch, with each frame's header in front of
//     its payload, and written at once: one frame to a plain viewer, up to
//     [batchFrames] to one over TLS.
//   - If more than that was waiting, a plain viewer gets the rest without
//     copying, through a pipe (splice_linux.go), until the target pauses.
type download struct {
	c      *conn
	r      io.Reader
	raw    syscall.RawConn // of r; nil: r is read with a buffer at hand
	frames int             // of a batch at most
	pipes  pipeSlot
	copies bool // splicing doesn't work

	buf     []byte // memory in which frames are made; nil: nothing is there
	small   []byte // for a reader that can't be waited for otherwise; nil until then
	n       int    // bytes in buf
	payload int    // of these
	full    bool   // more may be waiting
	readErr error
}

const (
	frameHeader  = 4                        // of a frame of up to 64 KiB, but very short ones
	framePayload = maxPayload - frameHeader // so that header and payload are 64 KiB
	bulk         = 16 << 10                 // a read of so much may have left some
)

func (c *conn) downloadFrom(r io.Reader) *download {
	d := &download{c: c, r: r, frames: 1}
	if conn, ok := r.(net.Conn); ok {
		d.raw = rawOf(conn)
	}
	if c.wire.secure {
		d.frames = batchFrames
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
		if d.full && d.raw != nil && d.c.wire.raw != nil {
			m, readErr, writeErr := d.splice()
			n += m
			if readErr != nil || writeErr != nil {
				return n, readErr, writeErr
			}
		}
	}
}

// send sends the frames that were made.
func (d *download) send() (int, error) {
	defer d.drop()
	if d.payload == 0 {
		return 0, nil
	}
	d.c.writing.Lock()
	defer d.c.writing.Unlock()
	return d.c.send(d.payload, d.buf[:d.n])
}

// readRaw makes frames of what a socket has. It is what d.raw.Read calls, and
// holds no memory while there is nothing.
func (d *download) readRaw(fd uintptr) (done bool) {
	frames := d.frames
	if !d.full {
		frames = 1
	}
	for range frames {
		if d.buf == nil {
			d.hold()
		}
		room := d.buf[d.n+frameHeader:][:framePayload]
		n, waiting, err := readNow(fd, room)
		if waiting {
			d.full = false
			break
		}
		if err != nil {
			d.readErr = err
			return true
		}
		d.frame(n)
		if d.full = n == len(room); !d.full {
			break
		}
	}
	if d.payload == 0 {
		d.drop()
	}
	return d.payload > 0
}

// readFrame makes a frame of what any reader has.
func (d *download) readFrame() {
	if d.full {
		d.hold()
	} else {
		if d.small == nil {
			d.small = make([]byte, frameHeader+smallSize)
		}
		d.buf = d.small
	}
	room := d.buf[frameHeader:min(len(d.buf), frameHeader+framePayload)]
	n, err := d.r.Read(room)
	if n > 0 {
		d.frame(n)
	}
	d.readErr = err
	d.full = n == len(room) || n >= bulk
}

// frame puts a header in front of the n bytes that were read behind d.n.
func (d *download) frame(n int) {
	head := appendHeader(d.buf[d.n:d.n], finBinary, n)
	if len(head) < frameHeader {
		copy(d.buf[d.n+len(head):], d.buf[d.n+frameHeader:][:n])
	}
	d.n += len(head) + n
	d.payload += n
}

// hold takes memory for a frame, or for a batch of them if there was more than
// a frame the last time.
func (d *download) hold() {
	size := blockSize
	if d.full && d.frames > 1 {
		size = batchSize
	}
	d.buf = getMemory(size)
}

// drop forgets the frames and gives their memory back.
func (d *download) drop() {
	if cap(d.buf) >= blockSize {
		putMemory(d.buf)
	}
	d.buf, d.n, d.payload = nil, 0, 0
}
