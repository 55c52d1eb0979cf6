package trace

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"time"

	"vda.internal/shadow/rfb"
)

// FBS is the format of recordings that rfbproxy defined and that it, the RFB
// Session Player of TightVNC and vncproxy play: "FBS 001.000\n", then blocks of
// U32 length, the bytes, padding to a multiple of four, and U32 milliseconds.
// The first hold a handshake of version 3.3 without authentication. Only what
// the server sent is there. rfbproxy ends its recordings with a block of no
// bytes; TightVNC's player takes one for an error, so that none is written.
const fbsMagic = "FBS 001."

// version33 is the version of a recording's handshake.
const version33 = "RFB 003.003\n"

// An FBSWriter writes a session as a recording. What the server sends is held
// back, up to 64 MiB, until the first update: only then is it known which pixel
// format the viewer has asked for. It is not safe for concurrent use.
type FBSWriter struct {
	w      io.Writer
	d      Decoder
	format rfb.PixelFormat // of all updates
	shown  bool            // there was an update
	begun  bool            // the head is written
	skip   int64           // bytes of the server's that are its handshake
	held   []Chunk
	size   int // bytes in held
	buf    []byte
}

// maxBefore is how many bytes an FBSWriter holds back at most.
const maxBefore = 64 << 20

// NewFBSWriter returns a writer of a recording on w, unpacked. Close must be
// called after the last chunk.
func NewFBSWriter(w io.Writer) *FBSWriter { return &FBSWriter{w: w} }

// Write adds what is the server's of a chunk. The recording's ServerInit has the
// pixel format that the viewer asked for before anything was shown, so that
// players which take it for the recording's are right. The error is final. It wraps
// [rfb.ErrForbidden] if the viewer asks for another format later, which no player
// would know, and [rfb.ErrLimit] if a time is beyond the 49 days that there is room
// for; else it is that of [Decoder.Feed], or w's own.
func (f *FBSWriter) Write(c Chunk) error {
	for e, err := range f.d.Feed(c) {
		if err != nil {
			return err
		}
		switch m := e.Message.(type) {
		case *rfb.SetPixelFormat:
			if f.shown && m.Format != f.format {
				return pkg.Errorf("%w: the pixel format changes at %v", rfb.ErrForbidden, e.At)
			}
			f.format = m.Format
		case *rfb.FramebufferUpdate:
			f.shown = true
		}
		if e.Handshake != nil {
			f.format = e.Handshake.Init.Format
			f.skip = e.Handshake.Len(rfb.FromServer)
		}
	}
	if c.From == rfb.FromServer {
		f.held, f.size = append(f.held, c), f.size+len(c.Data)
	}
	if f.shown {
		return f.flush()
	}
	if f.size > maxBefore {
		return pkg.Errorf("%w: more than %d bytes before the first update", rfb.ErrLimit, maxBefore)
	}
	return nil
}

// Close writes what is held back. It doesn't close the writer that the recording
// goes to. The error wraps [rfb.ErrMalformed] if there was no session: nothing was
// written then.
func (f *FBSWriter) Close() error {
	if h := f.d.Handshake(); !h.Done() || h.Refused {
		return pkg.Errorf("%w: no session to record, the handshake doesn't end", rfb.ErrMalformed)
	}
	return f.flush()
}

// flush writes the head, if it isn't written, and what was held back.
func (f *FBSWriter) flush() error {
	if !f.begun {
		f.begun = true
		init := f.d.Handshake().Init
		init.Format = f.format
		head, _ := init.AppendBinary(append([]byte(version33), 0, 0, 0, byte(rfb.SecurityNone)))
		f.buf = append(f.buf[:0], fbsMagic+"000\n"...)
		f.block(head, 0)
	}
	for _, c := range f.held {
		n := min(int64(len(c.Data)), f.skip)
		f.skip -= n
		if p := c.Data[n:]; len(p) > 0 {
			at, err := milliseconds(c.At)
			if err != nil {
				return err
			}
			f.block(p, at)
		}
	}
	f.held, f.size = f.held[:0], 0
	if _, err := f.w.Write(f.buf); err != nil {
		return pkg.Errorf("writing a recording: %w", err)
	}
	f.buf = f.buf[:0]
	return nil
}

// block appends a block to what is to be written.
func (f *FBSWriter) block(p []byte, at uint32) {
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(len(p)))
	f.buf = append(f.buf, p...)
	f.buf = append(f.buf, make([]byte, -len(p)&3)...)
	f.buf = binary.BigEndian.AppendUint32(f.buf, at)
}

// NewFBSReader reads the head of a recording, as it is or packed with gzip; the
// handshake's other half is added to its chunks. The errors are those of
// [NewReader], but of a recording that was cut off there are whole blocks only. A
// block without bytes ends a recording, as does its end.
func NewFBSReader(r io.Reader) (*Reader, error) {
	t := &Reader{Header: Header{Note: "a recording, FBS"}, chunk: (*Reader).readBlock}
	for _, p := range []string{version33, "\x01"} {
		t.said = append(t.said, Chunk{From: rfb.FromViewer, Data: []byte(p)})
	}
	b, err := unpack(r)
	if err != nil {
		return t.begun(err)
	}
	t.b = b
	line, err := first(b, len(fbsMagic)+len("000\n"), fbsMagic)
	if err == nil && (!strings.HasPrefix(line, fbsMagic) || !strings.HasSuffix(line, "\n")) {
		err = pkg.Errorf("%w: no recording (it doesn't begin with %q)", ErrFormat, fbsMagic)
	}
	return t.begun(err)
}

// readBlock is Next for a recording.
func (r *Reader) readBlock() (Chunk, error) {
	p, at, err := r.nextBlock()
	if err == nil && len(p) == 0 {
		err = io.EOF
	}
	if err != nil {
		return Chunk{}, err
	}
	for i := range r.said {
		r.said[i].At = at
	}
	r.ahead, r.said = r.said, nil
	return Chunk{rfb.FromServer, at, p}, nil
}

// nextBlock returns io.EOF at the end.
func (r *Reader) nextBlock() ([]byte, time.Duration, error) {
	var n [4]byte
	if _, err := io.ReadFull(r.b, n[:]); err != nil {
		if err != io.EOF {
			err = pkg.Errorf("reading a recording: %w", err)
		}
		return nil, 0, err
	}
	size := binary.BigEndian.Uint32(n[:])
	p, err := readExactly(r.b, size)
	if err != nil {
		return nil, 0, err
	}
	var tail [3 + 4]byte
	pad := int(-size & 3)
	switch _, err := io.ReadFull(r.b, tail[:pad+4]); {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if size == 0 {
			return nil, 0, io.EOF
		}
		return nil, 0, pkg.Errorf("reading a recording: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, 0, pkg.Errorf("reading a recording: %w", err)
	}
	return p, time.Duration(binary.BigEndian.Uint32(tail[pad:])) * time.Millisecond, nil
}
