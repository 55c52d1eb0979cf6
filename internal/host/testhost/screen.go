package testhost

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/bits"
)

// SetRoot paints the background of the desktop in a colour, "#204060" or an X
// colour name.
func (d *Desktop) SetRoot(ctx context.Context, colour string) error {
	_, err := d.Run(ctx, "xsetroot", "-solid", colour)
	return err
}

// Screenshot is the screen as it is now, without the pointer.
func (d *Desktop) Screenshot(ctx context.Context) (*image.RGBA, error) {
	dump, err := d.Run(ctx, "xwd", "-root", "-silent")
	if err != nil {
		return nil, err
	}
	return decodeXWD(dump)
}

// Fields of an XWD version 7 header, each 32 bits, big-endian (XWDFile.h).
const (
	xwdHeaderSize = iota
	xwdVersion
	xwdPixmapFormat
	xwdPixmapDepth
	xwdWidth
	xwdHeight
	_
	xwdByteOrder // 1: most significant byte first
	_
	_
	_
	xwdBitsPerPixel
	xwdBytesPerLine
	_
	xwdRedMask
	xwdGreenMask
	xwdBlueMask
	_
	_
	xwdColours
	_
	_
	_
	_
	_
	xwdFields
)

// xwdColourSize is the size of one colour map entry in the file.
const xwdColourSize = 12

var errXWD = errors.New("testhost: not an X window dump that can be read")

// decodeXWD reads a window dump of a true-colour screen with 16, 24 or 32 bits
// a pixel. xwd gives 24 when the windows on the screen are of several visuals.
func decodeXWD(b []byte) (*image.RGBA, error) {
	if len(b) < xwdFields*4 {
		return nil, errXWD
	}
	var h [xwdFields]uint32
	for i := range h {
		h[i] = binary.BigEndian.Uint32(b[i*4:])
	}
	size, stride := int(h[xwdBitsPerPixel])/8, int(h[xwdBytesPerLine])
	width, height := int(h[xwdWidth]), int(h[xwdHeight])
	const zPixmap, limit = 2, 1 << 15
	if h[xwdVersion] != 7 || h[xwdPixmapFormat] != zPixmap || size < 2 || size > 4 ||
		width > limit || height > limit || stride > limit*4 || stride < width*size ||
		h[xwdHeaderSize] > limit || h[xwdColours] > limit {
		return nil, fmt.Errorf("%w: %dx%d, %d bits a pixel", errXWD, width, height, h[xwdBitsPerPixel])
	}
	pixels := int(h[xwdHeaderSize]) + int(h[xwdColours])*xwdColourSize
	if len(b) < pixels+stride*height {
		return nil, fmt.Errorf("%w: cut short", errXWD)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if h[xwdByteOrder] == 1 {
		order = binary.BigEndian
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		row, out := b[pixels+y*stride:], img.Pix[y*img.Stride:]
		for x := range width {
			var v uint32
			switch {
			case size == 2:
				v = uint32(order.Uint16(row[x*2:]))
			case size == 4:
				v = order.Uint32(row[x*4:])
			case order == binary.ByteOrder(binary.BigEndian):
				v = uint32(row[x*3])<<16 | uint32(row[x*3+1])<<8 | uint32(row[x*3+2])
			default:
				v = uint32(row[x*3+2])<<16 | uint32(row[x*3+1])<<8 | uint32(row[x*3])
			}
			out[x*4] = channel(v, h[xwdRedMask])
			out[x*4+1] = channel(v, h[xwdGreenMask])
			out[x*4+2] = channel(v, h[xwdBlueMask])
			out[x*4+3] = 0xff
		}
	}
	return img, nil
}

// channel takes the bits of mask from a pixel and widens them to 8.
func channel(pixel, mask uint32) uint8 {
	if mask == 0 {
		return 0
	}
	shift := bits.TrailingZeros32(mask)
	most := uint64(mask >> shift)
	return uint8((uint64(pixel&mask>>shift)*255 + most/2) / most)
}
