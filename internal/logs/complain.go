package logs

import (
	"fmt"
	"io"
	"time"
)

// FlushTime is how long the end of a program waits for a log that takes nothing.
const FlushTime = time.Second

// Complain writes a program's last words to stderr, which may be a pipe that nobody reads.
func Complain(stderr io.Writer, format string, args ...any) {
	q := NewQueue(stderr)
	fmt.Fprintf(q, format, args...)
	_ = q.Close(FlushTime)
}

// Within calls f, and returns when it has returned, or after d: for what the end of a program can't wait for,
// such as a file on a server that hangs.
func Within(d time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}
