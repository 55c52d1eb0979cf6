package wsproxy

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// withClient returns r with the viewer's address as its RemoteAddr, and the
// address of the trusted proxy that r came through, if it did.
func withClient(r *http.Request, trusted []netip.Prefix) (_ *http.Request, proxy string) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !contains(trusted, peer.Addr()) {
		return r, ""
	}
	client := forwardedFor(r.Header.Values("X-Forwarded-For"), trusted)
	if !client.IsValid() {
		return r, ""
	}
	proxy = r.RemoteAddr
	r = r.WithContext(r.Context())
	r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	return r, proxy
}

// forwardedFor is the address nearest to this host that no trusted proxy has:
// what stands before it could have been written by anybody. If all are
// trusted, it is the farthest.
func forwardedFor(headers []string, trusted []netip.Prefix) (client netip.Addr) {
	for _, header := range slices.Backward(headers) {
		for _, entry := range slices.Backward(strings.Split(header, ",")) {
			addr, ok := parseForwarded(strings.TrimSpace(entry))
			if !ok {
				return client
			}
			client = addr
			if !contains(trusted, addr) {
				return client
			}
		}
	}
	return client
}

// parseForwarded takes an address as proxies write it: with a port or without,
// IPv6 in brackets or not.
func parseForwarded(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(s)
	return addr.Unmap(), err == nil
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// placeOf is what viewers at one address share: the IPv4 address, or the IPv6
// network that one host may have for itself. It is invalid for a viewer
// without an IP address.
func placeOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// addrPort is a's IP address and port, invalid if it has none.
func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// addrOf is a's text, else empty.
func addrOf(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil {
		return cmp.Or(a.String(), a.Network())
	}
	return ""
}
