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
		require.NoError(f, Captures.Events(tr.Session, func(e Event) {
			if e.Message != nil && e.From == from && e.Len < 1024 && !seen[e.Name] {
				seen[e.Name] = true
				f.Add(stream[e.Offset:][:e.Len])
			}
		}))
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
		require.NoError(f, Captures.Events(tr.Session, func(e Event) {
			if e.Rectangle != nil && e.Len < 4096 && !seen[e.Rectangle.Encoding] && tr.one && tr.format == pinned {
				seen[e.Rectangle.Encoding] = true
				f.Add(tr.Stream(FromServer)[e.Offset:][:e.Len], uint8(0))
			}
		}))
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
