package doctor

import (
	"context"
	"fmt"
	"strings"
)

// iptables is nil where there is no iptables. See iptables(8) and
// iptables-extensions(8).
func (d *Doctor) iptables(ctx context.Context, first, last int) (*wall, error) {
	out, ran, err := d.run(ctx, "iptables-save", "-t", "filter")
	if !ran || err != nil {
		return nil, err
	}
	chains := parseIPTables(out)
	input := chains["INPUT"]
	if input == nil || input.policy == "accept" && len(input.rules) == 0 {
		return nil, nil
	}
	w := &wall{name: "iptables", allow: fmt.Sprintf("iptables -I INPUT -p tcp --dport %d:%d -j ACCEPT", first, last)}
	w.survey(chains, []*chain{input}, first, last)
	return w, nil
}

// parseIPTables reads what iptables-save prints of the table filter.
func parseIPTables(out string) map[string]*chain {
	chains := map[string]*chain{}
	table := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		words := shellWords(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case table != "filter" || len(words) < 2:
		case strings.HasPrefix(line, ":"):
			name := words[0][1:]
			chains[name] = &chain{name: name, policy: map[string]string{"ACCEPT": "accept", "DROP": "drop"}[words[1]]}
		case words[0] == "-A" && chains[words[1]] != nil:
			c := chains[words[1]]
			c.rules = append(c.rules, parseIPTablesRule(line, words[2:]))
		}
	}
	return chains
}

// parseIPTablesRule reads what follows "-A CHAIN".
func parseIPTablesRule(line string, words []string) rule {
	r := rule{text: line}
	var conditions []func(int) truth
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
		switch option {
		case "-j", "-g":
			r.verdict, r.target = iptablesTarget(option, value)
			i = len(words) // what follows are the target's own options
		default:
			c := iptablesCondition(option, value)
			if negated {
				inner := c
				c = func(port int) truth { return inner(port).not() }
			}
			conditions = append(conditions, c)
		}
	}
	r.matches = func(port int) truth {
		t := yes
		for _, c := range conditions {
			t = min(t, c(port))
		}
		return t
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
	case "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "AUDIT", "SET", "TCPMSS", "CLASSIFY":
		return "", ""
	}
	if option == "-g" {
		return "goto", target
	}
	return "jump", target
}

// iptablesCondition is what an option says of a new TCP connection from
// elsewhere.
func iptablesCondition(option, value string) func(port int) truth {
	is := func(t truth) func(int) truth { return func(int) truth { return t } }
	switch option {
	case "-m":
		switch value {
		case "tcp", "udp", "icmp", "multiport", "conntrack", "state", "comment", "addrtype":
			return is(yes) // its options say what it is for
		}
	case "--comment", "--syn":
		return is(yes) // the connection's first packet is what counts
	case "--tcp-flags":
		return is(boolTruth(matchesSYN(value)))
	case "-p":
		return is(boolTruth(value == "tcp" || value == "6" || value == "all"))
	case "--dport", "--dports", "--destination-ports":
		return func(port int) truth {
			hit, ok := inList(value, ":", port)
			if !ok {
				return maybe
			}
			return boolTruth(hit)
		}
	case "-i":
		if value == "lo" {
			return is(no)
		}
	case "--state", "--ctstate":
		for state := range strings.SplitSeq(value, ",") {
			if state == "NEW" {
				return is(yes)
			}
		}
		return is(no)
	case "-s":
		if value == "0.0.0.0/0" {
			return is(yes)
		}
		if strings.HasPrefix(value, "127.") {
			return is(no)
		}
	case "--dst-type":
		if value == "BROADCAST" || value == "MULTICAST" || value == "ANYCAST" {
			return is(no)
		}
	case "--icmp-type":
		return is(no)
	}
	return is(maybe)
}

// matchesSYN reports whether a connection's first packet, in which SYN alone of
// all flags is set, matches "MASK COMP".
func matchesSYN(value string) bool {
	mask, set, _ := strings.Cut(value, " ")
	for flag := range strings.SplitSeq(mask, ",") {
		if flag == "SYN" || flag == "ALL" {
			return set == "SYN"
		}
	}
	return set == "NONE"
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
