package rfb

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// A Trace is a captured session: what both peers sent, from the first byte of
// the handshake on, and when.
//
// The layout of its file: the line "RFB trace 001.000", lines "server: …", "viewer: …"
// and "note: …", an empty line, and for each chunk U8 direction (1 viewer, 2
// server), U32 milliseconds, U32 length, and the bytes.
type Trace struct {
	Server string  // the program and its version; one line
	Viewer string  // the same of the viewer
	Note   string  // what happens; one line
	Chunks []Chunk // in the order in which they were seen
}

// A Chunk is what one peer sent at a time.
type Chunk struct {
	From Direction     // who sent it: FromViewer or FromServer
	At   time.Duration // since the trace began; kept to the millisecond, and at most 49 days, which is what the layout has room for
	Data []byte        // at most 16 MiB
}

// maxTraceTime is the time that a trace and a recording have room for: 49 days.
const maxTraceTime = math.MaxUint32 * time.Millisecond

// milliseconds is at as files have it. The error wraps [ErrLimit].
func milliseconds(at time.Duration) (uint32, error) {
	if at < 0 || at > maxTraceTime {
		return 0, fmt.Errorf("rfb: %w: a file can't say %v, at most %v", ErrLimit, at, maxTraceTime)
	}
	return uint32(at / time.Millisecond), nil
}

const traceMagic = "RFB trace 001.000"

const (
	maxTraceLine = 1 << 10  // bytes of a line of a trace's head
	maxChunk     = 16 << 20 // bytes of a chunk
	maxTrace     = 1 << 30  // bytes of memory for a trace's chunks
	chunkCost    = 112      // bytes of memory for a Chunk: 40, as much and a quarter more while their slice grows, and its data's rounding
)

// ReadTrace reads a trace, as it is or packed with gzip. The error wraps
// [ErrFormat] if it isn't one, [ErrMalformed] if it is broken, [ErrLimit] if it
// needs more than 1 GiB of memory, and the reader's own if it fails. It wraps
// [io.ErrUnexpectedEOF] if the trace was cut off, as that of a program that was
// killed is: then, and only then, ReadTrace returns a trace as well, of all that
// is there.
func ReadTrace(r io.Reader) (*Trace, error) { return readTrace(r, maxTrace) }

func readTrace(r io.Reader, limit int64) (*Trace, error) {
	t := new(Trace)
	b, err := unpack(r)
	if err != nil {
		return t.unless(err)
	}
	if err := t.readHead(b); err != nil {
		return t.unless(err)
	}
	for {
		c, err := readChunk(b)
		if err == io.EOF {
			return t, nil
		}
		whole := err == nil
		if whole || len(c.Data) > 0 { // the beginning of one is what it is
			var spent error
			if limit, spent = spend(limit, len(c.Data)); spent != nil {
				return nil, spent
			}
			t.Chunks = append(t.Chunks, c)
		}
		if !whole {
			return t.unless(err)
		}
	}
}

// unless is t unless err is another one than that of a trace that was cut off.
func (t *Trace) unless(err error) (*Trace, error) {
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return t, err
}

// spend is what is left of a limit after a chunk of n bytes. An eighth of them
// is what the memory for them may be larger.
func spend(limit int64, n int) (int64, error) {
	if limit -= chunkCost + int64(n) + int64(n)/8; limit < 0 {
		return 0, fmt.Errorf("rfb: %w: a trace that needs more than %d bytes of memory", ErrLimit, maxTrace)
	}
	return limit, nil
}

// unpack undoes gzip, if there is any.
func unpack(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(2)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("rfb: reading a trace: %w", err)
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("rfb: reading a trace: %w", broken(err))
	}
	return bufio.NewReader(unpacker{z}), nil
}

// An unpacker reads what gzip packed; its errors wrap ErrMalformed if that is
// broken.
type unpacker struct{ z *gzip.Reader }

func (u unpacker) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	return n, broken(err)
}

