package packetpath

import (
	"net/netip"
	"slices"
	"strings"
)

// An nftTest is what one possible value of a packet's says of one to compare
// with.
type nftTest func(right any) truth

// match is a match statement: what it says of viewers' packets.
func (t *nftTable) match(value any) condition {
	left, op, right := field(value, "left"), field(value, "op"), field(value, "right")
	subject := t.subject(left)
	if isFlags(left) && op != "in" && op != "!" { // not any of them, but all
		subject = func(p packet) []nftTest { return maskedTest(p, left, float64(0xff)) }
	}
	return func(p packet) truth {
		if absent(left, p) {
			return no
		}
		return each(subject(p), func(test nftTest) truth { return t.compare(test, op, right) })
	}
}

// compare is what comes of a comparison.
func (t *nftTable) compare(test nftTest, op, right any) truth {
	upTo := func(below float64) truth {
		n, ok := right.(float64)
		if !ok {
			return unclear
		}
		return test(map[string]any{"range": []any{float64(0), n - below}})
	}
	switch op {
	case "==":
		return t.oneOf(right, test)
	case "!=":
		return t.oneOf(right, test).not()
	case "in", "!": // some of a list of bits, none of it
		list, ok := right.([]any)
		if !ok {
			list = []any{right}
		}
		found := anyOf(list, test)
		if op == "!" {
			return found.not()
		}
		return found
	case "<":
		return upTo(1)
	case "<=":
		return upTo(0)
	case ">=":
		return upTo(1).not()
	case ">":
		return upTo(0).not()
	}
	return unclear
}

// foreign are the protocols of which a viewer's packet has no header.
var foreign = []any{"udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "esp", "ah", "comp", "gre", "arp"}

// absent reports whether left is of a header that the packet doesn't have, so
// that a rule that compares it is for others.
func absent(left any, p packet) bool {
	if list, ok := field(left, "concat").([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return absent(one, p) })
	}
	protocol := field(field(left, "payload"), "protocol")
	return protocol == "ip" && p.six || protocol == "ip6" && !p.six || slices.Contains(foreign, protocol)
}

func isFlags(left any) bool {
	payload := field(left, "payload")
	return field(payload, "protocol") == "tcp" && field(payload, "field") == "flags"
}

// oneOf is the test on a right-hand side: one value, or a set of such.
func (t *nftTable) oneOf(right any, test nftTest) truth {
	set := t.set(right)
	if name, _ := right.(string); set == nil && strings.HasPrefix(name, "@") {
		return unclear
	}
	if set == nil {
		return test(right)
	}
	found := anyOf(set.elements, func(e any) truth { return test(elementOf(e)) })
	if !set.known && found != yes {
		return depends // on what is in the set then
	}
	return found
}

// subject is what the left-hand side of a comparison is of a packet: one test,
// or several of which it isn't known which one counts.
func (t *nftTable) subject(left any) func(packet) []nftTest {
	fixed := func(tests ...nftTest) func(packet) []nftTest { return func(packet) []nftTest { return tests } }
	if list, ok := field(left, "concat").([]any); ok {
		return t.concat(list)
	}
	if of, mask, ok := masked(left); ok {
		return func(p packet) []nftTest { return maskedTest(p, of, mask) }
	}
	payload, meta, ct, fib := field(left, "payload"), field(left, "meta"), field(left, "ct"), field(left, "fib")
	protocol, name := field(payload, "protocol"), field(payload, "field")
	switch {
	case protocol == "tcp", protocol == "th":
		return tcpSubject(name)
	case protocol == "ether":
		return fixed(tells(depends))
	case name == "saddr", name == "daddr":
		return func(p packet) []nftTest {
			if p.reply == (name == "saddr") {
				return addressSubject(p)
			}
			return []nftTest{tells(depends)}
		}
	case protocol == "ip" && name == "protocol", protocol == "ip6" && name == "nexthdr", field(meta, "key") == "l4proto":
		return fixed(word("tcp", 6))
	case protocol == "ip" && name == "version":
		return fixed(number(4))
	case meta != nil:
		return metaSubject(field(meta, "key"))
	case ct != nil:
		return func(p packet) []nftTest { return []nftTest{ctTest(p, field(ct, "key"))} }
	case fib != nil:
		return func(p packet) []nftTest { return []nftTest{fibTest(p, fib)} }
	case field(field(left, "tcp option"), "field") == "size":
		return fixed(numbers(536, 1220, 1460, 8960)...) // what networks have
	}
	return fixed(tells(unclear))
}

func tells(t truth) nftTest { return func(any) truth { return t } }

func tcpSubject(name any) func(packet) []nftTest {
	return func(p packet) []nftTest {
		from, to := p.ports()
		switch name {
		case "dport":
			return numbers(to...)
		case "sport":
			return numbers(from...)
		case "flags":
			return []nftTest{func(right any) truth {
				bits, ok := flagBits(right)
				if !ok {
					return unclear
				}
				return boolTruth(bits&p.flags() != 0)
			}}
		}
		return []nftTest{tells(unclear)}
	}
}

