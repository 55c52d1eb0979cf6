package wsproxy

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the reverse proxies in front of a server whose word is taken for
// who their client is. The zero Proxies are none.
type Proxies struct {
	Networks []netip.Prefix // the addresses that they connect from
	Unix     bool           // whoever connects through a unix socket is one
}

// Handler returns a handler for what reaches next through the proxies or
// directly. Of a request that one of the proxies sent, next sees what the
// client had asked the outermost of them:
//
//   - RemoteAddr is the last address in X-Forwarded-For that isn't a proxy's, with
//     port 0,
//   - Host is the first one of X-Forwarded-Host,
//   - URL.Scheme is the first one of X-Forwarded-Proto, "http" or "https".
//
// Of any other request these headers are ignored. URL.Scheme is "https" then if
// the connection is TLS, else empty.
func (p Proxies) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, p.original(r)) })
}

// original is r as its client sent it.
func (p Proxies) original(r *http.Request) *http.Request {
	trusted := p.trust(r.RemoteAddr)
	if !trusted && r.TLS == nil {
		return r
	}
	r = r.WithContext(r.Context())
	u := *r.URL
	r.URL = &u
	if r.TLS != nil {
		u.Scheme = "https"
	}
	if !trusted {
		return r
	}
	if client := p.forwardedFor(r.Header.Values("X-Forwarded-For")); client.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	if host := first(r.Header.Get("X-Forwarded-Host")); host != "" {
		r.Host = host
	}
	switch scheme := strings.ToLower(first(r.Header.Get("X-Forwarded-Proto"))); scheme {
	case "http", "https":
		u.Scheme = scheme
	case "ws", "wss": // what some write for an upgrade
		u.Scheme = strings.Replace(scheme, "ws", "http", 1)
	}
	return r
}

// first is the first of values separated by commas: the outermost proxy's.
func first(list string) string {
	value, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(value)
}

// trust reports whether an address is one of the proxies'. A peer at a unix
// socket has none.
func (p Proxies) trust(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return p.Unix
	}
	return contains(p.Networks, ap.Addr())
}

// forwardedFor is the address nearest to this host that no proxy has: what
// stands before it could have been written by anybody. If all are proxies', it
// is the farthest.
func (p Proxies) forwardedFor(headers []string) (client netip.Addr) {
	for _, header := range slices.Backward(headers) {
		for _, entry := range slices.Backward(strings.Split(header, ",")) {
			addr, ok := parseForwarded(strings.TrimSpace(entry))
			if !ok {
				return client
			}
			client = addr
			if !contains(p.Networks, addr) {
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
