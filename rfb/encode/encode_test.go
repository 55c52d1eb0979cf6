package encode_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

func TestUpdate(t *testing.T) {
	var e encode.Encoder
	e.SetEncodings([]rfb.Encoding{rfb.EncodingCopyRect, rfb.EncodingDesktopSize})
	img := encode.Image{Pix: []byte{1, 2, 3, 0, 4, 5, 6, 0}, Stride: 8, Width: 2, Height: 1}
	b := e.BeginUpdate(nil)
	b, lossy := e.AppendRect(b, 3, 4, img, false)
	require.False(t, lossy)
	b, ok := e.AppendCopyRect(b, rfb.Rect{X: 1, Y: 2, Width: 3, Height: 4}, 5, 6)
	require.True(t, ok)
	b, ok = e.AppendDesktopSize(b, 640, 480, nil)
	require.True(t, ok)
	b = e.EndUpdate(b)

	m, n, err := rfb.ParseServerMessage(b)
	require.NoError(t, err)
	require.Equal(t, &rfb.FramebufferUpdate{Rectangles: 3}, m)
	b = b[n:]
	for _, want := range []rfb.Rectangle{
		{Rect: rfb.Rect{X: 3, Y: 4, Width: 2, Height: 1}, Body: &rfb.Raw{Pixels: img.Pix}},
		{Rect: rfb.Rect{X: 1, Y: 2, Width: 3, Height: 4}, Encoding: rfb.EncodingCopyRect, Body: &rfb.CopyRect{X: 5, Y: 6}},
		{Rect: rfb.Rect{Width: 640, Height: 480}, Encoding: rfb.EncodingDesktopSize, Body: &rfb.NoBody{}},
	} {
		r, n, err := rfb.ParseRectangle(b, encode.Format())
		require.NoError(t, err)
		require.Equal(t, want, r)
		b = b[n:]
	}
	require.Empty(t, b)
}