func metaSubject(key any) func(packet) []nftTest {
	return func(p packet) []nftTest {
		switch key {
		case "nfproto":
			if p.six {
				return []nftTest{word("ipv6", 10)}
			}
			return []nftTest{word("ipv4", 2)}
		case "protocol":
			if p.six {
				return []nftTest{word("ip6", 0x86dd)}
			}
			return []nftTest{word("ip", 0x0800)}
		case "iif", "iifname", "oif", "oifname":
			if p.reply == strings.HasPrefix(key.(string), "i") {
				return []nftTest{tells(no)} // there is none
			}
			return interfaceTests(p)
		case "iifgroup", "iiftype", "iifkind", "oifgroup", "oiftype", "oifkind", "time", "day", "hour", "random":
			return []nftTest{tells(depends)}
		case "pkttype":
			return []nftTest{word("host", 0)}
		}
		return []nftTest{tells(unclear)}
	}
}

// interfaceTests are one for each interface that packets may come through.
func interfaceTests(p packet) (tests []nftTest) {
	if len(p.via) == 0 {
		return []nftTest{func(right any) truth { return min(boolTruth(right != "lo"), depends) }}
	}
	for _, via := range p.via {
		tests = append(tests, func(right any) truth {
			name, ok := right.(string)
			if !ok {
				return unclear
			}
			return isInterface(via, name, "*")
		})
	}
	return tests
}

// isInterface is whether a name is an interface's, or the beginning of it, with
// the wildcard behind it.
func isInterface(via, name, wildcard string) truth {
	if prefix, ok := strings.CutSuffix(name, wildcard); ok {
		return boolTruth(strings.HasPrefix(via, prefix))
	}
	return boolTruth(via == name)
}

func fibTest(p packet, fib any) nftTest {
	flags, _ := field(fib, "flags").([]any)
	here := any("daddr")
	if p.reply {
		here = "saddr"
	}
	isType := field(fib, "result") == "type" && len(flags) == 1
	switch {
	case isType && flags[0] == here:
		return word("local", 2)
	case isType && p.reply && flags[0] == "daddr":
		return word("unicast", 1)
	case slices.Contains(flags, any("saddr")):
		return tells(depends)
	}
	return tells(unclear)
}

func ctTest(p packet, key any) nftTest {
	switch {
	case key == "state" && p.reply:
		return word("established", 2)
	case key == "state":
		return word("new", 8)
	case key == "direction" && p.reply:
		return word("reply", 1)
	case key == "direction":
		return word("original", 0)
	case key == "status" && p.reply:
		return tells(unclear)
	}
	switch key {
	case "status":
		return func(right any) truth {
			if right == "dnat" || right == "snat" || right == "assured" || right == "seen-reply" {
				return no // nobody redirects connections to viewers' ports
			}
			return unclear
		}
	}
	return tells(unclear)
}

// addressSubject is one test for each of this host's addresses.
func addressSubject(p packet) (tests []nftTest) {
	for _, a := range p.own {
		if a.Is6() == p.six {
			tests = append(tests, func(right any) truth { return isAddress(a, right) })
		}
	}
	if tests == nil { // they aren't known
		return []nftTest{func(right any) truth {
			from, to, ok := addressRange(right)
			elsewhere := from.IsMulticast() && to.IsMulticast() || from.IsLoopback() && to.IsLoopback()
			return min(boolTruth(!ok || !elsewhere), depends)
		}}
	}
	return tests
}

// isAddress is whether an address is another, or in a prefix or range.
func isAddress(a netip.Addr, right any) truth {
	from, to, ok := addressRange(right)
	if !ok {
		return unclear
	}
	return boolTruth(from.Compare(a) <= 0 && a.Compare(to) <= 0)
}

// addressRange reads "192.0.2.1", {"prefix": …} and {"range": [from, to]}.
func addressRange(right any) (from, to netip.Addr, ok bool) {
	parse := func(v any) netip.Addr {
		s, _ := v.(string)
		a, _ := netip.ParseAddr(s)
		return a
	}
	if prefix := field(right, "prefix"); prefix != nil {
		length, _ := field(prefix, "len").(float64)
		p, err := parse(field(prefix, "addr")).Prefix(int(length))
		if err != nil || !p.IsValid() {
			return from, to, false
		}
		return p.Addr(), lastOf(p), true
	}
	if ends, isRange := field(right, "range").([]any); isRange && len(ends) == 2 {
		from, to = parse(ends[0]), parse(ends[1])
	} else {
		from = parse(right)
		to = from
	}
	return from, to, from.IsValid() && to.IsValid()
}

// lastOf is the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// number tests a number.
func number(n int) nftTest {
	return func(right any) truth {
		low, high := right, right
		if span, ok := field(right, "range").([]any); ok && len(span) == 2 {
			low, high = span[0], span[1]
		}
		from, okFrom := low.(float64)
		to, okTo := high.(float64)
		if !okFrom || !okTo {
			return unclear
		}
		return boolTruth(from <= float64(n) && float64(n) <= to)
	}
}

func numbers(list ...int) (tests []nftTest) {
	for _, n := range list {
		tests = append(tests, number(n))
	}
	return tests
}

// word tests a word, which may be written as a number.
func word(name string, value int) nftTest {
	return func(right any) truth {
		if s, ok := right.(string); ok {
			return boolTruth(s == name)
		}
		return number(value)(right)
	}
}

// concat tests several values at once.
func (t *nftTable) concat(list []any) func(packet) []nftTest {
	return func(p packet) []nftTest {
		return []nftTest{func(right any) truth {
			values, _ := field(right, "concat").([]any)
			if len(values) != len(list) {
				return unclear
			}
			all := yes
			for i, left := range list {
				all = min(all, each(t.subject(left)(p), func(test nftTest) truth { return test(elementOf(values[i])) }))
			}
			return all
		}}
	}
}