// broken adds ErrMalformed to gzip's own errors. That of one that was cut off
// isn't among them.
func broken(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

// first reads the n bytes by which a file is known, which begin with magic. They
// are "" if there are fewer of another kind; if the file was cut off within them
// the error wraps io.ErrUnexpectedEOF. Any other error is the reader's.
func first(r io.Reader, n int, magic string) (string, error) {
	b := make([]byte, n)
	have, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return string(b), nil
	case err == io.EOF, err == io.ErrUnexpectedEOF && !strings.HasPrefix(magic, string(b[:min(have, len(magic))])):
		return "", nil
	}
	return "", fmt.Errorf("rfb: reading a trace: %w", err)
}

func (t *Trace) readHead(b *bufio.Reader) error {
	line, err := first(b, len(traceMagic)+1, traceMagic)
	if err != nil {
		return err
	}
	if line != traceMagic+"\n" {
		return fmt.Errorf("rfb: %w: no trace (it doesn't begin with %q)", ErrFormat, traceMagic)
	}
	fields := map[string]*string{"server": &t.Server, "viewer": &t.Viewer, "note": &t.Note}
	for {
		if line, err = readLine(b); err != nil || line == "" {
			return err
		}
		key, value, _ := strings.Cut(line, ": ")
		field, ok := fields[key]
		if !ok {
			return fmt.Errorf("rfb: %w: a trace's head has no %q, or only one", ErrMalformed, key)
		}
		*field = value
		delete(fields, key)
	}
}

func readLine(b *bufio.Reader) (string, error) {
	line, err := b.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(line) > maxTraceLine:
		return "", fmt.Errorf("rfb: %w: a line of more than %d bytes", ErrLimit, maxTraceLine)
	case err == io.EOF, err == io.ErrUnexpectedEOF: // the latter is gzip's
		return "", fmt.Errorf("rfb: a trace's head ends early: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return "", fmt.Errorf("rfb: reading a trace: %w", err)
	case bytes.IndexByte(line, '\r') >= 0:
		return "", fmt.Errorf("rfb: %w: a carriage return in a trace's head", ErrMalformed)
	}
	return string(line[:len(line)-1]), nil
}

// readChunk returns io.EOF at the end, and what there is of a chunk that was cut
// off.
func readChunk(b *bufio.Reader) (c Chunk, err error) {
	var head [9]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		if err != io.EOF {
			err = fmt.Errorf("rfb: reading a trace: %w", err)
		}
		return c, err
	}
	c.From = Direction(head[0])
	if c.From != FromViewer && c.From != FromServer {
		return c, fmt.Errorf("rfb: %w: %v in a trace", ErrMalformed, c.From)
	}
	c.At = time.Duration(be32(head[1:])) * time.Millisecond
	c.Data, err = readExactly(b, be32(head[5:]))
	return c, err
}

// readExactly reads n bytes, makes room for them as they come, and returns what
// there is if those aren't all.
func readExactly(r io.Reader, n uint32) ([]byte, error) {
	if n > maxChunk {
		return nil, fmt.Errorf("rfb: %w: a chunk of %d bytes", ErrLimit, n)
	}
	b := make([]byte, min(n, 64<<10))
	for have := 0; ; {
		m, err := io.ReadFull(r, b[have:])
		have += m
		switch {
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
			fallthrough
		case err != nil:
			return b[:have], fmt.Errorf("rfb: reading a trace: %w", err)
		case have == int(n):
			return b, nil
		}
		larger := make([]byte, min(int(n), 2*have))
		copy(larger, b)
		b = larger
	}
}

