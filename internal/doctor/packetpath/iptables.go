package packetpath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An ipTable is one table of iptables: its name, and its chains by theirs.
type ipTable struct {
	name   string
	chains map[string]*chain
}

// iptables is what the tools of iptables tell of the kernel's rules for IPv4
// or IPv6. Some keep them in nf_tables and others in a place of their own; both
// may be there. No table is named to them, since the kernel makes the one that
// is asked for. native are the tables of nf_tables that they manage.
func (q *Question) iptables(ctx context.Context, six bool) (tables []*ipTable, native map[string]bool, ran bool, err error) {
	family, name := "ip", "iptables"
	if six {
		family, name = "ip6", "ip6tables"
	}
	native = map[string]bool{}
	for _, tool := range []string{name + "-nft-save", name + "-legacy-save", name + "-save"} {
		if tool == name+"-save" && ran {
			break // it is the one of the two that this host prefers
		}
		if tool != name+"-nft-save" {
			// The tool itself passes over what it may not read.
			older, err := os.ReadFile(filepath.Join(q.Root, "/proc/net/"+strings.Replace(name, "tables", "_tables", 1)+"_names"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, nil, true, err
			}
			if tool == name+"-legacy-save" && len(older) == 0 {
				continue
			}
		}
		out, there, err := q.run(ctx, tool)
		if err != nil {
			return nil, nil, true, err
		}
		ran = ran || there
		for _, t := range parseIPTables(out) {
			tables = append(tables, t)
			if strings.Contains(out, "(nf_tables)") && !strings.Contains(out, "Table `"+t.name+"' ") { // "… contains incompatible base-chains"
				native[family+" "+t.name] = true
			}
		}
	}
	return tables, native, ran, nil
}

// seenChains are those that packets for this host see, in each table, and those
// that the answers do. Of a connection's packets nat sees the first alone.
var seenChains = map[string][]string{
	"raw": {"PREROUTING", "OUTPUT"}, "mangle": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}, "nat": {"PREROUTING"},
	"filter": {"INPUT", "OUTPUT"}, "security": {"INPUT", "OUTPUT"},
}

// ipBases are the chains of the tables that packets for this host and the
// answers see.
func ipBases(tables []*ipTable, command string) (list []base) {
	for _, t := range tables {
		for _, name := range seenChains[t.name] {
			c := t.chains[name]
			if c == nil || c.policy == "accept" && len(c.rules) == 0 {
				continue
			}
			b := base{chain: c, chains: t.chains, who: "iptables", out: name == "OUTPUT" || name == "POSTROUTING"}
			port := "--dport"
			if b.out {
				port = "--sport"
			}
			table := ""
			if t.name != "filter" {
				table = " -t " + t.name
			}
			b.allow = func(_ string, first, last int) string {
				return fmt.Sprintf("%s%s -I %s -p tcp %s %d:%d -j ACCEPT (and the same in the file that this host loads its rules from)", command, table, name, port, first, last)
			}
			switch ufw, firewalld := t.chains["ufw-user-input"] != nil, t.chains["INPUT_ZONES"] != nil || t.chains["PREROUTING_ZONES"] != nil; {
			case ufw && b.out:
				b.who, b.allow = "ufw", func(_ string, first, last int) string {
					return fmt.Sprintf("ufw allow out proto tcp from any port %d:%d", first, last)
				}
			case ufw:
				b.who, b.allow = "ufw", func(_ string, first, last int) string { return fmt.Sprintf("ufw allow %d:%d/tcp", first, last) }
			case firewalld && (b.out || t.name == "nat"):
				b.who, b.allow = "firewalld", mendZones
			case firewalld:
				b.who, b.allow = "firewalld", allowInZone
			}
			list = append(list, b)
		}
	}
	return list
}

// mendZones is what to do about firewalld where no port needs to be let in.
func mendZones(_ string, _, _ int) string {
	return "see what firewalld forwards and what it lets out (firewall-cmd --list-all-zones, firewall-cmd --list-all-policies), and take out what is about viewers' ports"
}

