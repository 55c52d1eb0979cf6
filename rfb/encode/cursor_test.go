package encode_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testviewer"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// arrow is red where it is opaque, and half transparent in the second row.
func arrow() encode.Cursor {
	c := encode.Cursor{Pix: make([]byte, 4*9*2), Width: 9, Height: 2, HotX: 8, HotY: 1}
	for x := range 9 {
		if x%2 == 0 {
			copy(c.Pix[4*x:], "\x00\x00\xff\xff")
		}
		copy(c.Pix[4*(9+x):], "\x00\x40\x80\x80")
	}
	return c
}

func sendCursor(t *testing.T, f rfb.PixelFormat, c encode.Cursor, encodings ...rfb.Encoding) *testviewer.Decoder {
	r := newRig(t, 1, f, 10, 10, encodings...)
	b, ok := r.encoder.AppendCursor(r.encoder.BeginUpdate(nil), c)
	require.True(t, ok)
	require.NoError(t, r.decoder.Decode(r.encoder.EndUpdate(b)))
	return r.decoder
}

func TestCursor(t *testing.T) {
	d := sendCursor(t, formats["noVNC"], arrow(), rfb.EncodingCursor)
	assert.Equal(t, rfb.Rect{X: 8, Y: 1, Width: 9, Height: 2}, d.CursorRect)
	assert.Equal(t, uint32(0xff), d.Value(d.Cursor[:4]), "red")
	assert.Equal(t, uint32(0x7fff), d.Value(d.Cursor[4*9:][:4]), "the colour without its transparency")
	assert.Equal(t, []byte{0xaa, 0x80, 0xff, 0x80}, d.Cursor[4*18:], "the mask")
	for _, f := range formats {
		sendCursor(t, f, arrow(), rfb.EncodingCursor)
	}
}

func TestCursorWithAlpha(t *testing.T) {
	d := sendCursor(t, formats["565"], arrow(), rfb.EncodingCursor, rfb.EncodingCursorWithAlpha)
	assert.Equal(t, map[rfb.Encoding]int{rfb.EncodingCursorWithAlpha: 1}, d.Rects)
	assert.Equal(t, "\xff\x00\x00\xff\x00\x00\x00\x00", string(d.Cursor[:8]))
	assert.Equal(t, "\x80\x40\x00\x80", string(d.Cursor[4*9:][:4]), "multiplied, whatever the pixel format")
}

func TestNoCursor(t *testing.T) {
	for _, enc := range []rfb.Encoding{rfb.EncodingCursor, rfb.EncodingCursorWithAlpha} {
		d := sendCursor(t, formats["noVNC"], encode.Cursor{HotX: 5, HotY: 5}, enc)
		assert.Equal(t, rfb.Rect{}, d.CursorRect)
		assert.Empty(t, d.Cursor)
	}
}

// Of a huge cursor the part that points is sent.
func TestHugeCursor(t *testing.T) {
	c := encode.Cursor{Pix: bytes.Repeat([]byte{0, 0, 0, 255}, 600*300), Width: 600, Height: 300, HotX: 590, HotY: 150}
	copy(c.Pix[4*(150*600+590):], "\x00\x00\xff")
	d := sendCursor(t, formats["noVNC"], c, rfb.EncodingCursorWithAlpha)
	assert.Equal(t, rfb.Rect{X: 590 - 344, Y: 150 - 22, Width: 256, Height: 256}, d.CursorRect)
	assert.Equal(t, byte(255), d.Cursor[4*(128*256+246)])
}

func TestPointerPos(t *testing.T) {
	r := newRig(t, 1, encode.Format(), 10, 10, rfb.EncodingPointerPos)
	b, ok := r.encoder.AppendPointerPos(r.encoder.BeginUpdate(nil), 300, 400)
	require.True(t, ok)
	require.NoError(t, r.decoder.Decode(r.encoder.EndUpdate(b)))
	assert.Equal(t, rfb.Rect{X: 300, Y: 400}, r.decoder.Pointer)
}
