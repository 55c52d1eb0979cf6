// Package encode turns pixels into the rectangles of a FramebufferUpdate, for
// servers of the Remote Framebuffer protocol (RFC 6143).
//
// An [Encoder] is what a server keeps for each viewer: the pixel format and the
// encodings that the viewer asked for, and the zlib streams that its rectangles
// share. A server hands it the viewer's SetPixelFormat and SetEncodings, and
// for each update blocks of pixels:
//
//	func update(conn net.Conn, e *encode.Encoder, screen encode.Image, buf []byte) ([]byte, error) {
//		b := e.BeginUpdate(buf[:0])
//		b, _ = e.AppendRect(b, 0, 0, screen, false)
//		b = e.EndUpdate(b)
//		_, err := conn.Write(b)
//		return b, err
//	}
//
// Package rfb has what is around it: the handshake ([rfb.Server]) and the
// viewer's messages ([rfb.ParseClientMessage]).
//
// The pixels' encodings are Raw, CopyRect, Hextile, ZRLE and Tight, whichever
// the viewer named first; with Tight, parts that look like a photograph are sent
// as JPEG to viewers that asked for a quality. Every pixel format of RFC 6143 is
// served: true colour of 8, 16 and 32 bits in either byte order, and colour
// maps of 8 bits.
//
// Buffers belong to the caller and grow with append; an Encoder allocates
// nothing once it has seen an update of each kind.
package encode
