package rfb

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTraceIsReadAsItWasWritten(t *testing.T) {
	tr := smallTrace(t)
	var b, packed bytes.Buffer
	n, err := tr.WriteTo(&b)
	require.NoError(t, err)
	assert.EqualValues(t, b.Len(), n)
	assert.True(t, strings.HasPrefix(b.String(), "RFB trace 001.000\nserver: a server\nviewer: a viewer\nnote: small\n\n\x02\x00\x00\x00\x00\x00\x00\x00\x0cRFB 003.008\n"))
	z := gzip.NewWriter(&packed)
	_, err = z.Write(b.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, r := range []io.Reader{bytes.NewReader(b.Bytes()), iotest.OneByteReader(bytes.NewReader(b.Bytes())), &packed} {
		again, err := ReadTrace(r)
		require.NoError(t, err)
		assert.Equal(t, tr, again)
	}
}

func TestTraceRefuses(t *testing.T) {
	head := "RFB trace 001.000\n\n"
	for in, want := range map[string]error{
		"":                                        ErrMalformed,
		"FBS 001.000\n":                           ErrMalformed,
		"RFB trace 002.000\n\n":                   ErrMalformed,
		"RFB trace 001.000\nserver: x":            io.ErrUnexpectedEOF,
		"RFB trace 001.000\ncolour: x\n":          ErrMalformed,
		"RFB trace 001.000\nnote: a\rb\n\n":       ErrMalformed, // found by FuzzTrace: it couldn't be written again
		"RFB trace 001.000\nnote: a\nnote: b\n\n": ErrMalformed,
		"RFB trace 001.000\nnote: " + strings.Repeat("x", 2000) + "\n": ErrLimit,
		head + "\x03\x00\x00\x00\x00\x00\x00\x00\x00":                  ErrMalformed,
		head + "\x01\x00\x00\x00\x00\xff\x00\x00\x00":                  ErrLimit,
		head + "\x01\x00\x00\x00\x00\x00\x00\x00\x02x":                 io.ErrUnexpectedEOF,
		head + "\x01\x00": io.ErrUnexpectedEOF,
	} {
		_, err := ReadTrace(strings.NewReader(in))
		assert.ErrorIs(t, err, want, "%q", in)
	}
	_, err := NewTraceWriter(io.Discard, "two\nlines", "", "")
	assert.Error(t, err)
	longest := strings.Repeat("x", maxTraceLine-len("note: \n"))
	_, err = NewTraceWriter(io.Discard, "", "", longest+"x")
	assert.Error(t, err)
	var b bytes.Buffer
	_, err = (&Trace{Note: longest}).WriteTo(&b)
	require.NoError(t, err)
	again, err := ReadTrace(&b)
	require.NoError(t, err)
	assert.Equal(t, longest, again.Note)
	w, err := NewTraceWriter(io.Discard, "", "", "")
	require.NoError(t, err)
	assert.Error(t, w.Write(Chunk{From: 3}))
}

// A packed file that is broken is malformed, wherever it is, and none that was
// cut off.
func TestTracesThatAreBrokenlyPacked(t *testing.T) {
	tr := smallTrace(t)
	var trace, recording bytes.Buffer
	_, err := tr.WriteTo(&trace)
	require.NoError(t, err)
	require.NoError(t, tr.WriteFBS(&recording))
	for name, read := range map[string]func([]byte) (*Trace, error){
		"trace":     func(b []byte) (*Trace, error) { return ReadTrace(bytes.NewReader(b)) },
		"recording": func(b []byte) (*Trace, error) { return ReadFBS(bytes.NewReader(b)) },
	} {
		content := map[string][]byte{"trace": trace.Bytes(), "recording": recording.Bytes()}[name]
		packed := gzipped(t, content)
		for what, in := range map[string][]byte{
			"header":        join([]byte{0x1f, 0x8b, 9}, packed[3:]),
			"second header": join(packed, []byte("something else, no gzip")),
			"checksum":      join(packed[:len(packed)-8], zeros(8)),
			"data":          join(packed[:10], []byte{7}, packed[11:]),
			"data later":    join(flushed(t, content), []byte{7}),
		} {
			got, err := read(in)
			assert.ErrorIs(t, err, ErrMalformed, "%s: %s", name, what)
			assert.ErrorContains(t, err, "rfb: reading a ", "%s: %s", name, what)
			assert.NotErrorIs(t, err, io.ErrUnexpectedEOF, "%s: %s", name, what)
			assert.Nil(t, got, "%s: %s", name, what)
		}
		_, err := read(packed[:9])
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "a header that was cut off")
		for n := 1; n < len("FBS 001.000\n"); n++ { // within the first line
			for _, in := range [][]byte{content[:n], flushed(t, content[:n])} {
				got, err := read(in)
				assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s: %d bytes", name, n)
				assert.NotNil(t, got, "%s: %d bytes", name, n)
			}
		}
		for _, in := range [][]byte{nil, []byte("FR"), gzipped(t, []byte("FR")), gzipped(t, nil)} {
			got, err := read(in)
			assert.ErrorIs(t, err, ErrFormat, "%s: %q", name, in)
			assert.NotErrorIs(t, err, io.ErrUnexpectedEOF, "%s: %q", name, in)
			assert.Nil(t, got, "%s: %q", name, in)
		}
		assert.NotErrorIs(t, err, ErrMalformed)
	}
}

