// Package printed keeps a bounded part of what a program prints.
package printed

import (
	"fmt"
	"strings"
	"sync"
)

// A Head keeps the beginning of what is written to it. It isn't safe for concurrent use.
type Head struct {
	Max    int  // bytes that are kept
	Strict bool // more is an error to the writer; else the rest is dropped

	buf  []byte
	over bool
}

// Write implements [io.Writer].
func (h *Head) Write(p []byte) (int, error) {
	room := min(h.Max-len(h.buf), len(p))
	h.buf = append(h.buf, p[:room]...)
	if room == len(p) {
		return room, nil
	}
	h.over = true
	if h.Strict {
		return room, fmt.Errorf("more than %d bytes of output", h.Max)
	}
	return len(p), nil
}

// Bytes are what was kept.
func (h *Head) Bytes() []byte { return h.buf }

// Over reports whether more was written than is kept.
func (h *Head) Over() bool { return h.over }

// TailSize is how many bytes a [Tail] keeps.
const TailSize = 4 << 10

// A Tail keeps the end of what is written to it. It is safe for concurrent use.
type Tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements [io.Writer]; it never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[max(0, len(p)-TailSize):]...)
	if over := len(t.buf) - TailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// String is what was kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// Last is the last line that isn't empty.
func (t *Tail) Last() string {
	lines := strings.Split(strings.TrimSpace(t.String()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
