package wsproxy

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"sync/atomic"
	"syscall"

	"vda.internal/shadow/internal/quiet"
)

var (
	errStray  = errors.New("continuation frame without a message")
	errNested = errors.New("data frame inside a fragmented message")
)

// An intake reads from the viewer. It takes the data frames out of what comes
// and leaves the rest, control frames and whatever is malformed, to the
// library, which reads from it as from the connection: the library never sees
// data. Frames are parsed where they were read to, and all payload of one read
// is there for the stream's reader at once.
//
// It is used by one goroutine, except for reads and pending.
type intake struct {
	conn    net.Conn
	early   []byte             // read already, of what comes first
	raw     syscall.RawConn    // of conn; nil: it is read with a buffer at hand
	readRaw func(uintptr) bool // rawReader
	to      *conn              // what is done with payload

	buf     []byte // memory: nil, small, or a block
	block   bool   // it is a block
	small   []byte // for a connection that can't be waited for otherwise; nil until then
	r, w    int    // buf[r:w] was read and not parsed
	last    int    // bytes of the last read
	lastErr error  // of the last read

	passThrough int    // bytes to pass through to the library, from r on; maxPassThrough: everything
	left        int64  // bytes of a data frame's payload to come
	key         uint32 // mask of the next of them
	open        bool   // in a fragmented message
	size        int64  // of the message so far

	err     error         // why nothing more can be read
	reads   atomic.Uint64 // reads that gave something: a sign of life
	pending atomic.Uint32 // of partial and watched
}

const (
	maxPassThrough = math.MaxInt
	smallSize      = 1 << 10
)

// What an intake has pending, in one word so that an [unfinished] can't stop
// looking at the moment when it should begin.
const (
	partial = 1 << iota // it waits in the middle of a frame
	watched             // an unfinished looks after that
)

// newIntake makes an intake of c, before which comes what was read of it early.
func newIntake(c net.Conn, early []byte) *intake {
	f := &intake{conn: c, early: early, raw: quiet.Raw(c)}
	f.readRaw = f.rawReader
	return f
}

// Read gives the library what is its own. The connection is read, and data
// passed on, meanwhile.
func (f *intake) Read(p []byte) (int, error) {
	for {
		if f.passThrough == 0 {
			if err := f.parse(); err != nil {
				f.err = err
				return 0, err
			}
		}
		if f.passThrough > 0 && f.r < f.w {
			n := copy(p, f.buf[f.r:min(f.w, f.r+min(f.passThrough, len(p)))])
			f.r += n
			if f.passThrough != maxPassThrough {
				f.passThrough -= n
			}
			return n, nil
		}
		if err := f.fill(); err != nil {
			f.err = err
			return 0, err
		}
	}
}

// parse passes on data until it needs more, or meets a frame of the library's.
func (f *intake) parse() error {
	room, n := []byte(nil), 0
	defer func() { f.to.add(n) }()
	for f.r < f.w {
		if f.left == 0 {
			if ok, err := f.header(); !ok || err != nil {
				return err
			}
			continue
		}
		if n == len(room) {
			f.to.add(n)
			n = 0
			room = f.to.in.room()
		}
		m := int(min(f.left, int64(f.w-f.r), int64(len(room)-n)))
		f.key = unmask(room[n:], f.buf[f.r:f.r+m], f.key)
		n += m
		f.r += m
		f.left -= int64(m)
	}
	return nil
}

// header parses a frame's header (RFC 6455 §5.2) and reports whether it was
// there and of a data frame.
func (f *intake) header() (bool, error) {
	b := f.buf[f.r:f.w]
	if len(b) < 2 {
		return false, nil
	}
	first, length := b[0], int64(b[1]&^maskBit)
	switch opcode := first &^ finBit; {
	case b[1]&maskBit == 0, opcode > opPong, opcode > opBinary && opcode < opClose:
		f.passThrough = maxPassThrough // unmasked, reserved bits or reserved opcode
		return false, nil
	case opcode >= opClose:
		f.control(first, int(length), len(b))
		return false, nil
	}
	size := 2
	switch length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if len(b) < size+4 {
		return false, nil
	}
	switch size {
	case 4:
		length = int64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		length = int64(binary.BigEndian.Uint64(b[2:]))
	}
	if length < 0 {
		f.passThrough = maxPassThrough
		return false, nil
	}
	f.key = binary.LittleEndian.Uint32(b[size:])
	f.left = length
	f.r += size + 4
	return true, f.data(first)
}

// control leaves a control frame to the library, once all of it is there: the
// library has a time limit of its own for the rest.
func (f *intake) control(first byte, length, there int) {
	switch {
	case first&finBit == 0 || length > 125:
		f.passThrough = maxPassThrough // forbidden
	case there >= 6+length:
		f.passThrough = 6 + length
	}
}

// data begins a data frame of f.left bytes (RFC 6455 §5.4).
func (f *intake) data(first byte) error {
	switch opcode := first &^ finBit; {
	case opcode == opContinuation && !f.open:
		return errStray
	case opcode != opContinuation && f.open:
		return errNested
	case opcode == opText:
		f.to.text()
		f.size = 0
	case opcode == opBinary:
		f.size = 0
	}
	f.open = first&finBit == 0
	if limit := f.to.maxMessage; limit >= 0 && f.left > limit-f.size {
		f.to.tooBig()
		return nil
	}
	f.size += min(f.left, math.MaxInt64-f.size)
	return nil
}

// fill reads more.
func (f *intake) fill() error {
	if f.r > 0 { // no more than the beginning of a frame is left
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
	if f.left == 0 && f.w == 0 && f.passThrough == 0 {
		f.pending.And(^uint32(partial))
	} else if f.pending.Or(partial|watched)&watched == 0 {
		f.to.ask(taskBegun)
	}
	switch {
	case len(f.early) > 0:
		f.hold()
		f.last = copy(f.buf[f.w:], f.early)
		f.early = f.early[f.last:]
		f.lastErr = nil
	case f.raw != nil:
		f.fillRaw()
	default:
		f.fillConn()
	}
	f.w += f.last
	if f.last > 0 {
		f.reads.Add(1)
		return nil
	}
	return f.lastErr
}

// fillRaw reads a socket: it waits for it without holding a block.
func (f *intake) fillRaw() {
	if f.w == 0 {
		f.release()
	}
	if err := f.raw.Read(f.readRaw); err != nil {
		f.last, f.lastErr = 0, err
	}
}

// rawReader is what f.raw.Read calls when there may be something.
func (f *intake) rawReader(fd uintptr) (done bool) {
	f.hold()
	var waiting bool
	f.last, waiting, f.lastErr = quiet.Read(fd, f.buf[f.w:])
	if waiting && f.w == 0 {
		f.release()
	}
	return !waiting
}

// fillConn reads any other connection. It waits with a small buffer and takes
// a block while that is too small.
func (f *intake) fillConn() {
	switch {
	case f.w > 0:
	case f.last < smallSize:
		f.release()
		if f.small == nil {
			f.small = make([]byte, smallSize)
		}
		f.buf = f.small
	default:
		f.hold()
	}
	f.last, f.lastErr = f.conn.Read(f.buf[f.w:])
}

// hold makes buf a block.
func (f *intake) hold() {
	if !f.block {
		b := getMemory(blockSize)
		copy(b, f.buf[:f.w])
		f.buf, f.block = b, true
	}
}

// release gives the block back.
func (f *intake) release() {
	if f.block {
		putMemory(f.buf)
		f.buf, f.block = nil, false
	}
}
