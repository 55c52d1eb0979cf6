package trace

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"time"

	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/rfb"
)

const pkg = named.Package("trace")

// ErrFormat says that a file is no capture, or no recording, at all. It wraps
// [rfb.ErrMalformed].
var ErrFormat = fmt.Errorf("%w: another kind of file", rfb.ErrMalformed)

// A Header is what a capture says about itself. Each field is one line, empty if
// nothing is said, and about a thousand bytes at most.
type Header struct {
	Server string // the program and its version
	Viewer string // the same of the viewer
	Note   string // what happens
}

// A Chunk is what one peer sent at a time.
type Chunk struct {
	From rfb.Direction // who sent it: rfb.FromViewer or rfb.FromServer

	// At is since the trace began, kept to the millisecond, and at most 49 days,
	// which is what files have room for.
	At   time.Duration
	Data []byte // at most 16 MiB in a file
}

const magic = "RFB trace 001.000"

const (
	maxLine  = 1 << 10                           // bytes of a line of a trace's head
	maxChunk = 16 << 20                          // bytes of a chunk
	maxTime  = math.MaxUint32 * time.Millisecond // 49 days, which files have room for
)

// A Reader reads a capture or a recording. It is not safe for concurrent use,
// and nothing has to be closed.
type Reader struct {
	Header // of the capture; a recording has a note only

	b     *bufio.Reader
	chunk func(*Reader) (Chunk, error)
	ahead []Chunk // that come before what is read next
	said  []Chunk // the viewer's half of a recording's handshake, until it is ahead
	err   error   // what Next has returned; final
}

// NewReader reads the head of a capture, as it is or packed with gzip. The error
// wraps [ErrFormat] if r has none, [rfb.ErrMalformed] or [rfb.ErrLimit] if it is
// broken, and r's own if that fails. It wraps [io.ErrUnexpectedEOF] if the file
// was cut off, as that of a program that was killed is: then, and only then, there
// is a Reader as well, of no chunks.
func NewReader(r io.Reader) (*Reader, error) {
	t := &Reader{chunk: (*Reader).readChunk}
	b, err := unpack(r)
	if err == nil {
		t.b = b
		err = t.readHead()
	}
	return t.begun(err)
}

// begun is what a constructor returns.
func (r *Reader) begun(err error) (*Reader, error) {
	switch r.err = err; {
	case err == nil:
		return r, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return r, err
	}
	return nil, err
}

// Next returns the next chunk, whose Data is the caller's, and [io.EOF] after the
// last one. Any other error is as that of [NewReader]. If the file was cut off the
// chunk is what there is of its last one; it has no Data if that is nothing.
// After an error Next returns the same again, without a chunk.
func (r *Reader) Next() (Chunk, error) {
	if len(r.ahead) > 0 {
		c := r.ahead[0]
		r.ahead = r.ahead[1:]
		return c, nil
	}
	if r.err != nil {
		return Chunk{}, r.err
	}
	c, err := r.chunk(r)
	r.err = err
	return c, err
}

// Chunks returns what Next would, up to its first error, without an [io.EOF].
// What there is of a chunk that was cut off comes before the error, which comes
// alone.
func (r *Reader) Chunks() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		for {
			c, err := r.Next()
			if (err == nil || len(c.Data) > 0) && !yield(c, nil) || err == io.EOF {
				return
			}
			if err != nil {
				yield(Chunk{}, err)
				return
			}
		}
	}
}

// unpack undoes gzip, if there is any.
func unpack(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(2)
	if err != nil && err != io.EOF {
		return nil, pkg.Errorf("reading a trace: %w", err)
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, pkg.Errorf("reading a trace: %w", broken(err))
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
		return fmt.Errorf("%w: %w", rfb.ErrMalformed, err)
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
	return "", pkg.Errorf("reading a trace: %w", err)
}

func (r *Reader) readHead() error {
	line, err := first(r.b, len(magic)+1, magic)
	if err != nil {
		return err
	}
	if line != magic+"\n" {
		return pkg.Errorf("%w: no trace (it doesn't begin with %q)", ErrFormat, magic)
	}
	fields := map[string]*string{"server": &r.Server, "viewer": &r.Viewer, "note": &r.Note}
	for {
		if line, err = readLine(r.b); err != nil || line == "" {
			return err
		}
		key, value, _ := strings.Cut(line, ": ")
		field, ok := fields[key]
		if !ok {
			return pkg.Errorf("%w: a trace's head has no %q, or only one", rfb.ErrMalformed, key)
		}
		*field = value
		delete(fields, key)
	}
}

func readLine(b *bufio.Reader) (string, error) {
	line, err := b.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(line) > maxLine:
		return "", pkg.Errorf("%w: a line of more than %d bytes", rfb.ErrLimit, maxLine)
	case err == io.EOF, err == io.ErrUnexpectedEOF: // the latter is gzip's
		return "", pkg.Errorf("a trace's head ends early: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return "", pkg.Errorf("reading a trace: %w", err)
	case bytes.IndexByte(line, '\r') >= 0:
		return "", pkg.Errorf("%w: a carriage return in a trace's head", rfb.ErrMalformed)
	}
	return string(line[:len(line)-1]), nil
}

// readChunk is Next for a capture.
func (r *Reader) readChunk() (c Chunk, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r.b, head[:]); err != nil {
		if err != io.EOF {
			err = pkg.Errorf("reading a trace: %w", err)
		}
		return c, err
	}
	c.From = rfb.Direction(head[0])
	if c.From != rfb.FromViewer && c.From != rfb.FromServer {
		return Chunk{}, pkg.Errorf("%w: %v in a trace", rfb.ErrMalformed, c.From)
	}
	c.At = time.Duration(binary.BigEndian.Uint32(head[1:])) * time.Millisecond
	c.Data, err = readExactly(r.b, binary.BigEndian.Uint32(head[5:]))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		c = Chunk{}
	}
	return c, err
}

// readExactly reads n bytes, makes room for them as they come, and returns what
// there is if those aren't all.
func readExactly(r io.Reader, n uint32) ([]byte, error) {
	if n > maxChunk {
		return nil, pkg.Errorf("%w: a chunk of %d bytes", rfb.ErrLimit, n)
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
			return b[:have], pkg.Errorf("reading a trace: %w", err)
		case have == int(n):
			return b, nil
		}
		larger := make([]byte, min(int(n), 2*have))
		copy(larger, b)
		b = larger
	}
}