// gzipped packs b.
func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	return packUntil(t, b, (*gzip.Writer).Close)
}

// flushed is gzipped as a program leaves it that is killed.
func flushed(t testing.TB, b []byte) []byte {
	t.Helper()
	return packUntil(t, b, (*gzip.Writer).Flush)
}

func packUntil(t testing.TB, b []byte, end func(*gzip.Writer) error) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(b)
	require.NoError(t, err)
	require.NoError(t, end(z))
	return packed.Bytes()
}

// A reader that fails isn't a file of another kind, from the first byte on.
func TestTracesThatCantBeRead(t *testing.T) {
	failure := errors.New("the disk is broken")
	head := []byte("RFB trace 001.000\n\n\x01\x00\x00\x00\x00\x00\x00\x00\x05abcde")
	for n := range head {
		got, err := ReadTrace(io.MultiReader(bytes.NewReader(head[:n]), iotest.ErrReader(failure)))
		require.ErrorIs(t, err, failure, n)
		assert.NotErrorIs(t, err, ErrMalformed, n)
		assert.Nil(t, got, n)
	}
	recording := []byte("FBS 001.000\n\x00\x00\x00\x01xxxx\x00\x00\x00\x00")
	for n := range recording {
		got, err := ReadFBS(io.MultiReader(bytes.NewReader(recording[:n]), iotest.ErrReader(failure)))
		require.ErrorIs(t, err, failure, n)
		assert.NotErrorIs(t, err, ErrMalformed, n)
		assert.Nil(t, got, n)
	}
}

