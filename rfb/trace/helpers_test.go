package trace

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// update is set by: go test ./rfb/trace -update
var updateFiles = flag.Bool("update", false, "write the listings beside testdata/traces")

// traces is where captured sessions are, SERVER-VERSION/SCENARIO.trace.gz.
const traces = "../../testdata/traces"

const traceSuffix = ".trace.gz"

// unhex reads hexadecimal bytes, spaces ignored.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(t, err)
	return b
}

// u32 is a number as it goes over the wire.
func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func join(b ...[]byte) []byte { return bytes.Join(b, nil) }

// wire is a message, given as a value, or a part of the handshake as it goes over
// the wire.
func wire(t testing.TB, m any) []byte {
	t.Helper()
	var b []byte
	var err error
	if part, ok := m.(encoding.BinaryAppender); ok {
		b, err = part.AppendBinary(nil)
	} else {
		p := reflect.New(reflect.TypeOf(m))
		p.Elem().Set(reflect.ValueOf(m))
		b, err = rfb.AppendMessage(nil, p.Interface().(rfb.Message))
	}
	require.NoError(t, err)
	return b
}

func zeros(n int) []byte { return make([]byte, n) }

// update is a FramebufferUpdate.
func update(rects ...[]byte) []byte { return join([]byte{0, 0, 0, byte(len(rects))}, join(rects...)) }

func rectOf(r rfb.Rect, e rfb.Encoding, body ...[]byte) []byte {
	var b []byte
	for _, n := range []uint16{r.X, r.Y, r.Width, r.Height} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return join(b, u32(uint32(e)), join(body...))
}

// Formats of pixels: what viewers ask for, and the server's.
var (
	pinned = rfb.PixelFormat{BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255,
		GreenShift: 8, BlueShift: 16}
	format16 = rfb.PixelFormat{BitsPerPixel: 16, Depth: 16, TrueColor: true, RedMax: 31, GreenMax: 63, BlueMax: 31, RedShift: 11, GreenShift: 5}
	format8  = rfb.PixelFormat{BitsPerPixel: 8, Depth: 8, TrueColor: true, RedMax: 7, GreenMax: 7, BlueMax: 3, GreenShift: 3, BlueShift: 6}
	desktop  = rfb.ServerInit{Width: 640, Height: 480, Name: "desk", Format: rfb.PixelFormat{BitsPerPixel: 32, Depth: 24, TrueColor: true,
		RedMax: 255, GreenMax: 255, BlueMax: 255, RedShift: 16, GreenShift: 8}}
)

// noVNC is what stock noVNC 1.7 sends at the start of a session.
func noVNC(t testing.TB) []byte {
	return join(wire(t, rfb.SetPixelFormat{Format: pinned}), wire(t, rfb.SetEncodings{Encodings: []rfb.Encoding{
		1, 50, 7, -260, 16, 21, 5, 2, 6, 0, -26, -254, -223, -224, -258, -261, -308, -309, -312, -313, -307,
		-0x3f5e1a32, -316, 0x574d5664, -239,
	}}), wire(t, rfb.FramebufferUpdateRequest{Rect: rfb.Rect{Width: 640, Height: 480}}))
}

// A Trace is a whole session in memory.
type Trace struct {
	Header
	Chunks []Chunk
}

// read is all that a reader has.
func read(r *Reader, err error) (*Trace, error) {
	if r == nil {
		return nil, err
	}
	t := &Trace{Header: r.Header}
	for err == nil {
		var c Chunk
		if c, err = r.Next(); err == nil || len(c.Data) > 0 {
			t.Chunks = append(t.Chunks, c)
		}
	}
	switch {
	case err == io.EOF:
		return t, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return t, err
	}
	return nil, err
}

func ReadTrace(r io.Reader) (*Trace, error) { return read(NewReader(r)) }
func ReadFBS(r io.Reader) (*Trace, error)   { return read(NewFBSReader(r)) }

func (t *Trace) all() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		for _, c := range t.Chunks {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (t *Trace) Events() iter.Seq2[Event, error] { return Events(t.all()) }

func (t *Trace) Stream(from rfb.Direction) (b []byte) {
	for _, c := range t.Chunks {
		if c.From == from {
			b = append(b, c.Data...)
		}
	}
	return b
}

func (t *Trace) Handshake() (*rfb.Handshake, error) {
	var d Decoder
	for _, c := range t.Chunks {
		for _, err := range d.Feed(c) {
			if err != nil && !d.Handshake().Done() {
				return d.Handshake(), err
			}
		}
	}
	return d.Handshake(), nil
}

// Trim keeps what a Trimmer does, or everything if it fails.
func (t *Trace) Trim() (int64, error) {
	var trim Trimmer
	var kept []Chunk
	for c, err := range trim.Trim(t.all()) {
		if err != nil {
			return 0, err
		}
		kept = append(kept, c)
	}
	t.Chunks = kept
	return trim.Cut, nil
}

func (t *Trace) Write(w io.Writer) error {
	tw, err := NewWriter(w, t.Header)
	for _, c := range t.Chunks {
		if err == nil {
			err = tw.Write(c)
		}
	}
	return err
}

func (t *Trace) WriteFBS(w io.Writer) error {
	f := NewFBSWriter(w)
	for _, c := range t.Chunks {
		if err := f.Write(c); err != nil {
			return err
		}
	}
	return f.Close()
}

// A captured is a trace with what there is in it.
type captured struct {
	*Trace
	shake   *rfb.Handshake
	one     bool   // one pixel format holds for all updates
	updates int    // FramebufferUpdates in it
	stream  []byte // of the server after the handshake
}

// readTraces are all traces by name, read once; don't change them. There must
// be some.
func readTraces(t testing.TB) map[string]*captured {
	t.Helper()
	reading.Do(func() { all = readAll(t) })
	require.NotEmpty(t, all, "the traces can't be read")
	return all
}

var (
	reading sync.Once
	all     map[string]*captured
)

func readAll(t testing.TB) map[string]*captured {
	files, err := filepath.Glob(traces + "/*/*" + traceSuffix)
	require.NoError(t, err)
	require.NotEmpty(t, files, "no traces: go test ./rfb -run Live -update")
	all := make(map[string]*captured)
	for _, file := range files {
		f, err := os.Open(file)
		require.NoError(t, err)
		tr, err := ReadTrace(f)
		f.Close()
		require.NoError(t, err, file)
		name, err := filepath.Rel(traces, strings.TrimSuffix(file, traceSuffix))
		require.NoError(t, err)
		all[name] = examine(t, tr, name)
	}
	return all
}

// examine takes a trace apart, to its last byte.
func examine(t testing.TB, tr *Trace, name string) *captured {
	t.Helper()
	c := &captured{Trace: tr, one: true}
	var err error
	c.shake, err = tr.Handshake()
	require.NoError(t, err, name)
	require.True(t, c.shake.Done(), name)
	format := c.shake.Init.Format
	for e, err := range tr.Events() {
		require.NoError(t, err, name)
		switch m := e.Message.(type) {
		case *rfb.SetPixelFormat:
			c.one = c.one && (c.updates == 0 || m.Format == format)
			format = m.Format
		case *rfb.FramebufferUpdate:
			c.updates++
		}
	}
	c.stream = tr.Stream(rfb.FromServer)[c.shake.Len(rfb.FromServer):]
	return c
}

// seedTraces gives a fuzzer the traces. There must be some.
func seedTraces(f *testing.F, add func(*captured)) {
	f.Helper()
	all := readTraces(f)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		add(all[name])
	}
}