// allowInZone is firewalld's command that lets viewers into the zone that a
// chain of its own is for: filter_IN_public_deny, IN_public.
func allowInZone(culprit string, first, last int) string {
	zone := ""
	if _, rest, ok := strings.Cut(culprit, "IN_"); ok && !strings.HasPrefix(rest, "policy_") {
		for _, suffix := range []string{"_pre", "_log", "_deny", "_allow", "_post"} {
			rest = strings.TrimSuffix(rest, suffix)
		}
		zone = " --zone=" + rest
	}
	return fmt.Sprintf("firewall-cmd --permanent%s --add-port=%d-%d/tcp && firewall-cmd --reload", zone, first, last)
}

// parseIPTables reads what iptables-save prints.
func parseIPTables(out string) (tables []*ipTable) {
	var t *ipTable
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		words := shellWords(line)
		switch {
		case strings.HasPrefix(line, "*"):
			t = &ipTable{line[1:], map[string]*chain{}}
			tables = append(tables, t)
		case t == nil || len(words) < 2:
		case strings.HasPrefix(line, ":"):
			name := words[0][1:]
			t.chains[name] = &chain{name: name, policy: map[string]string{"ACCEPT": "accept", "DROP": "drop"}[words[1]]}
		case words[0] == "-A" && t.chains[words[1]] != nil:
			c := t.chains[words[1]]
			c.rules = append(c.rules, parseIPTablesRule(line, words[2:]))
		}
	}
	return tables
}

// parseIPTablesRule reads what follows "-A CHAIN".
func parseIPTablesRule(line string, words []string) rule {
	r := rule{text: line}
	module := yes // what there is to say of the options of the last -m
	for i := 0; i < len(words); {
		negated := words[i] == "!"
		if negated {
			i++
		}
		if i >= len(words) {
			break
		}
		option := words[i]
		i++
		var values []string
		for i < len(words) && words[i] != "!" && !isOption(words[i]) {
			values = append(values, words[i])
			i++
		}
		value := strings.Join(values, " ")
		if option == "-j" || option == "-g" {
			r.verdict, r.target = iptablesTarget(option, value)
			if r.verdict == "divert" {
				r.stays = iptablesStays(words[i:])
			}
			break // what follows are the target's own options
		}
		var c condition
		if option == "-m" {
			module = iptablesModule(value)
			c = always(module)
		} else if c = iptablesCondition(option, value); c == nil {
			c = always(unclear)
			if module != yes {
				continue // its doubts have been noted
			}
		}
		if negated {
			inner := c
			c = func(p packet) truth { return inner(p).not() }
		}
		r.conditions = append(r.conditions, c)
	}
	return r
}

func isOption(s string) bool { return len(s) > 1 && s[0] == '-' && (s[1] < '0' || s[1] > '9') }

// iptablesTarget is what -j or -g does.
func iptablesTarget(option, target string) (verdict, chain string) {
	switch target {
	case "ACCEPT":
		return "accept", ""
	case "DROP", "REJECT", "TARPIT":
		return "drop", ""
	case "RETURN":
		return "return", ""
	case "DNAT", "REDIRECT":
		return "divert", ""
	case "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "AUDIT", "SET", "TCPMSS", "CLASSIFY", "TOS", "DSCP", "ECN", "TTL", "HL", "CHECKSUM":
		return "", ""
	}
	if option == "-g" {
		return "goto", target
	}
	return "jump", target // a chain's, or what isn't understood
}

// iptablesModule is what -m says by itself: of those whose options are
// understood that they say it, and of others what can be said of all of theirs.
func iptablesModule(name string) truth {
	switch name {
	case "tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmp6", "ipv6-icmp", "multiport", "conntrack", "state", "comment", "addrtype", "pkttype":
		return yes
	case "limit", "hashlimit", "recent", "connlimit", "mac", "time", "geoip", "statistic", "rpfilter", "set", "quota":
		return depends // on where packets come from, or when, or how many
	}
	return unclear
}

