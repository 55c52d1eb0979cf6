package rfb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// FBS is the format of recordings that rfbproxy defined and that it, the RFB
// Session Player of TightVNC and vncproxy play: "FBS 001.000\n", then blocks of
// U32 length, the bytes, padding to a multiple of four, and U32 milliseconds.
// The first hold a handshake of version 3.3 without authentication. Only what
// the server sent is there. rfbproxy ends its recordings with a block of no
// bytes; TightVNC's player takes one for an error, so that none is written.
const fbsMagic = "FBS 001."

// WriteFBS writes the trace as a recording. Its ServerInit has the pixel format
// that the viewer asked for before anything was shown, so that players which
// take it for the recording's are right; the error wraps [ErrForbidden] if the
// viewer asked for another one later, which no player would know, and [ErrLimit] if
// a time is beyond the 49 days that there is room for.
func (t *Trace) WriteFBS(w io.Writer) error {
	h, err := t.Handshake()
	if err != nil {
		return err
	}
	if !h.Done() || h.Refused {
		return fmt.Errorf("rfb: %w: no session to record, the handshake doesn't end", ErrMalformed)
	}
	init := h.Init
	if init.Format, err = t.onlyFormat(init.Format); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	_, _ = out.WriteString(fbsMagic + "000\n")
	head := append(version33.message(), u32bytes(uint32(SecurityNone))...)
	head, _ = init.AppendBinary(head)
	writeBlock(out, head, 0)
	var at uint32
	skip := h.Len(FromServer)
	for _, c := range t.Chunks {
		if c.From != FromServer {
			continue
		}
		n := min(int64(len(c.Data)), skip)
		skip -= n
		if p := c.Data[n:]; len(p) > 0 {
			if at, err = milliseconds(c.At); err != nil {
				return err
			}
			writeBlock(out, p, at)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("rfb: writing a recording: %w", err)
	}
	return nil
}

// onlyFormat is the pixel format of all updates.
func (t *Trace) onlyFormat(f PixelFormat) (PixelFormat, error) {
	shown := false
	for e, err := range t.Events() {
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return f, err
		}
		switch m := e.Message.(type) {
		case *SetPixelFormat:
			if shown && m.Format != f {
				return f, fmt.Errorf("rfb: %w: the pixel format changes at %v", ErrForbidden, e.At)
			}
			f = m.Format
		case *FramebufferUpdate:
			shown = true
		}
	}
	return f, nil
}

// writeBlock writes a block; a bufio.Writer keeps its errors.
func writeBlock(w *bufio.Writer, p []byte, at uint32) {
	_, _ = w.Write(u32bytes(uint32(len(p))))
	_, _ = w.Write(p)
	_, _ = w.Write(make([]byte, -len(p)&3))
	_, _ = w.Write(u32bytes(at))
}

// ReadFBS reads a recording, as it is or packed with gzip, into a trace with
// the handshake's other half added. The errors are those of [ReadTrace]; of a
// recording that was cut off the whole blocks are returned as well. A block
// without bytes ends a recording, as does its end.
func ReadFBS(r io.Reader) (*Trace, error) { return readFBS(r, maxTrace) }

func readFBS(r io.Reader, limit int64) (*Trace, error) {
	t := &Trace{Note: "a recording, FBS"}
	b, err := unpack(r)
	if err != nil {
		return t.unless(err)
	}
	line, err := first(b, len(fbsMagic)+len("000\n"), fbsMagic)
	if err != nil {
		return t.unless(err)
	}
	if !strings.HasPrefix(line, fbsMagic) || !strings.HasSuffix(line, "\n") {
		return nil, fmt.Errorf("rfb: %w: no recording (it doesn't begin with %q)", ErrFormat, fbsMagic)
	}
	said := [][]byte{version33.message(), {1}} // the viewer's half
	for {
		p, at, err := readBlock(b)
		if err == io.EOF || err == nil && len(p) == 0 {
			return t, nil
		}
		if err == nil {
			limit, err = spend(limit, len(p))
		}
		if err != nil {
			return t.unless(err)
		}
		t.Chunks = append(t.Chunks, Chunk{FromServer, at, p})
		for _, p := range said {
			t.Chunks = append(t.Chunks, Chunk{FromViewer, at, p})
		}
		said = nil
	}
}

// readBlock returns io.EOF at the end.
func readBlock(r io.Reader) ([]byte, time.Duration, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		if err != io.EOF {
			err = fmt.Errorf("rfb: reading a recording: %w", err)
		}
		return nil, 0, err
	}
	size := be32(n[:])
	p, err := readExactly(r, size)
	if err != nil {
		return nil, 0, err
	}
	var tail [3 + 4]byte
	pad := int(-size & 3)
	switch _, err := io.ReadFull(r, tail[:pad+4]); {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		if size == 0 {
			return nil, 0, io.EOF
		}
		return nil, 0, fmt.Errorf("rfb: reading a recording: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, 0, fmt.Errorf("rfb: reading a recording: %w", err)
	}
	return p, time.Duration(binary.BigEndian.Uint32(tail[pad:])) * time.Millisecond, nil
}
