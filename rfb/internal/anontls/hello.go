package anontls

import (
	"encoding/binary"
	"io"
	"slices"
)

// The extensions that are offered, and a suite that stands for one.
const (
	extSupportedGroups    = 10     // RFC 7919 §2
	extExtendedMaster     = 23     // RFC 7627 §5.1
	extRenegotiationInfo  = 0xff01 // RFC 5746 §3.2
	signalNoRenegotiation = 0x00ff // RFC 5746 §3.3
)

const (
	randomLen    = 32
	maxSessionID = 32
)

// A hello is what both sides say first.
type hello struct {
	client, server [randomLen]byte // random numbers
	suite          suite
	extended       bool // the master secret is (RFC 7627)
}

// say is the ClientHello (§7.4.1.2).
func (h *hello) say(random io.Reader) ([]byte, error) {
	if _, err := io.ReadFull(random, h.client[:]); err != nil {
		return nil, err
	}
	u16 := binary.BigEndian.AppendUint16
	b := u16(nil, version12)
	b = append(b, h.client[:]...)
	b = append(b, 0) // no session
	b = u16(b, uint16(2*(len(suites)+1)))
	for _, s := range suites {
		b = u16(b, s.id)
	}
	b = u16(b, signalNoRenegotiation)
	b = append(b, 1, 0) // no compression

	groups := make([]byte, 0, 2*len(named))
	for _, n := range named {
		groups = u16(groups, n.id)
	}
	extensions := u16(u16(nil, extExtendedMaster), 0)
	extensions = u16(extensions, extSupportedGroups)
	extensions = u16(extensions, uint16(2+len(groups)))
	extensions = append(u16(extensions, uint16(len(groups))), groups...)
	return append(u16(b, uint16(len(extensions))), extensions...), nil
}

// answered reads the ServerHello (§7.4.1.3).
func (h *hello) answered(p []byte) error {
	f := &fields{b: p}
	version := f.number(2)
	copy(h.server[:], f.next(randomLen))
	session, id, compression := f.vector(1), f.number(2), f.number(1)
	var extensions []byte
	if len(f.b) > 0 {
		extensions = f.vector(2)
	}
	i := slices.IndexFunc(suites, func(s suite) bool { return int(s.id) == id })
	switch {
	case !f.done() || len(session) > maxSessionID:
		return wrong(alertDecodeError, "ServerHello of %d bytes", len(p))
	case version != version12:
		return because(ErrUnfit, alertProtocolVersion, "it chose version %#04x, TLS 1.2 is needed", version)
	case i < 0:
		return because(ErrUnfit, alertIllegalParameter, "it chose cipher suite %#04x", id)
	case compression != 0:
		return because(ErrUnfit, alertIllegalParameter, "it chose compression %d", compression)
	}
	h.suite = suites[i]
	return h.extensions(extensions)
}

// extensions reads those of the ServerHello. It must have none that wasn't offered, and none twice (§7.4.1.4).
func (h *hello) extensions(p []byte) error {
	var seen []int
	for f := (&fields{b: p}); len(f.b) > 0; {
		id, data := f.number(2), f.vector(2)
		switch {
		case f.short, slices.Contains(seen, id):
			return wrong(alertDecodeError, "its extensions")
		case id == extExtendedMaster && len(data) == 0:
			h.extended = true
		case id == extRenegotiationInfo && len(data) == 1 && data[0] == 0: // of nothing before
		case id == extExtendedMaster, id == extRenegotiationInfo:
			return because(ErrProtocol, alertHandshakeFailure, "extension %d of %d bytes", id, len(data))
		default:
			return because(ErrProtocol, alertUnsupportedExtension, "extension %d", id)
		}
		seen = append(seen, id)
	}
	return nil
}
