package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"

	"vda.internal/shadow/rfb"
)

const (
	// maxMessage bounds a viewer's message but for its clipboard, whose text is
	// skipped: SetEncodings with 16,000 encodings.
	maxMessage   = 64 << 10
	maxClipboard = 1 << 20
)

// asks are what a viewer has asked for and not been given yet. Any number of
// requests are one.
type asks struct {
	format    *rfb.PixelFormat // nil: as before
	encodings []rfb.Encoding   // nil: as before
	requested bool
	area      image.Rectangle   // that an update may be about
	anew      []image.Rectangle // that are to be sent whether they have changed or not
}

// maxAnew is how many rectangles are kept apart that are to be sent anew.
const maxAnew = 8

// addAnew adds r to rectangles that are to be sent anew. Of too many the last are sent with what is
// between them.
func addAnew(list []image.Rectangle, r image.Rectangle) []image.Rectangle {
	for _, q := range list {
		if r.In(q) {
			return list
		}
	}
	list = slices.DeleteFunc(list, func(q image.Rectangle) bool { return q.In(r) })
	if n := len(list); n == maxAnew {
		list[n-1] = list[n-1].Union(r)
		return list
	}
	return append(list, r)
}

// A viewer is the other end of the connection. Its goroutine reads; nothing that
// it reads does more than change what is asked for.
type viewer struct {
	net.Conn
	r     *bufio.Reader // of Conn
	here  chan struct{} // closed when await is done, and r is the reader's
	asked chan struct{} // sent to when there is something to take
	gone  chan struct{} // closed when the viewer has gone, err being set
	err   error         // nil: it closed the connection

	mu   sync.Mutex
	asks asks
}

func newViewer(conn net.Conn) *viewer {
	return &viewer{
		Conn: conn, r: bufio.NewReaderSize(conn, maxMessage), here: make(chan struct{}),
		asked: make(chan struct{}, 1), gone: make(chan struct{}),
	}
}

// await waits for the first bytes, which come after the greeting. A viewer that leaves before
// is told of.
func (v *viewer) await(left chan<- error) {
	defer close(v.here)
	if _, err := v.r.Peek(1); hungUp(err) {
		left <- errLeft
	}
}

// Read implements io.Reader.
func (v *viewer) Read(p []byte) (int, error) {
	<-v.here
	return v.r.Read(p)
}

// hungUp reports whether err is how a closed connection ends. Linux tells the other end of a
// unix socket that was closed over unread bytes of a reset. One that ends in the middle of a
// message has gone no less.
func hungUp(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// take is what was asked since the last time. A request stays until it is
// answered.
func (v *viewer) take() asks {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.asks
	v.asks = asks{}
	return a
}

// read reads messages until there is no more to read.
func (v *viewer) read() {
	defer close(v.gone)
	<-v.here
	for {
		if err := v.next(v.r); err != nil {
			if !hungUp(err) {
				v.err = err
			}
			return
		}
	}
}

// next reads a message. Of those that are meant to reach the desktop it takes no
// notice.
func (v *viewer) next(r *bufio.Reader) error {
	for want := 1; ; {
		b, err := r.Peek(want)
		if err != nil {
			if len(b) > 0 && errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		b, _ = r.Peek(r.Buffered())
		if rfb.ClientMessageType(b[0]) == rfb.ClientCutText {
			return skipClipboard(r)
		}
		m, n, err := rfb.ParseClientMessage(b)
		switch {
		case err == nil:
			v.note(m) // before the bytes go
			_, err = r.Discard(n)
			return err
		case !errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("the viewer's message can't be read: %w", err)
		}
		if want = len(b) + 1; want > maxMessage {
			return fmt.Errorf("the viewer's message is longer than %d bytes", maxMessage)
		}
	}
}

// skipClipboard skips a ClientCutText.
func skipClipboard(r *bufio.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := int32(binary.BigEndian.Uint32(head[4:]))
	if n < 0 {
		n = -n // Extended Clipboard
	}
	if n < 0 || n > maxClipboard {
		return fmt.Errorf("the viewer's clipboard has more than %d bytes", maxClipboard)
	}
	_, err := r.Discard(int(n))
	return err
}

// note adds a message to what is asked for.
func (v *viewer) note(m rfb.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch m := m.(type) {
	case *rfb.SetPixelFormat:
		f := m.Format
		v.asks.format = &f
	case *rfb.SetEncodings:
		v.asks.encodings = append([]rfb.Encoding{}, m.Encodings...)
	case *rfb.FramebufferUpdateRequest:
		r := image.Rect(int(m.Rect.X), int(m.Rect.Y), int(m.Rect.X)+int(m.Rect.Width), int(m.Rect.Y)+int(m.Rect.Height))
		v.asks.requested = true
		if m.Incremental {
			v.asks.area = v.asks.area.Union(r)
		} else {
			v.asks.anew = addAnew(v.asks.anew, r)
		}
	default:
		return
	}
	select {
	case v.asked <- struct{}{}:
	default: // there is something already
	}
}
