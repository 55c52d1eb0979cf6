package rfb

import "fmt"

// versionLen is the length of a ProtocolVersion message.
const versionLen = 12

// A ProtocolVersion is the version of RFB that a peer announces in the first
// twelve bytes it sends (RFC 6143 §7.1.1).
type ProtocolVersion struct {
	Major, Minor int // 0 to 999
}

// The published versions. Nothing else is standard, though other numbers are
// seen: 3.889 from Apple, 4.x and 5.x from RealVNC, 0.0 from repeaters.
var (
	version33 = ProtocolVersion{3, 3}
	version37 = ProtocolVersion{3, 7}
	version38 = ProtocolVersion{3, 8}
)

// ParseVersion reads a ProtocolVersion message: exactly "RFB xxx.yyy\n" with
// decimal digits. Anything else is an error that wraps [ErrMalformed].
func ParseVersion(b []byte) (ProtocolVersion, error) {
	bad := len(b) != versionLen || string(b[:4]) != "RFB " || b[7] != '.' || b[11] != '\n'
	var v ProtocolVersion
	for i := 4; i < 11 && !bad; i++ {
		if i == 7 {
			continue
		}
		if b[i] < '0' || b[i] > '9' {
			bad = true
		}
		n := &v.Major
		if i > 7 {
			n = &v.Minor
		}
		*n = *n*10 + int(b[i]-'0')
	}
	if bad {
		return ProtocolVersion{}, fmt.Errorf("%w: %q is no ProtocolVersion", ErrMalformed, b[:min(len(b), versionLen)])
	}
	return v, nil
}

// String is the message itself without its newline: "RFB 003.008".
func (v ProtocolVersion) String() string {
	return fmt.Sprintf("RFB %03d.%03d", v.Major, v.Minor)
}

// message is the version as it goes over the wire.
func (v ProtocolVersion) message() []byte { return []byte(v.String() + "\n") }
