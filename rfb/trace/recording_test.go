package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

func TestTraceIsReadAsItWasWritten(t *testing.T) {
	tr := smallTrace(t)
	var b, packed bytes.Buffer
	require.NoError(t, tr.Write(&b))
	assert.True(t, strings.HasPrefix(b.String(), "RFB trace 001.000\nserver: a server\nviewer: a viewer\nnote: small\n\n\x02\x00\x00\x00\x00\x00\x00\x00\x0cRFB 003.008\n"))
	z := gzip.NewWriter(&packed)
	_, err := z.Write(b.Bytes())
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
		"":                                        rfb.ErrMalformed,
		"FBS 001.000\n":                           rfb.ErrMalformed,
		"RFB trace 002.000\n\n":                   rfb.ErrMalformed,
		"RFB trace 001.000\nserver: x":            io.ErrUnexpectedEOF,
		"RFB trace 001.000\ncolour: x\n":          rfb.ErrMalformed,
		"RFB trace 001.000\nnote: a\rb\n\n":       rfb.ErrMalformed, // found by FuzzTrace: it couldn't be written again
		"RFB trace 001.000\nnote: a\nnote: b\n\n": rfb.ErrMalformed,
		"RFB trace 001.000\nnote: " + strings.Repeat("x", 2000) + "\n": rfb.ErrLimit,
		head + "\x03\x00\x00\x00\x00\x00\x00\x00\x00":                  rfb.ErrMalformed,
		head + "\x01\x00\x00\x00\x00\xff\x00\x00\x00":                  rfb.ErrLimit,
		head + "\x01\x00\x00\x00\x00\x00\x00\x00\x02x":                 io.ErrUnexpectedEOF,
		head + "\x01\x00": io.ErrUnexpectedEOF,
	} {
		_, err := ReadTrace(strings.NewReader(in))
		assert.ErrorIs(t, err, want, "%q", in)
	}
	_, err := NewWriter(io.Discard, Header{"two\nlines", "", ""})
	assert.Error(t, err)
	longest := strings.Repeat("x", maxLine-len("note: \n"))
	_, err = NewWriter(io.Discard, Header{"", "", longest + "x"})
	assert.Error(t, err)
	var b bytes.Buffer
	err = (&Trace{Header: Header{Note: longest}}).Write(&b)
	require.NoError(t, err)
	again, err := ReadTrace(&b)
	require.NoError(t, err)
	assert.Equal(t, longest, again.Note)
	w, err := NewWriter(io.Discard, Header{"", "", ""})
	require.NoError(t, err)
	assert.Error(t, w.Write(Chunk{From: 3}))
}

// A packed file that is broken is malformed, wherever it is, and none that was
// cut off.
func TestTracesThatAreBrokenlyPacked(t *testing.T) {
	tr := smallTrace(t)
	var trace, recording bytes.Buffer
	err := tr.Write(&trace)
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
			assert.ErrorIs(t, err, rfb.ErrMalformed, "%s: %s", name, what)
			assert.ErrorContains(t, err, "trace: reading a ", "%s: %s", name, what)
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
		assert.NotErrorIs(t, err, rfb.ErrMalformed)
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
		assert.NotErrorIs(t, err, rfb.ErrMalformed, n)
		assert.Nil(t, got, n)
	}
	recording := []byte("FBS 001.000\n\x00\x00\x00\x01xxxx\x00\x00\x00\x00")
	for n := range recording {
		got, err := ReadFBS(io.MultiReader(bytes.NewReader(recording[:n]), iotest.ErrReader(failure)))
		require.ErrorIs(t, err, failure, n)
		assert.NotErrorIs(t, err, rfb.ErrMalformed, n)
		assert.Nil(t, got, n)
	}
}

