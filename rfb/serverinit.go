package rfb

import (
	"encoding/binary"
	"fmt"
)

// serverInitLen is the length of a ServerInit before its name.
const serverInitLen = 4 + pixelFormatLen + 4

// A ServerInit ends the handshake: what the server shows (RFC 6143 §7.3.2).
type ServerInit struct {
	Width, Height uint16      // of the framebuffer, in pixels
	Format        PixelFormat // the server's own, in force until a SetPixelFormat
	Name          string      // of the desktop: text from the peer, not to be trusted
}

// AppendBinary appends the message to b, its padding zero. The error is always
// nil.
func (m ServerInit) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint16(b, m.Width)
	b = binary.BigEndian.AppendUint16(b, m.Height)
	b, _ = m.Format.AppendBinary(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Name)))
	return append(b, m.Name...), nil
}

// UnmarshalBinary reads the message from exactly its bytes.
func (m *ServerInit) UnmarshalBinary(b []byte) error {
	if len(b) < serverInitLen || uint64(len(b)) != serverInitLen+uint64(binary.BigEndian.Uint32(b[20:])) {
		return fmt.Errorf("%w: no ServerInit", ErrMalformed)
	}
	m.Width, m.Height = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	m.Name = string(b[serverInitLen:])
	return m.Format.UnmarshalBinary(b[4:20])
}

// cleanASCII makes text from a peer fit to be shown without changing its
// length, and without regard to where it is cut: what isn't printable ASCII
// becomes a question mark.
func cleanASCII(b []byte) {
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
}