// What a killed program has written is read as far as it goes, to the byte.
func TestTraceThatWasCutOff(t *testing.T) {
	tr := smallTrace(t)
	tr.Chunks = append(tr.Chunks, Chunk{FromServer, 0, bytes.Repeat([]byte("ab"), 100<<10)}) // in more than one piece
	var b, packed bytes.Buffer
	_, err := tr.WriteTo(&b)
	require.NoError(t, err)
	z := gzip.NewWriter(&packed)
	tw, err := NewTraceWriter(z, tr.Server, tr.Viewer, tr.Note)
	require.NoError(t, err)
	head := packed.Len()
	for _, c := range tr.Chunks {
		require.NoError(t, z.Flush())
		require.NoError(t, tw.Write(c))
	}
	lengths := func(tr *Trace) (n int) {
		for _, c := range tr.Chunks {
			n += len(c.Data)
		}
		return n
	}
	before := 0
	for n := len("RFB trace 001.000\n"); n < b.Len(); n += 1 + n/1000 {
		got, err := ReadTrace(bytes.NewReader(b.Bytes()[:n]))
		if err == nil { // between two chunks
			assert.True(t, slices.EqualFunc(tr.Chunks[:len(got.Chunks)], got.Chunks, func(a, b Chunk) bool { return bytes.Equal(a.Data, b.Data) }))
		} else {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, n)
			require.NotNil(t, got)
		}
		require.GreaterOrEqual(t, lengths(got), before)
		before = lengths(got)
		for _, from := range []Direction{FromViewer, FromServer} {
			require.True(t, bytes.HasPrefix(tr.Stream(from), got.Stream(from)), n)
		}
	}
	assert.Greater(t, before, 190<<10, "the last chunk's beginning too")
	for n := head + 100; n < packed.Len(); n++ {
		got, err := ReadTrace(bytes.NewReader(packed.Bytes()[:n]))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, n)
		require.NotNil(t, got, n)
	}
	require.NoError(t, z.Flush())
	got, err := ReadTrace(&packed)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, tr, got, "all that was flushed is there")

	var fbs bytes.Buffer
	tr = smallTrace(t)
	require.NoError(t, tr.WriteFBS(&fbs))
	whole, err := ReadFBS(bytes.NewReader(fbs.Bytes()))
	require.NoError(t, err)
	got, err = ReadFBS(bytes.NewReader(fbs.Bytes()[:fbs.Len()-1]))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, whole.Chunks[:len(whole.Chunks)-1], got.Chunks)
}

// What a trace takes of memory is what is counted for it, whatever its chunks
// are like.
func TestMemoryOfATrace(t *testing.T) {
	const limit = 8 << 20
	for _, size := range []int{0, 1, 17, 100, 1025, 33 << 10, 65<<10 + 1, 1<<20 + 1} {
		var b bytes.Buffer
		w, err := NewTraceWriter(&b, "", "", "")
		require.NoError(t, err)
		w.left = limit
		for err == nil {
			err = w.Write(Chunk{From: FromServer, Data: make([]byte, size)})
		}
		require.ErrorIs(t, err, ErrLimit)
		w.buf = nil
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tr, err := readTrace(&b, limit)
		require.NoError(t, err)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(b)
		runtime.KeepAlive(w)
		used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		assert.LessOrEqual(t, used, int64(limit+limit/10), "%d chunks of %d bytes", len(tr.Chunks), size)
		assert.Greater(t, used, int64(limit/8), "%d chunks of %d bytes", len(tr.Chunks), size)
	}
}

// What was written can always be read back: a writer stops at the limit of the
// reader.
func TestTraceWriterStopsWhereReadersDo(t *testing.T) {
	var b bytes.Buffer
	w, err := NewTraceWriter(&b, "", "", "")
	require.NoError(t, err)
	assert.EqualValues(t, maxTrace, w.left)
	const limit = 3*chunkCost + maxChunk + maxChunk/8 + 10
	w.left = limit
	large := make([]byte, maxChunk+5)
	require.NoError(t, w.Write(Chunk{From: FromServer, Data: large}), "two chunks")
	written := b.Len()
	assert.ErrorIs(t, w.Write(Chunk{From: FromServer, Data: make([]byte, 6)}), ErrLimit)
	assert.ErrorIs(t, w.Write(Chunk{From: FromServer, Data: large}), ErrLimit)
	assert.Equal(t, written, b.Len(), "nothing of what doesn't fit")
	require.NoError(t, w.Write(Chunk{From: FromServer, Data: make([]byte, 5)}), "it fits exactly")
	tr, err := readTrace(&b, limit)
	require.NoError(t, err)
	assert.Len(t, tr.Stream(FromServer), len(large)+5)
}