// What a killed program has written is read as far as it goes, to the byte.
func TestTraceThatWasCutOff(t *testing.T) {
	tr := smallTrace(t)
	tr.Chunks = append(tr.Chunks, Chunk{rfb.FromServer, 0, bytes.Repeat([]byte("ab"), 100<<10)}) // in more than one piece
	var b, packed bytes.Buffer
	err := tr.Write(&b)
	require.NoError(t, err)
	z := gzip.NewWriter(&packed)
	tw, err := NewWriter(z, tr.Header)
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
		for _, from := range []rfb.Direction{rfb.FromViewer, rfb.FromServer} {
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

func TestRecording(t *testing.T) {
	tr := smallTrace(t)
	var b bytes.Buffer
	require.NoError(t, tr.WriteFBS(&b))
	init := desktop
	init.Format = pinned // what the viewer asked for before anything was shown
	head := join([]byte("RFB 003.003\n"), u32(1), wire(t, init))
	block := func(p []byte, ms uint32) []byte { return join(u32(uint32(len(p))), p, zeros(-len(p)&3), u32(ms)) }
	assert.Equal(t, join([]byte("FBS 001.000\n"), block(head, 0),
		block(update(rectOf(rfb.Rect{X: 1, Y: 2, Width: 1, Height: 1}, rfb.EncodingRaw, zeros(2))), 6), block([]byte{0, 0, 2}, 7)), b.Bytes())

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
			assert.ErrorIs(t, err, rfb.ErrForbidden, name)
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
	tr.Chunks = append(tr.Chunks, Chunk{rfb.FromViewer, time.Second, wire(t, rfb.SetPixelFormat{Format: format8})})
	assert.ErrorIs(t, tr.WriteFBS(io.Discard), rfb.ErrForbidden, "no player would know of the other pixel format")
	tr.Chunks = tr.Chunks[:3]
	assert.ErrorIs(t, tr.WriteFBS(io.Discard), rfb.ErrMalformed)
	for in, want := range map[string]error{
		"":                                       rfb.ErrMalformed,
		"FBS 002.000\n":                          rfb.ErrMalformed,
		"FBS 001.000\n\x00\x00":                  io.ErrUnexpectedEOF,
		"FBS 001.000\n\xff\x00\x00\x00":          rfb.ErrLimit,
		"FBS 001.001\n\x00\x00\x00\x01x\x00\x00": io.ErrUnexpectedEOF,
	} {
		_, err := ReadFBS(strings.NewReader(in))
		assert.ErrorIs(t, err, want, "%q", in)
	}
	tr, err := ReadFBS(strings.NewReader("FBS 001.000\n\x00\x00\x00\x00\x00\x00\x00\x07"))
	require.NoError(t, err)
	assert.Empty(t, tr.Chunks)
}

// A time that the layout has no room for is an error, and not another time.
func TestTraceBeyond49Days(t *testing.T) {
	for _, at := range []time.Duration{-time.Millisecond, 50 * 24 * time.Hour} {
		var b bytes.Buffer
		err := (&Trace{Chunks: []Chunk{{rfb.FromServer, at, []byte("x")}}}).Write(&b)
		require.ErrorIs(t, err, rfb.ErrLimit)
	}
	var b bytes.Buffer
	last := maxTime.Truncate(time.Millisecond)
	err := (&Trace{Chunks: []Chunk{{rfb.FromServer, last, []byte("x")}}}).Write(&b)
	require.NoError(t, err)
	back, err := ReadTrace(&b)
	require.NoError(t, err)
	require.Equal(t, last, back.Chunks[0].At)
}

// A player's recording may hold the handshake and the first picture in one
// block.
func TestRecordingWithALargeFirstBlock(t *testing.T) {
	picture := update(rectOf(rfb.Rect{Width: 160, Height: 120}, rfb.EncodingRaw, zeros(160*120*4)))
	head := join([]byte("RFB 003.003\n"), u32(1), wire(t, rfb.ServerInit{Width: 160, Height: 120, Format: pinned, Name: "desk"}))
	block := join(head, picture)
	tr, err := ReadFBS(bytes.NewReader(join([]byte("FBS 001.000\n"), u32(uint32(len(block))), block, zeros(-len(block)&3), u32(0))))
	require.NoError(t, err)
	updates := 0
	for e, err := range tr.Events() {
		require.NoError(t, err)
		if _, ok := e.Message.(*rfb.FramebufferUpdate); ok {
			updates++
		}
	}
	assert.Equal(t, 1, updates)
}

// A server that has had too many attempts may say why or not. That it doesn't is
// clear when nothing more comes.
func TestTraceOfTooManyAttempts(t *testing.T) {
	v38 := []byte("RFB 003.008\n")
	tr := &Trace{Chunks: []Chunk{{rfb.FromServer, 0, join(v38, []byte{1, 2})}, {rfb.FromViewer, 0, join(v38, []byte{2}, zeros(16))},
		{rfb.FromServer, 0, join(zeros(16), u32(2))}}}
	h, err := tr.Handshake()
	require.NoError(t, err)
	assert.True(t, h.Refused)
	assert.False(t, h.Done(), "a reason may follow")
	events := 0
	for e, err := range tr.Events() {
		require.NoError(t, err)
		assert.Contains(t, e.String(), `refused: ""`)
		events++
	}
	assert.Equal(t, 1, events)

	// As far as it goes, a reason that doesn't end is no reason.
	for _, part := range [][]byte{{0}, {0, 0, 0, 4}, {0, 0, 0, 4, 'w'}} {
		tr.Chunks = append(tr.Chunks[:3], Chunk{rfb.FromServer, 0, part})
		for _, err := range tr.Events() {
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "% x", part)
		}
	}
	// Too few bytes for a length aren't looked at again, and count all the same.
	tr.Chunks = append(tr.Chunks[:3], Chunk{rfb.FromServer, 0, []byte{0}}, Chunk{rfb.FromServer, 0, []byte{0}})
	for _, err := range tr.Events() {
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}