// WriteTo writes the trace, not packed.
func (t *Trace) WriteTo(w io.Writer) (int64, error) {
	counted := &counter{w: w}
	tw, err := NewTraceWriter(counted, t.Server, t.Viewer, t.Note)
	for _, c := range t.Chunks {
		if err != nil {
			break
		}
		err = tw.Write(c)
	}
	return counted.n, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// A TraceWriter writes a trace while it happens. It is not safe for concurrent
// use.
type TraceWriter struct {
	w    io.Writer
	buf  []byte
	left int64 // bytes of memory that reading the rest back may need
}

// NewTraceWriter begins a trace on w; see [Trace] for its fields. Nothing has to
// be closed.
func NewTraceWriter(w io.Writer, server, viewer, note string) (*TraceWriter, error) {
	head := traceMagic + "\n"
	for _, line := range []struct{ key, value string }{{"server", server}, {"viewer", viewer}, {"note", note}} {
		if strings.ContainsAny(line.value, "\r\n") || len(line.key)+len(": \n")+len(line.value) > maxTraceLine {
			return nil, fmt.Errorf("rfb: a trace's %s must be one short line", line.key)
		}
		if line.value != "" {
			head += line.key + ": " + line.value + "\n"
		}
	}
	if _, err := io.WriteString(w, head+"\n"); err != nil {
		return nil, fmt.Errorf("rfb: writing a trace: %w", err)
	}
	return &TraceWriter{w: w, left: maxTrace}, nil
}

// Write adds a chunk; it is split if it is larger than a trace allows. The error
// wraps [ErrLimit] if [ReadTrace] couldn't read the trace any more, or the chunk's
// time is negative or beyond 49 days: nothing is written then, and the trace is whole up to there.
func (w *TraceWriter) Write(c Chunk) error {
	if c.From != FromViewer && c.From != FromServer {
		return fmt.Errorf("rfb: %v is no direction", c.From)
	}
	at, err := milliseconds(c.At)
	if err != nil {
		return err
	}
	left := w.left
	for n := len(c.Data); ; n -= maxChunk {
		var err error
		if left, err = spend(left, min(n, maxChunk)); err != nil {
			return err
		}
		if n <= maxChunk {
			break
		}
	}
	w.left = left
	for first := true; first || len(c.Data) > 0; first = false {
		p := c.Data[:min(len(c.Data), maxChunk)]
		c.Data = c.Data[len(p):]
		w.buf = append(w.buf[:0], byte(c.From))
		w.buf = binary.BigEndian.AppendUint32(w.buf, at)
		w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(p)))
		w.buf = append(w.buf, p...)
		if _, err := w.w.Write(w.buf); err != nil {
			return fmt.Errorf("rfb: writing a trace: %w", err)
		}
	}
	return nil
}

// Stream is everything that one peer sent.
func (t *Trace) Stream(from Direction) []byte {
	var b []byte
	for _, c := range t.Chunks {
		if c.From == from {
			b = append(b, c.Data...)
		}
	}
	return b
}

// Handshake is the trace's, as far as it goes. The error is that of
// [Handshake.Feed].
func (t *Trace) Handshake() (*Handshake, error) {
	h := new(Handshake)
	for _, c := range t.Chunks {
		if err := h.Feed(c.From, c.Data); err != nil || h.Done() {
			return h, err
		}
	}
	return h, nil
}

// Trim cuts off what comes after the last message that each peer has completed,
// and returns how many bytes those were: a capture usually ends where a
// connection did. A trace that can't be read, or whose handshake doesn't end,
// is left as it is; the error is that of [Trace.Events], and says where.
func (t *Trace) Trim() (int64, error) {
	d := newDissector(t, func(Event) bool { return true })
	err := d.run()
	if err != nil && !(errors.Is(err, io.ErrUnexpectedEOF) && d.shake.Done()) {
		return 0, err
	}
	var cut int64
	left := d.complete
	kept := t.Chunks[:0:0]
	for _, c := range t.Chunks {
		n := min(int64(len(c.Data)), left[c.From])
		left[c.From] -= n
		cut += int64(len(c.Data)) - n
		if n > 0 {
			c.Data = c.Data[:n]
			kept = append(kept, c)
		}
	}
	t.Chunks = kept
	return cut, nil
}
