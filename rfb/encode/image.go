package encode

import (
	"encoding/binary"

	"vda.internal/shadow/rfb"
)

// An Image is a block of pixels of four bytes each: blue, green, red, and one
// without a meaning. An X server of depth 24 and little-endian byte order gives
// pixels like this.
type Image struct {
	Pix           []byte // row by row, from the top; at least Stride × (Height − 1) + 4 × Width bytes
	Stride        int    // bytes from a row to the next
	Width, Height int    // pixels
}

// Format is the pixel format of an [Image]: what a server may announce in its
// ServerInit, and what an [Encoder] sends until it is told otherwise.
func Format() rfb.PixelFormat {
	return rfb.PixelFormat{
		BitsPerPixel: 32, Depth: 24, TrueColor: true,
		RedMax: 255, GreenMax: 255, BlueMax: 255,
		RedShift: 16, GreenShift: 8, BlueShift: 0,
	}
}

// Sub is the part of m with its upper left corner at x, y. It shares m's pixels.
func (m Image) Sub(x, y, width, height int) Image {
	if x < 0 || y < 0 || width < 0 || height < 0 || x+width > m.Width || y+height > m.Height {
		panic("encode: part outside its image")
	}
	if width == 0 || height == 0 {
		return Image{}
	}
	from := y*m.Stride + x*4
	return Image{
		Pix:    m.Pix[from : from+(height-1)*m.Stride+width*4],
		Stride: m.Stride, Width: width, Height: height,
	}
}

// row is row y, without what follows it up to the stride.
func (m *Image) row(y int) []byte {
	from := y * m.Stride
	return m.Pix[from : from+m.Width*4]
}

// colorMask leaves out the byte without a meaning.
const colorMask = 0xffffff

// color is the pixel that b begins with: red at 16, green at 8, blue at 0.
func color(b []byte) uint32 { return binary.LittleEndian.Uint32(b) & colorMask }
