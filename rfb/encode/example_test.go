package encode_test

import (
	"fmt"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// An update of a white screen with a black pixel, for a viewer with Tight.
func Example() {
	screen := encode.Image{Pix: make([]byte, 4*64*64), Stride: 4 * 64, Width: 64, Height: 64}
	for i := range screen.Pix[4:] {
		screen.Pix[4+i] = 255
	}

	var e encode.Encoder
	e.SetEncodings([]rfb.Encoding{rfb.EncodingTight, rfb.EncodingCopyRect}) // as the viewer's SetEncodings says
	b := e.BeginUpdate(nil)
	b, lossy := e.AppendRect(b, 0, 0, screen, false)
	b = e.EndUpdate(b)

	m, n, err := rfb.ParseServerMessage(b)
	fmt.Println(m.(*rfb.FramebufferUpdate).Rectangles, lossy, err)
	r, _, err := rfb.ParseRectangle(b[n:], encode.Format())
	fmt.Println(r.Encoding, r.Rect, len(b) < 100, err)
	// Output:
	// 1 false <nil>
	// Tight 64x64+0+0 true <nil>
}