func TestRecording(t *testing.T) {
	tr := smallTrace(t)
	var b bytes.Buffer
	require.NoError(t, tr.WriteFBS(&b))
	init := desktop
	init.Format = pinned // what the viewer asked for before anything was shown
	head := join([]byte("RFB 003.003\n"), u32(1), wire(t, init))
	block := func(p []byte, ms uint32) []byte { return join(u32(uint32(len(p))), p, zeros(-len(p)&3), u32(ms)) }
	assert.Equal(t, join([]byte("FBS 001.000\n"), block(head, 0),
		block(update(rectOf(Rect{1, 2, 1, 1}, EncodingRaw, zeros(2))), 6), block([]byte{0, 0, 2}, 7)), b.Bytes())

	again, err := ReadFBS(&b)
	require.NoError(t, err)
	h, err := again.Handshake()
	require.NoError(t, err)
	assert.Equal(t, init, h.Init)
	var got []string
	for e, err := range again.Events() {
		require.NoError(t, err)
		got = append(got, e.Name())
	}
	assert.Equal(t, []string{"Handshake", "FramebufferUpdate", "Raw", "Bell"}, got)
}

func TestRecordingsOfTraces(t *testing.T) {
	t.Parallel()
	for name, tr := range readTraces(t) {
		var b bytes.Buffer
		err := tr.WriteFBS(&b)
		if !tr.one {
			assert.ErrorIs(t, err, ErrForbidden, name)
			continue
		}
		require.NoError(t, err, name)
		again, err := ReadFBS(&b)
		require.NoError(t, err, name)
		c := examine(t, again, name)
		assert.Equal(t, tr.updates, c.updates, name)
		assert.True(t, bytes.Equal(tr.stream, c.stream), name)
	}
}

func TestRecordingRefuses(t *testing.T) {
	tr := smallTrace(t)
	tr.Chunks = append(tr.Chunks, Chunk{FromViewer, time.Second, wire(t, SetPixelFormat{format8})})
	assert.ErrorIs(t, tr.WriteFBS(io.Discard), ErrForbidden, "no player would know of the other pixel format")
	tr.Chunks = tr.Chunks[:3]
	assert.ErrorIs(t, tr.WriteFBS(io.Discard), ErrMalformed)
	for in, want := range map[string]error{
		"":                                       ErrMalformed,
		"FBS 002.000\n":                          ErrMalformed,
		"FBS 001.000\n\x00\x00":                  io.ErrUnexpectedEOF,
		"FBS 001.000\n\xff\x00\x00\x00":          ErrLimit,
		"FBS 001.001\n\x00\x00\x00\x01x\x00\x00": io.ErrUnexpectedEOF,
	} {
		_, err := ReadFBS(strings.NewReader(in))
		assert.ErrorIs(t, err, want, "%q", in)
	}
	tr, err := ReadFBS(strings.NewReader("FBS 001.000\n\x00\x00\x00\x00\x00\x00\x00\x07"))
	require.NoError(t, err)
	assert.Empty(t, tr.Chunks)
}

// endless is a stream that says the same again and again.
type endless struct {
	head []byte
	body []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.head) > 0 {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	n := copy(p, e.body[e.at:])
	e.at = (e.at + n) % len(e.body)
	return n, nil
}

// A trace without an end, which a few packed bytes can be, is not read for ever.
func TestTracesThatDoNotEnd(t *testing.T) {
	for _, body := range []string{"\x01\x00\x00\x00\x00\x00\x00\x00\x00", "\x02\x00\x00\x00\x00\x00\x00\x00\x01x"} {
		_, err := readTrace(&endless{head: []byte("RFB trace 001.000\n\n"), body: []byte(body)}, 1<<20)
		assert.ErrorIs(t, err, ErrLimit)
	}
	_, err := readFBS(&endless{head: []byte("FBS 001.000\n"), body: []byte("\x00\x00\x00\x01xxxx\x00\x00\x00\x00")}, 1<<20)
	assert.ErrorIs(t, err, ErrLimit)
	_, err = ReadTrace(&endless{head: []byte("RFB trace 001.000\n"), body: []byte("server: x\n")})
	assert.ErrorIs(t, err, ErrMalformed, "a head has few lines")
}
