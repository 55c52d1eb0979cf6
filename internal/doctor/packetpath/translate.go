package packetpath

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// natTo is a condition on packets whose destination is translated: that it
// becomes what it is. Without an address it becomes this host's; low and high
// are the ports that it may get, and 0 leaves its own.
func natTo(addr netip.Addr, low, high int) condition {
	return func(p packet) truth {
		t := yes
		if addr.IsValid() {
			t = boolTruth(addr.IsLoopback())
			if p.own != nil {
				t = boolTruth(slices.Contains(p.own, addr))
			} else if t == no {
				t = depends // on what this host's addresses are
			}
		}
		if low != 0 {
			t = min(t, boolTruth(low <= p.port && p.port <= high))
		}
		return t
	}
}

// natToAny is natTo where the kernel picks one of several ports at random: then
// it depends on luck whether a packet keeps its own.
func natToAny(addr netip.Addr, low, high int) condition {
	to := natTo(addr, low, high)
	if low == high {
		return to
	}
	return func(p packet) truth { return min(to(p), depends) }
}

// iptablesStays reads the options of DNAT and REDIRECT: --to-destination
// [ADDRESS][:PORT[-PORT]] and --to-ports PORT[-PORT]. See iptables-extensions(8).
func iptablesStays(options []string) condition {
	natTo := natTo
	if slices.Contains(options, "--random") {
		natTo = natToAny
	}
	for i := 0; i+1 < len(options); i++ {
		value := options[i+1]
		switch options[i] {
		case "--to-ports":
			if low, high, ok := portRange(value); ok {
				return natTo(netip.Addr{}, low, high)
			}
			return always(unclear)
		case "--to-destination":
			host, ports := value, ""
			if at, err := netip.ParseAddr(strings.Trim(value, "[]")); err == nil {
				return natTo(at, 0, 0)
			}
			if at := strings.LastIndexByte(value, ':'); at >= 0 {
				host, ports = value[:at], value[at+1:]
			}
			var addr netip.Addr
			var err error
			if host != "" {
				addr, err = netip.ParseAddr(strings.Trim(host, "[]"))
			}
			low, high, ok := portRange(ports)
			if err != nil || !ok {
				return always(unclear) // several addresses
			}
			return natTo(addr, low, high)
		}
	}
	return natTo(netip.Addr{}, 0, 0)
}

// portRange reads "80" and "80-90".
func portRange(s string) (low, high int, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	low, err := strconv.Atoi(from)
	high, err2 := strconv.Atoi(to)
	return low, high, err == nil && err2 == nil
}

// translations are the rules that a dnat or redirect makes: one, or where the
// address is looked up in a map one for each of its elements.
func (t *nftTable) translations(before rule, value any) []rule {
	before.verdict, before.stays = "divert", nftStays(value)
	if family, ok := field(value, "family").(string); ok { // the statement passes over the other's packets
		before.conditions = append(slices.Clone(before.conditions), func(p packet) truth { return boolTruth(p.six == (family == "ip6")) })
	}
	lookup := field(field(value, "addr"), "map")
	if lookup == nil {
		return []rule{before}
	}
	return t.elements(before, field(lookup, "key"), field(lookup, "data"), func(r *rule, to any) {
		r.stays = nftStays(map[string]any{"addr": to, "port": field(value, "port")})
	})
}

// nftStays reads {"addr": ADDRESS, "port": PORT, "flags": FLAGS}, all of which may
// be missing.
func nftStays(value any) condition {
	natTo := natTo
	if flags := fmt.Sprint(field(value, "flags")); strings.Contains(flags, "random") { // one, or a list
		natTo = natToAny
	}
	var addr netip.Addr
	if a := field(value, "addr"); a != nil {
		var to netip.Addr
		var ok bool
		if addr, to, ok = addressRange(a); !ok || addr != to {
			return always(unclear)
		}
	}
	switch port := field(value, "port").(type) {
	case nil:
		return natTo(addr, 0, 0)
	case float64:
		return natTo(addr, int(port), int(port))
	case map[string]any:
		if ends, ok := port["range"].([]any); ok && len(ends) == 2 {
			low, isLow := ends[0].(float64)
			high, isHigh := ends[1].(float64)
			if isLow && isHigh {
				return natTo(addr, int(low), int(high))
			}
		}
	}
	return always(unclear)
}
