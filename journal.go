package shadow

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// journalTime is how long a writer may take before nobody waits for it any
	// more.
	journalTime = 250 * time.Millisecond
	// maxJournal bounds what waits for a writer that hangs.
	maxJournal = 1 << 14
)

// A journal writes to logs on a goroutine of its own, which there is only while
// something is to be written. A log whose writer hangs holds up whoever writes
// to it for journalTime, once, and nobody after that until it goes on.
type journal struct {
	onLost func(lines int) // is told how many lines were left out, once the writer goes on; nil: nobody

	mu      sync.Mutex
	queue   []func()
	busy    bool
	since   time.Time // when the first of the queue was begun
	lost    int
	written chan struct{} // closed when the queue is empty; nil: it is
}

// write is add and wait.
func (j *journal) write(f func()) { j.add(f)() }

// add lets f run soon, in the order of the calls. That it panics, as the host program's log may, harms
// nothing else. wait returns when it has run,
// or at once if the writer is slower than it should be.
func (j *journal) add(f func()) (wait func()) {
	wrote := make(chan struct{})
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queue) >= maxJournal {
		j.lost++
		return func() {}
	}
	late := j.busy && time.Since(j.since) > journalTime
	j.queue = append(j.queue, func() {
		defer close(wrote)
		f()
	})
	if !j.busy {
		j.busy, j.since, j.written = true, time.Now(), make(chan struct{})
		go j.run()
	}
	return func() {
		if !late {
			within(wrote, journalTime)
		}
	}
}

// run empties the queue.
func (j *journal) run() {
	over := false
	defer func() {
		if !over { // what was called has ended the goroutine
			go j.run()
		}
	}()
	for {
		j.mu.Lock()
		if n := j.lost; n > 0 && j.onLost != nil {
			j.lost = 0
			j.queue = append(j.queue, func() { j.onLost(n) })
		}
		if len(j.queue) == 0 {
			over = true
			j.queue, j.busy = nil, false
			close(j.written)
			j.written = nil
			j.mu.Unlock()
			return
		}
		f := j.queue[0]
		j.queue = j.queue[1:]
		j.since = time.Now()
		j.mu.Unlock()
		guarded(f)
	}
}

// guarded calls f, whose panic there is nobody to tell of.
func guarded(f func()) {
	defer func() { _ = recover() }()
	f()
}

// flush reports whether everything is written within d.
func (j *journal) flush(d time.Duration) bool {
	j.mu.Lock()
	written := j.written
	j.mu.Unlock()
	return written == nil || within(written, d)
}

// error logs a line about the shadow id.
func (j *journal) error(logger zerolog.Logger, id, msg string) {
	j.write(func() { logger.Error().Str("id", id).Msg(msg) })
}

// logger is a logger for parts that log by themselves, whose lines reach to
// through the journal.
func (j *journal) logger(to zerolog.Logger) zerolog.Logger { return j.limited(to, nil) }

// limited is logger for lines that pass, unless it is nil, lets through. It is given a line's fields
// besides the message, and may add some.
func (j *journal) limited(to zerolog.Logger, pass func(fields map[string]any, message string) bool) zerolog.Logger {
	return zerolog.New(journalWriter{j, to, pass}).Level(to.GetLevel())
}

// A journalWriter takes finished lines.
type journalWriter struct {
	j    *journal
	to   zerolog.Logger
	pass func(fields map[string]any, message string) bool // nil: all pass
}

var _ zerolog.LevelWriter = journalWriter{}

// Write takes a line without a level.
func (w journalWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes a line of zerolog's.
func (w journalWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	fields := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber() // so that numbers stay as they are
	if err := dec.Decode(&fields); err != nil {
		return 0, err
	}
	msg, _ := fields[zerolog.MessageFieldName].(string)
	delete(fields, zerolog.MessageFieldName)
	delete(fields, zerolog.LevelFieldName)
	if w.pass != nil && !w.pass(fields, msg) {
		return len(line), nil
	}
	w.j.write(func() { w.to.WithLevel(level).Fields(fields).Msg(msg) })
	return len(line), nil
}
