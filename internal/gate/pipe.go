package gate

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	smallBlock = 16 << 10         // bytes that a view holds while it is quiet: one record of TLS
	largeBlock = 64 << 10         // and while much is sent, from a pool
	takeTime   = 30 * time.Second // for a side to take a block, and at most half as long again; a host gives up on a browser sooner that takes nothing
)

var largeBlocks = sync.Pool{New: func() any { b := make([]byte, largeBlock); return &b }}

// A pipe carries a view's bytes between the browser and the host's granted port. Nothing is queued
// in it: who doesn't read stops who writes.
type pipe struct {
	browser, host net.Conn

	giving      deadline // of what the browser is given
	passing     deadline // of what the host is passed
	down, up    int64    // bytes to the browser, and from it
	browserCode int      // close code that the browser sent; 0: none
	once        sync.Once
}

// A deadline is a connection's write deadline. It is moved seldom: to set one costs as much as a small write.
type deadline struct{ at time.Time }

// extend gives the next write takeTime at least.
func (d *deadline) extend(c net.Conn) {
	if now := time.Now(); d.at.Sub(now) < takeTime {
		d.at = now.Add(takeTime + takeTime/2)
		_ = c.SetWriteDeadline(d.at)
	}
}

// run carries bytes until both sides have ended, and closes them. waiting is what the browser has
// sent already, early what the host has.
func (p *pipe) run(waiting, early []byte) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.upward(waiting)
	}()
	p.downward(early)
	// The host has said its last word. The browser reads it, answers it, and goes.
	if c, ok := p.browser.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = p.browser.SetReadDeadline(time.Now().Add(endTime))
	<-done
	p.cut()
}

// cut ends it at once.
func (p *pipe) cut() {
	p.once.Do(func() {
		_ = p.browser.Close()
		_ = p.host.Close()
	})
}

// closed reports whether the browser has closed the page, or loads it anew. It is known when run has
// returned.
func (p *pipe) closed() bool { return p.browserCode == 1001 || p.browserCode == 4000 }

// downward carries what the host sends, until it ends or the browser takes nothing.
func (p *pipe) downward(early []byte) {
	if len(early) > 0 && !p.give(early) {
		return
	}
	small := make([]byte, smallBlock)
	for {
		n, err := p.host.Read(small)
		if n > 0 && !p.give(small[:n]) || err != nil {
			return
		}
		if n == len(small) && !p.bulk() {
			return
		}
	}
}

// bulk carries what comes in large blocks, as long as they are full. Between two plain connections it
// doesn't come through this process: the kernel moves what has arrived (splice(2)).
func (p *pipe) bulk() bool {
	block := largeBlocks.Get().(*[]byte)
	defer largeBlocks.Put(block)
	browser, plain := p.browser.(*net.TCPConn)
	host, plainHost := p.host.(*net.TCPConn)
	for {
		if plain && plainHost {
			if arrived := waiting(host); arrived >= largeBlock {
				if !p.move(browser, host, arrived) {
					return false
				}
				continue
			}
		}
		n, err := p.host.Read(*block)
		if n > 0 && !p.give((*block)[:n]) || err != nil {
			return false
		}
		if n < smallBlock {
			return true
		}
	}
}

// waiting is how many bytes have arrived and weren't read yet.
func waiting(c *net.TCPConn) (n int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ)
	})
	if err != nil {
		return 0
	}
	return n
}

// move lets the kernel move so many bytes that have arrived.
func (p *pipe) move(browser, host *net.TCPConn, n int) bool {
	p.giving.extend(browser)
	moved, err := browser.ReadFrom(&io.LimitedReader{R: host, N: int64(n)})
	p.down += moved
	if err != nil {
		p.cut()
	}
	return err == nil
}

// give writes to the browser. If that fails the host is told by its connection's end.
func (p *pipe) give(b []byte) bool {
	p.giving.extend(p.browser)
	n, err := p.browser.Write(b)
	p.down += int64(n)
	if err != nil {
		p.cut()
	}
	return err == nil
}

// upward carries what the browser sends: little, for a view only shows.
func (p *pipe) upward(waiting []byte) {
	var frames frames
	block := make([]byte, 2<<10)
	err := p.pass(&frames, waiting)
	for err == nil {
		var n int
		n, err = p.browser.Read(block)
		err = errors.Join(err, p.pass(&frames, block[:n]))
	}
	p.browserCode = frames.code
	if frames.code == 0 {
		_ = p.host.Close() // lost: the host keeps the view for a while
		return
	}
	_ = p.host.SetReadDeadline(time.Now().Add(endTime))
}

// pass passes on what the browser has sent.
func (p *pipe) pass(f *frames, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	f.scan(b)
	p.passing.extend(p.host)
	n, err := p.host.Write(b)
	p.up += int64(n)
	return err
}

// frames follows the headers of a browser's WebSocket frames (RFC 6455 §5.2), for the close frame.
// What is malformed is for the host to refuse.
type frames struct {
	code int // of the close frame; 1005: it had none; 0: there was no close frame

	head   [14]byte
	have   int    // bytes of head
	left   uint64 // bytes of the payload that are to come
	at     int    // bytes of the payload that have come, up to two
	plain  [2]byte
	closes bool // it is a close frame
}

// scan looks at what comes next.
func (f *frames) scan(b []byte) {
	for len(b) > 0 && f.code == 0 {
		if f.left == 0 {
			f.head[f.have] = b[0]
			f.have++
			b = b[1:]
			if f.have == f.size() {
				f.begin()
			}
			continue
		}
		n := int(min(f.left, uint64(len(b))))
		if f.closes {
			f.code = f.read(b[:n])
		}
		f.left -= uint64(n)
		b = b[n:]
	}
}

// size is how many bytes the header has, as far as that is known.
func (f *frames) size() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin is called at a header's end.
func (f *frames) begin() {
	var length uint64
	switch l := f.head[1] & 0x7f; l {
	case 126, 127:
		width := 2
		if l == 127 {
			width = 8
		}
		for _, c := range f.head[2 : 2+width] {
			length = length<<8 | uint64(c)
		}
	default:
		length = uint64(l)
	}
	f.closes = f.head[0]&0x0f == 8
	if f.closes && length < 2 {
		f.code = 1005
	}
	f.left, f.at, f.have = length, 0, 0
}

// read takes a close frame's code from its payload.
func (f *frames) read(b []byte) int {
	var mask [4]byte
	if f.head[1]&0x80 != 0 {
		copy(mask[:], f.head[f.maskAt():])
	}
	for _, c := range b {
		if f.at < 2 {
			f.plain[f.at] = c ^ mask[f.at]
			f.at++
		}
	}
	if f.at < 2 {
		return 0
	}
	return int(f.plain[0])<<8 | int(f.plain[1])
}

// maskAt is where the mask begins in the header.
func (f *frames) maskAt() int {
	switch f.head[1] & 0x7f {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// limited is a reader that gives up after so many bytes: an answer's header.
type limited struct {
	r    io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("the answer is too long")
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
