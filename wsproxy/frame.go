package wsproxy

import "encoding/binary"

// Opcodes with the FIN bit set: this end never fragments (RFC 6455 §5.2).
const (
	finBinary = 0x82
	finClose  = 0x88
	finPing   = 0x89
	finPong   = 0x8a
)

const (
	maxPayload = 64 << 10 // of a frame to the viewer: noVNC's receive queue is bounded, and one message must fit
	maxHeader  = 10       // of a frame that isn't masked
)

// appendHeader appends the header of an unmasked frame of n payload bytes.
func appendHeader(b []byte, first byte, n int) []byte {
	switch {
	case n <= 125:
		return append(b, first, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(n))
}

// closeFrame is the close frame for a code and reason; [StatusNoStatus] gives
// an empty one.
func closeFrame(code int, reason string) []byte {
	if code == StatusNoStatus {
		return []byte{finClose, 0}
	}
	reason = cut(reason)
	b := appendHeader(make([]byte, 0, 2+2+len(reason)), finClose, 2+len(reason))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}
