// Package curtain draws what a viewer sees while its session is paused: a plain picture that says so.
// It is what [rfb.Pauser] wants for its Draw.
package curtain

import (
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// says is what the picture says. It is in English, as all that administrators see.
const says = "PAUSED BY THE USER"

// letters are those of says, five pixels wide and seven high, a row a number.
var letters = map[rune][7]uint8{
	'A': {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11},
	'B': {0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e},
	'D': {0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e},
	'E': {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f},
	'H': {0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11},
	'P': {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10},
	'R': {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11},
	'S': {0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e},
	'T': {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04},
	'U': {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e},
	'Y': {0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04},
}

const (
	pitch  = 6  // pixels from one letter to the next, before scaling
	high   = 7  // of a letter
	symbol = 20 // of the two bars above
	space  = 6  // between both
)

// The colours: blue, green, red.
var (
	ground = [3]byte{0x2d, 0x25, 0x1d}
	ink    = [3]byte{0xe2, 0xdc, 0xd5}
)

// Draw implements [rfb.Pauser.Draw]. A format that [encode.Encoder] doesn't serve can't come from a viewer that
// a relay serves.
func Draw(width, height uint16, format rfb.PixelFormat, list []rfb.Encoding) []byte {
	var e encode.Encoder
	_ = e.SetPixelFormat(format)
	e.SetEncodings(list)
	b := e.BeginUpdate(nil)
	for y := 0; y < int(height); y += band {
		b, _ = e.AppendRect(b, 0, y, picture(int(width), int(height), y, min(y+band, int(height))), false)
	}
	return e.EndUpdate(b)
}

// band is how many rows are drawn at a time, so that large screens take little memory.
const band = 256

// picture is the rows from one to another of what is shown, of a size.
func picture(width, height, from, to int) encode.Image {
	m := encode.Image{Pix: make([]byte, 4*width*(to-from)), Stride: 4 * width, Width: width, Height: to - from}
	fill := func(x0, y0, x1, y1 int, c [3]byte) {
		for y := max(from, y0); y < min(to, y1); y++ {
			for x := max(0, x0); x < min(width, x1); x++ {
				copy(m.Pix[(y-from)*m.Stride+4*x:], c[:])
			}
		}
	}
	fill(0, from, width, to, ground)
	scale := max(1, min(width/(2*pitch*len(says)), height/(4*(high+space+symbol))))
	left := (width - pitch*len(says)*scale) / 2
	top := (height - (high+space+symbol)*scale) / 2
	for _, at := range [...]int{-7, 3} { // the bars
		x := width/2 + at*scale
		fill(x, top, x+5*scale, top+symbol*scale, ink)
	}
	top += (symbol + space) * scale
	for i, r := range says {
		for y, row := range letters[r] {
			for x := range 5 {
				if row>>(4-x)&1 != 0 {
					px, py := left+(i*pitch+x)*scale, top+y*scale
					fill(px, py, px+scale, py+scale, ink)
				}
			}
		}
	}
	return m
}
