package encode_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

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

// A server that shows a screen to a viewer for as long as it asks.
func ExampleEncoder() {
	show := func(ctx context.Context, conn net.Conn, screen encode.Image) error {
		server := rfb.Server{Init: rfb.ServerInit{
			Width: uint16(screen.Width), Height: uint16(screen.Height), Format: encode.Format(), Name: "screen",
		}}
		if _, err := server.Accept(ctx, conn); err != nil {
			return err
		}
		var e encode.Encoder
		var in, out []byte // of the viewer, and for it
		for part := make([]byte, 4096); ; {
			n, err := conn.Read(part)
			if err != nil {
				return err
			}
			for in = append(in, part[:n]...); ; {
				m, n, err := rfb.ParseClientMessage(in)
				if errors.Is(err, io.ErrUnexpectedEOF) {
					break // the rest of the message is still to come
				} else if err != nil {
					return err
				}
				in = in[n:]
				switch m := m.(type) {
				case *rfb.SetPixelFormat:
					if err := e.SetPixelFormat(m.Format); err != nil {
						return err
					}
				case *rfb.SetEncodings:
					e.SetEncodings(m.Encodings)
				case *rfb.FramebufferUpdateRequest:
					// A real server answers an incremental one when something has changed.
					out = e.BeginUpdate(out[:0])
					out, _ = e.AppendRect(out, 0, 0, screen, false)
					if _, err := conn.Write(e.EndUpdate(out)); err != nil {
						return err
					}
				}
			}
		}
	}
	_ = show // for each connection
}
