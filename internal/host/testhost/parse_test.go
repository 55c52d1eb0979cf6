package testhost

import (
	"encoding/binary"
	"image/color"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWindowIDsReadTitlesThatLookLikeClasses(t *testing.T) {
	tree := `
xwininfo: Window id: 0x50d (the root window) (has no name)

     3 children:
     0x400006 (has no name): ()  1x1+-1+-1  +-1+-1
        0x60000b "wants to view: ("fake" "fake") your screen": ("consent" "shadowd")  400x200+0+20  +300+200
     0x600001 "other": ("xterm" "XTerm")  10x10+10+10  +10+10
`
	assert.Equal(t, []uint32{0x60000b}, windowIDs(tree, "consent"))
	assert.Empty(t, windowIDs(tree, "fake"))
	assert.Empty(t, windowIDs(tree, "shadowd"))
}

func TestParseWindowWantsAllOfIt(t *testing.T) {
	const info = "\n  Absolute upper-left X:  7\n  Absolute upper-left Y:  -3\n  Width: 10\n  Height: 20\n  Map State: IsViewable\n"
	w, visible, err := parseWindow(info)
	require.NoError(t, err)
	assert.True(t, visible)
	assert.Equal(t, Window{X: 7, Y: -3, Width: 10, Height: 20}, w)
	_, _, err = parseWindow("  Width: 10\n")
	require.Error(t, err)
}

// dump makes a window dump of one row.
func dump(bitsPerPixel uint32, order uint32, red, green, blue uint32, row ...byte) []byte {
	h := make([]uint32, xwdFields)
	h[xwdHeaderSize], h[xwdVersion], h[xwdPixmapFormat] = xwdFields*4, 7, 2
	h[xwdByteOrder], h[xwdBitsPerPixel], h[xwdBytesPerLine] = order, bitsPerPixel, uint32(len(row))
	h[xwdWidth], h[xwdHeight] = uint32(len(row))*8/bitsPerPixel, 1
	h[xwdRedMask], h[xwdGreenMask], h[xwdBlueMask] = red, green, blue
	var b []byte
	for _, v := range h {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return append(b, row...)
}

func TestDecodeXWD(t *testing.T) {
	for name, c := range map[string]struct {
		dump []byte
		want color.RGBA
	}{
		"32 little": {dump(32, 0, 0xff0000, 0xff00, 0xff, 3, 2, 1, 0), color.RGBA{1, 2, 3, 255}},
		"32 big":    {dump(32, 1, 0xff0000, 0xff00, 0xff, 0, 1, 2, 3), color.RGBA{1, 2, 3, 255}},
		"565":       {dump(16, 0, 0xf800, 0x7e0, 0x1f, 0x1f, 0xf8), color.RGBA{255, 0, 255, 255}},
	} {
		img, err := decodeXWD(c.dump)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, img.RGBAAt(0, 0), name)
	}
	_, err := decodeXWD(dump(8, 0, 0, 0, 0, 1))
	require.ErrorIs(t, err, errXWD)
}

func FuzzDecodeXWD(f *testing.F) {
	f.Add(dump(32, 0, 0xff0000, 0xff00, 0xff, 3, 2, 1, 0))
	f.Add(dump(16, 1, 0xf800, 0x7e0, 0x1f, 0x1f, 0xf8))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := decodeXWD(b)
		if err == nil && len(img.Pix) > 2*len(b) {
			t.Errorf("%d bytes of pixels out of %d bytes", len(img.Pix), len(b))
		}
	})
}
