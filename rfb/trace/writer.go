package trace

import (
	"encoding/binary"
	"io"
	"strings"
	"time"

	"vda.internal/shadow/rfb"
)

// A Writer writes a capture while it happens. It is not safe for concurrent use.
type Writer struct {
	w   io.Writer
	buf []byte
}

// NewWriter begins a capture on w, unpacked. It writes each chunk with one call;
// nothing has to be closed. The error says which of the header's fields isn't one
// short line, or is w's own.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	head := magic + "\n"
	for _, line := range []struct{ key, value string }{{"server", h.Server}, {"viewer", h.Viewer}, {"note", h.Note}} {
		if strings.ContainsAny(line.value, "\r\n") || len(line.key)+len(": \n")+len(line.value) > maxLine {
			return nil, pkg.Errorf("a trace's %s must be one short line", line.key)
		}
		if line.value != "" {
			head += line.key + ": " + line.value + "\n"
		}
	}
	if _, err := io.WriteString(w, head+"\n"); err != nil {
		return nil, pkg.Errorf("writing a trace: %w", err)
	}
	return &Writer{w: w}, nil
}

// Write adds a chunk, in several if it has more than 16 MiB. The error wraps
// [rfb.ErrLimit] if the chunk's time is negative or beyond 49 days: nothing is
// written then.
func (w *Writer) Write(c Chunk) error {
	if c.From != rfb.FromViewer && c.From != rfb.FromServer {
		return pkg.Errorf("%v is no direction", c.From)
	}
	at, err := milliseconds(c.At)
	if err != nil {
		return err
	}
	for first := true; first || len(c.Data) > 0; first = false {
		p := c.Data[:min(len(c.Data), maxChunk)]
		c.Data = c.Data[len(p):]
		w.buf = append(w.buf[:0], byte(c.From))
		w.buf = binary.BigEndian.AppendUint32(w.buf, at)
		w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(p)))
		w.buf = append(w.buf, p...)
		if _, err := w.w.Write(w.buf); err != nil {
			return pkg.Errorf("writing a trace: %w", err)
		}
	}
	return nil
}

// milliseconds is at as files have it. The error wraps [rfb.ErrLimit].
func milliseconds(at time.Duration) (uint32, error) {
	if at < 0 || at > maxTime {
		return 0, pkg.Errorf("%w: a file can't say %v, at most %v", rfb.ErrLimit, at, maxTime)
	}
	return uint32(at / time.Millisecond), nil
}
