// Package logs writes what the websockify program has to say, in the shape
// that the Python program gave its lines or as JSON.
//
//	log := logs.New(logs.Options{Sinks: []logs.Sink{logs.ToWriter(os.Stderr)}})
//	log.Info("WebSocket server settings:")
//	log.Access("192.0.2.1", "connecting to: 127.0.0.1:5900", logs.F("target", "127.0.0.1:5900"))
//
// No line has a control character in it, whatever a client sent.
package logs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// A Level is how much an entry matters.
type Level int8

// The levels. Debug entries are written if Options.Verbose.
const (
	Debug Level = iota
	Info
	Warn
)

var zerologLevel = [...]zerolog.Level{Debug: zerolog.DebugLevel, Info: zerolog.InfoLevel, Warn: zerolog.WarnLevel}

// A Sink takes finished lines, without the end of line, one call at a time.
type Sink func(level Level, at time.Time, line string)

// ToWriter returns a Sink that writes lines to w. A line that w doesn't take is lost.
func ToWriter(w io.Writer) Sink {
	return func(_ Level, _ time.Time, line string) { _, _ = io.WriteString(w, line+"\n") }
}

// ToLines returns a Sink that writes lines to w, together with what [Lines] needs to hand them on: for
// something between the two that knows but bytes.
func ToLines(w io.Writer) Sink {
	return func(level Level, at time.Time, line string) {
		head := binary.BigEndian.AppendUint64([]byte{byte(level)}, uint64(at.UnixNano()))
		_, _ = w.Write(append(head, line...))
	}
}

// Lines hands on to a Sink what [ToLines] has written, one line a Write. Anything else is a warning of
// this moment.
type Lines Sink

// Write implements io.Writer. It never fails.
func (l Lines) Write(p []byte) (int, error) {
	if len(p) < 9 || Level(p[0]) > Warn {
		l(Warn, time.Now(), strings.TrimRight(string(p), "\n"))
		return len(p), nil
	}
	l(Level(p[0]), time.Unix(0, int64(binary.BigEndian.Uint64(p[1:]))), string(p[9:]))
	return len(p), nil
}

// A Field is something that an entry says besides its text. Only JSON shows it.
type Field struct {
	Key   string
	Value any
}

// F makes a Field.
func F(key string, value any) Field { return Field{key, value} }

// Options are how a Log writes.
type Options struct {
	JSON    bool
	Verbose bool
	Sinks   []Sink
	Now     func() time.Time // nil: time.Now
}

// A Log writes entries to its sinks. Its methods may be called concurrently.
// The zero Log is silent.
type Log struct {
	o  Options
	mu sync.Mutex
}

// New returns a Log.
func New(o Options) *Log {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Log{o: o}
}

// Verbose reports whether Debug entries are written.
func (l *Log) Verbose() bool { return l.o.Verbose }

// Debug writes an entry for those who look for a fault.
func (l *Log) Debug(text string, fields ...Field) { l.write(Debug, "", false, text, fields) }

// Info writes an entry.
func (l *Log) Info(text string, fields ...Field) { l.write(Info, "", false, text, fields) }

// Warn writes an entry about something that somebody should do something about.
func (l *Log) Warn(text string, fields ...Field) { l.write(Warn, "", false, text, fields) }

// Client writes an entry about a client, whose address begins it: "ADDRESS: text".
func (l *Log) Client(level Level, remote, text string, fields ...Field) {
	l.write(level, remote, false, text, fields)
}

// Access writes an entry about a client as web servers do: "ADDRESS - - [TIME] text".
func (l *Log) Access(level Level, remote, text string, fields ...Field) {
	l.write(level, remote, true, text, fields)
}

func (l *Log) write(level Level, remote string, access bool, text string, fields []Field) {
	if len(l.o.Sinks) == 0 || level == Debug && !l.o.Verbose {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.o.Now()
	var line string
	switch {
	case l.o.JSON:
		line = asJSON(level, now, remote, text, fields)
	case access:
		line = fmt.Sprintf("%s - - [%s] %s", remote, now.Format("02/Jan/2006 15:04:05"), text)
	case remote != "":
		line = remote + ": " + text
	default:
		line = text
	}
	if !l.o.JSON { // which has its own escapes
		line = clean(line)
	}
	for _, sink := range l.o.Sinks {
		sink(level, now, line)
	}
}

// asJSON leaves out of text what the fields say: its leading blanks and dashes.
func asJSON(level Level, now time.Time, remote, text string, fields []Field) string {
	var b bytes.Buffer
	z := zerolog.New(&b)
	e := z.WithLevel(zerologLevel[level]).Time("time", now)
	if remote != "" {
		e = e.Str("remote", remote)
	}
	for _, f := range fields {
		switch v := f.Value.(type) {
		case time.Duration:
			e = e.Float64(f.Key, v.Seconds())
		case error:
			e = e.Str(f.Key, v.Error())
		default:
			e = e.Any(f.Key, v)
		}
	}
	e.Msg(strings.TrimLeft(text, " -"))
	return strings.TrimRight(b.String(), "\n")
}

// clean shows control characters instead of letting them act.
func clean(line string) string {
	if strings.IndexFunc(line, isControl) < 0 {
		return line
	}
	var b strings.Builder
	for _, r := range line {
		if isControl(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }
