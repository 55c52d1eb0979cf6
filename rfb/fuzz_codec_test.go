package rfb

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seedMessages gives a fuzzer each message of the traces that is of a peer and
// small, and the tables'.
func seedMessages(f *testing.F, from Direction) {
	for _, tt := range typed {
		if tt.from == from {
			f.Add(unhexString(tt.bytes))
		}
	}
	seen := make(map[string]bool)
	seedTraces(f, func(tr *captured) {
		stream := tr.Stream(from)
		for e, err := range tr.Events() {
			require.NoError(f, err)
			if e.Message != nil && e.From == from && e.Len < 1024 && !seen[e.Name()] {
				seen[e.Name()] = true
				f.Add(stream[e.Offset:][:e.Len])
			}
		}
	})
	require.NotEmpty(f, seen)
}

// checkMessage: what parses is written as something as long that parses to the
// same, and nothing less parses.
func checkMessage(t *testing.T, b []byte, parse func([]byte) (Message, int, error)) {
	m, n, err := parse(b)
	if err != nil {
		known := errors.Is(err, ErrMalformed) || errors.Is(err, ErrLimit) || errors.Is(err, io.ErrUnexpectedEOF)
		require.True(t, known, "%v", err)
		return
	}
	require.LessOrEqual(t, n, len(b))
	again := wire(t, m)
	require.Len(t, again, n)
	second, n2, err := parse(again)
	require.NoError(t, err)
	assert.Equal(t, n, n2)
	assert.Equal(t, m, second)
	_, _, err = parse(b[:n-1])
	assert.Error(t, err)
}

func FuzzClientMessages(f *testing.F) {
	seedMessages(f, FromViewer)
	f.Fuzz(func(t *testing.T, b []byte) { checkMessage(t, b, ParseClientMessage) })
}

func FuzzServerMessages(f *testing.F) {
	seedMessages(f, FromServer)
	f.Fuzz(func(t *testing.T, b []byte) { checkMessage(t, b, ParseServerMessage) })
}

// FuzzRectangles: a rectangle's type and the walker agree on where it ends, and
// what parses is written as it was.
func FuzzRectangles(f *testing.F) {
	formats := []PixelFormat{pinned, format16, format8, alphaFormat}
	for _, tt := range append(rectangles[:len(rectangles):len(rectangles)], moreRectangles...) {
		if len(tt.rect) < 4096 {
			f.Add(tt.rect, uint8(0))
		}
	}
	seen := make(map[Encoding]bool)
	seedTraces(f, func(tr *captured) {
		for e, err := range tr.Events() {
			require.NoError(f, err)
			if e.Rectangle != nil && e.Len < 4096 && !seen[e.Rectangle.Encoding] && tr.one && tr.format == pinned {
				seen[e.Rectangle.Encoding] = true
				f.Add(tr.Stream(FromServer)[e.Offset:][:e.Len], uint8(0))
			}
		}
	})
	require.NotEmpty(f, seen)
	f.Fuzz(func(t *testing.T, b []byte, format uint8) {
		if len(b) > 1<<16 {
			return
		}
		p := formats[int(format)%len(formats)]
		r, n, err := ParseRectangle(b, p)
		if len(b) < rectangleHeadLen {
			require.Error(t, err)
			return
		}
		length, walkErr := bodyLen(b[rectangleHeadLen:], parseRect(b), Encoding(be32(b[8:])), p)
		if err != nil {
			known := errors.Is(err, ErrMalformed) || errors.Is(err, ErrLimit) || errors.Is(err, io.ErrUnexpectedEOF)
			require.True(t, known, "%v", err)
			return
		}
		again, err := r.AppendFormat(nil, p)
		require.NoError(t, err)
		second, n2, err := ParseRectangle(again, p)
		require.NoError(t, err)
		assert.Equal(t, len(again), n2)
		assert.Equal(t, r, second, "%v", r.Encoding)
		if oneWay(r.Encoding) {
			assert.True(t, bytes.Equal(b[:n], again), "%v", r.Encoding)
		}
		if walkErr == nil { // the walker also wants a size that a screen can have
			assert.Equal(t, n, rectangleHeadLen+length, "%v", r.Encoding)
		} else {
			assert.NotErrorIs(t, walkErr, io.ErrUnexpectedEOF, "%v", r.Encoding)
		}
	})
}

// oneWay reports whether a rectangle can be written in one way only: it has no
// padding, and no length that could be written with more bytes than it needs.
func oneWay(e Encoding) bool {
	switch e {
	case EncodingExtendedDesktopSize, EncodingVMwareCursor, EncodingVMwareDisplayMode,
		EncodingTight, EncodingTightPNG, EncodingCursorWithAlpha:
		return false
	}
	return true
}

// FuzzTrace: what is read as a trace is written as one that reads the same, and
// taking it apart ends.
func FuzzTrace(f *testing.F) {
	var small bytes.Buffer
	_, err := smallTrace(f).WriteTo(&small)
	require.NoError(f, err)
	f.Add(small.Bytes())
	seedTraces(f, func(tr *captured) {
		var b bytes.Buffer
		if _, err := tr.WriteTo(&b); err == nil && b.Len() < 8<<10 {
			f.Add(b.Bytes())
			f.Add(b.Bytes()[:b.Len()*3/4])
		}
	})
	seedPacked(f, small.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		tr, err := readTrace(bytes.NewReader(b), 1<<20)
		checkRead(t, tr, err)
		if tr == nil {
			return
		}
		var out bytes.Buffer
		_, err = tr.WriteTo(&out)
		require.NoError(t, err)
		again, err := ReadTrace(&out)
		require.NoError(t, err)
		assert.Equal(t, tr, again)
		for e, err := range tr.Events() {
			if err == nil {
				_ = e.String()
			}
		}
		cut, err := tr.Trim()
		assert.GreaterOrEqual(t, cut, int64(0))
		if err == nil && len(tr.Chunks) > 0 {
			for _, err := range tr.Events() {
				require.NoError(t, err)
			}
		}
		checkRecording(t, tr)
	})
}

// seedPacked gives a fuzzer b packed: whole, cut off, and broken.
func seedPacked(f *testing.F, b []byte) {
	f.Helper()
	packed, cut := gzipped(f, b), flushed(f, b)
	f.Add(packed)
	f.Add(packed[:len(packed)-1])
	f.Add(cut)
	f.Add(cut[:len(cut)/2])
	f.Add(join(cut, []byte{7}))
	f.Add(join(packed[:len(packed)-8], zeros(8)))
}

// checkRead: of what was cut off, and of nothing else that isn't whole, there is a
// trace.
func checkRead(t *testing.T, tr *Trace, err error) {
	t.Helper()
	known := err == nil || errors.Is(err, ErrMalformed) || errors.Is(err, ErrLimit) || errors.Is(err, io.ErrUnexpectedEOF)
	require.True(t, known, "%v", err)
	require.Equal(t, err == nil || errors.Is(err, io.ErrUnexpectedEOF), tr != nil, "%v", err)
}

// checkRecording: a trace of which a recording can be written has the same in it
// that the recording has.
func checkRecording(t *testing.T, tr *Trace) {
	t.Helper()
	var out bytes.Buffer
	if tr.WriteFBS(&out) != nil {
		return
	}
	again, err := ReadFBS(&out)
	require.NoError(t, err)
	h1, err := tr.Handshake()
	require.NoError(t, err)
	h2, err := again.Handshake()
	require.NoError(t, err)
	init := h1.Init
	init.Format = h2.Init.Format // the one that the viewer asked for
	assert.Equal(t, init, h2.Init)
	assert.Equal(t, tr.Stream(FromServer)[h1.Len(FromServer):], again.Stream(FromServer)[h2.Len(FromServer):])
}

// FuzzFBS: a recording that can be read, as far as that goes, can be written and
// read again.
func FuzzFBS(f *testing.F) {
	n := 0
	seedTraces(f, func(tr *captured) {
		var b bytes.Buffer
		if tr.WriteFBS(&b) == nil && b.Len() < 8<<10 {
			n++
			f.Add(b.Bytes())
			f.Add(b.Bytes()[:b.Len()-1])
			if n == 1 {
				seedPacked(f, b.Bytes())
			}
		}
	})
	require.NotZero(f, n)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		tr, err := readFBS(bytes.NewReader(b), 1<<20)
		checkRead(t, tr, err)
		if tr == nil {
			return
		}
		checkRecording(t, tr)
		_, err = tr.Trim()
		trimmed := err == nil
		for e, err := range tr.Events() {
			if trimmed && len(tr.Chunks) > 0 {
				require.NoError(t, err)
			}
			_ = e.String()
		}
		checkRecording(t, tr)
	})
}
