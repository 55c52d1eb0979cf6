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
// seen; see [ProtocolVersion.Framing].
var (
	version33 = ProtocolVersion{3, 3}
	version37 = ProtocolVersion{3, 7}
	version38 = ProtocolVersion{3, 8}
)

// versionApple is what Apple's Screen Sharing announces.
var versionApple = ProtocolVersion{3, 889}

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

// versions are who announces what. The first that fits counts.
var versions = []struct {
	first, last ProtocolVersion
	framing     ProtocolVersion // zero: can't be spoken
	who         string
}{
	{ProtocolVersion{0, 0}, ProtocolVersion{0, 0}, ProtocolVersion{}, "a repeater of UltraVNC's, which wants to know whose desktop first"},
	{version33, version33, version33, "RFC 6143's appendix"},
	{ProtocolVersion{3, 5}, ProtocolVersion{3, 5}, version33, "a mistake of an old viewer's"},
	{ProtocolVersion{3, 4}, ProtocolVersion{3, 4}, version33, "UltraVNC"},
	{ProtocolVersion{3, 6}, ProtocolVersion{3, 6}, version33, "UltraVNC"},
	{version37, version37, version37, "RFC 6143's appendix"},
	{version38, version38, version38, "RFC 6143"},
	{ProtocolVersion{3, 14}, ProtocolVersion{3, 14}, ProtocolVersion{}, "UltraVNC with a question of its own"},
	{ProtocolVersion{3, 16}, ProtocolVersion{3, 16}, ProtocolVersion{}, "UltraVNC with a question of its own"},
	{ProtocolVersion{3, 18}, ProtocolVersion{3, 18}, version38, "UltraVNC"},
	{versionApple, versionApple, version38, "Apple"},
	{ProtocolVersion{3, 9}, ProtocolVersion{3, 999}, version38, "unofficial"},
	{ProtocolVersion{3, 0}, ProtocolVersion{3, 6}, version33, "unofficial"},
	{ProtocolVersion{4, 0}, ProtocolVersion{4, 1}, version38, "Intel AMT, RealVNC 4.6"},
	{ProtocolVersion{5, 0}, ProtocolVersion{5, 999}, version38, "RealVNC"},
}

// Framing is the published version, 3.3, 3.7 or 3.8, in which a server that
// announces v can be answered, and who is known to announce it. It reports
// false if nothing published fits: the lengths of what follows would be
// guesswork. The relay takes nothing but published versions from a viewer.
func (v ProtocolVersion) Framing() (framing ProtocolVersion, who string, ok bool) {
	for _, known := range versions {
		if v.Major == known.first.Major && v.Minor >= known.first.Minor && v.Minor <= known.last.Minor {
			return known.framing, known.who, known.framing != ProtocolVersion{}
		}
	}
	return ProtocolVersion{}, "unknown", false
}

// String is the message itself without its newline: "RFB 003.008".
func (v ProtocolVersion) String() string {
	return fmt.Sprintf("RFB %03d.%03d", v.Major, v.Minor)
}

// message is the version as it goes over the wire.
func (v ProtocolVersion) message() []byte { return []byte(v.String() + "\n") }
