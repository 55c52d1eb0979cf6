package wsproxy

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// proxySignature begins a PROXY protocol header of version 2.
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// proxyHeader is the PROXY protocol header, of version 1 or 2, for a
// connection from src to dst. Without two addresses it says that they are
// unknown. (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, §2.)
func proxyHeader(version int, src, dst netip.AddrPort) []byte {
	known := src.IsValid() && dst.IsValid()
	six := known && (src.Addr().Is6() || dst.Addr().Is6())
	if version == 1 {
		switch {
		case !known:
			return []byte("PROXY UNKNOWN\r\n")
		case six:
			return fmt.Appendf(nil, "PROXY TCP6 %s %s %d %d\r\n", sixOf(src), sixOf(dst), src.Port(), dst.Port())
		}
		return fmt.Appendf(nil, "PROXY TCP4 %s %s %d %d\r\n", src.Addr(), dst.Addr(), src.Port(), dst.Port())
	}
	b := append([]byte(proxySignature), 0x21) // version 2, command PROXY
	switch {
	case !known:
		return append(b, 0, 0, 0)
	case six:
		b = append(b, 0x21, 0, 36)
		s, d := src.Addr().As16(), dst.Addr().As16()
		b = append(append(b, s[:]...), d[:]...)
	default:
		b = append(b, 0x11, 0, 12)
		b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	}
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port())
}

// sixOf is the address of a TCP6 line. One of IPv4 is written as mapped.
func sixOf(ap netip.AddrPort) netip.Addr { return netip.AddrFrom16(ap.Addr().As16()) }