// iptablesCondition is what an option says of viewers' packets; nil is one
// that isn't understood.
func iptablesCondition(option, value string) condition {
	switch option {
	case "--comment":
		return always(yes)
	case "--syn":
		return func(p packet) truth { return matchesFlags("FIN,SYN,RST,ACK SYN", p.flags()) }
	case "--tcp-flags":
		return func(p packet) truth { return matchesFlags(value, p.flags()) }
	case "-p":
		return always(boolTruth(value == "tcp" || value == "6" || value == "all"))
	case "--dport", "--dports", "--destination-ports":
		return func(p packet) truth { _, to := p.ports(); return inLists(value, to) }
	case "--sport", "--sports", "--source-ports":
		return func(p packet) truth { from, _ := p.ports(); return inLists(value, from) }
	case "--ports":
		return func(p packet) truth { return inList(value, p.port).either(inLists(value, remotePorts)) }
	case "-f":
		return always(no) // of fragments but the first
	case "-i", "-o":
		return func(p packet) truth {
			if p.reply == (option == "-i") {
				return no // there is none
			}
			if len(p.via) == 0 {
				return min(boolTruth(value != "lo"), depends)
			}
			return each(p.via, func(via string) truth { return isInterface(via, value, "+") })
		}
	case "--state", "--ctstate":
		return oneOf(value, "NEW", "ESTABLISHED")
	case "--ctdir":
		return oneOf(value, "ORIGINAL", "REPLY")
	case "-s", "-d":
		return func(p packet) truth {
			if p.reply == (option == "-s") {
				return ownIn(p, value)
			}
			return remoteIn(value)
		}
	case "--src-range":
		return always(depends)
	case "--src-type":
		return func(p packet) truth {
			if p.reply {
				return boolTruth(slices.Contains(strings.Split(value, ","), "LOCAL"))
			}
			return depends
		}
	case "--dst-type":
		return oneOf(value, "LOCAL", "UNICAST")
	case "--pkt-type":
		return always(boolTruth(value == "unicast"))
	case "--icmp-type", "--icmpv6-type":
		return always(no)
	}
	return nil
}

// oneOf is a condition on a list of words: that the one for a connection's first
// packet is there, or the one for the answer.
func oneOf(list, first, answer string) condition {
	words := strings.Split(list, ",")
	return func(p packet) truth {
		if p.reply {
			return boolTruth(slices.Contains(words, answer))
		}
		return boolTruth(slices.Contains(words, first))
	}
}

// remoteIn is whether viewers are in a prefix.
func remoteIn(value string) truth {
	prefix, err := netip.ParsePrefix(value)
	switch {
	case err != nil:
		return depends
	case prefix.Bits() == 0:
		return yes
	case prefix.Addr().IsLoopback():
		return no
	}
	return depends
}

// ownIn is whether this host's address is in a prefix.
func ownIn(p packet, value string) truth {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		return unclear
	}
	return each(addressSubject(p), func(test nftTest) truth {
		return test(map[string]any{"range": []any{prefix.Addr().String(), lastOf(prefix).String()}})
	})
}

// inLists is what can be said of one of several ports.
func inLists(list string, ports []int) truth {
	return each(ports, func(port int) truth { return inList(list, port) })
}

// inList is whether a port is in a list such as "22,6001:6099".
func inList(list string, port int) truth {
	return anyOf(strings.Split(list, ","), func(part string) truth {
		lo, hi, isRange := strings.Cut(part, ":")
		if !isRange {
			hi = lo
		}
		from, err := strconv.Atoi(lo)
		to, err2 := strconv.Atoi(hi)
		if err != nil || err2 != nil {
			return unclear
		}
		return boolTruth(from <= port && port <= to)
	})
}

// matchesFlags is whether flags, as bits, match "MASK COMP".
func matchesFlags(value string, flags int) truth {
	mask, set, _ := strings.Cut(value, " ")
	bits := func(list string) (all int) {
		for name := range strings.SplitSeq(strings.ToLower(list), ",") {
			switch i := slices.Index(tcpFlags, name); {
			case name == "all":
				all |= 0x3f
			case i >= 0:
				all |= 1 << i
			}
		}
		return all
	}
	return boolTruth(flags&bits(mask) == bits(set))
}

// shellWords splits a line at blanks, but not inside double quotes.
func shellWords(line string) (words []string) {
	var word strings.Builder
	quoted, any := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, any = !quoted, true
		case c == ' ' && !quoted:
			if any {
				words = append(words, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteByte(c)
			any = true
		}
	}
	if any {
		words = append(words, word.String())
	}
	return words
}
