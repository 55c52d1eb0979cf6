// Package logs writes a daemon's logs so that nobody waits for them: [Queue] for
// a log that may hang, as a pipe does that nobody reads, and [File] for one that
// is moved away and begun anew.
package logs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxQueued bounds the bytes that wait for a writer.
const maxQueued = 1 << 20

// A Queue is a writer that never waits: a goroutine of its own passes on what is
// written, each Write as one. While 1 MiB waits, what comes is left out; once
// there is room a line says how many lines were.
type Queue struct {
	w io.Writer

	mu     sync.Mutex
	queue  [][]byte
	size   int
	lost   int
	closed bool
	wake   chan struct{} // holds a token while there is something to do
	done   chan struct{} // closed when the goroutine has ended
}

// NewQueue returns a Queue in front of w. The caller closes it.
func NewQueue(w io.Writer) *Queue {
	q := &Queue{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write implements [io.Writer]. It never fails, and keeps nothing of p.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
	case q.size+len(p) > maxQueued:
		q.lost++
	default:
		q.queue = append(q.queue, append([]byte(nil), p...))
		q.size += len(p)
		q.kick()
	}
	return len(p), nil
}

// kick wakes the goroutine; the caller holds q.mu.
func (q *Queue) kick() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close waits up to d until everything is written, and discards what comes
// later. The error is that not everything was written.
func (q *Queue) Close(d time.Duration) error {
	q.mu.Lock()
	q.closed = true
	q.kick()
	q.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-q.done:
		return nil
	case <-t.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return fmt.Errorf("the log has taken nothing for %v; %d lines were not written", d, len(q.queue)+q.lost)
}

func (q *Queue) run() {
	defer close(q.done)
	for {
		line, ok := q.next()
		if !ok {
			return
		}
		if line == nil {
			<-q.wake
			continue
		}
		_, _ = q.w.Write(line) // there is no other place to tell of it
	}
}

// next takes the next line off the queue: nil if there is none now, and false
// if there will be none.
func (q *Queue) next() (line []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.queue) > 0:
		line = q.queue[0]
		q.queue[0] = nil
		q.queue = q.queue[1:]
		q.size -= len(line)
		return line, true
	case q.lost > 0:
		line = fmt.Appendf(nil, `{"level":"error","time":%q,"lines":%d,"message":"lines were left out of this log, which took none for too long"}`+"\n",
			time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"), q.lost)
		q.lost = 0
		return line, true
	}
	return nil, !q.closed
}

// A File is a log file that can be begun anew under the same name, after its
// present one was renamed.
type File struct {
	path string
	mode os.FileMode

	mu sync.Mutex
	f  *os.File
}

// OpenFile opens or makes the file at path, to write at its end.
func OpenFile(path string, mode os.FileMode) (*File, error) {
	l := &File{path: path, mode: mode}
	return l, l.Reopen()
}

// Reopen opens the file's name again. Without success the file from before stays
// in use.
func (l *File) Reopen() error {
	l.mu.Lock() // whoever sees the new file finds what is written from now on in it
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, l.mode)
	if err != nil {
		return err
	}
	if l.f != nil {
		_ = l.f.Close()
	}
	l.f = f
	return nil
}

// Write implements [io.Writer]. It holds up neither Reopen nor Close: what a pipe has taken half of by then
// is an error. A file takes all of p or, as on a full disk, nothing: another Write begins in the same
// place, or in the next file.
func (l *File) Write(p []byte) (int, error) {
	for {
		f := l.current()
		n, err := f.Write(p)
		switch {
		case n == 0 && errors.Is(err, os.ErrClosed) && l.current() != f:
			continue // by Reopen, before it has begun
		case err != nil && n > 0 && takeBack(f, n):
			n = 0
		}
		return n, err
	}
}

// current is the file that is written to now.
func (l *File) current() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f
}

// takeBack removes the last n bytes, which were just written, unless somebody else has written since.
func takeBack(f *os.File, n int) bool {
	at, err := f.Seek(0, io.SeekCurrent) // of a pipe that is an error
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular() && info.Size() == at && f.Truncate(at-int64(n)) == nil
}

// Close closes the file.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
