package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// nftables is nil where there is no nft, or nothing filters. Tables of one name
// can be left out. See nft(8) and libnftables-json(5).
func (d *Doctor) nftables(ctx context.Context, first, last int, without string) (*wall, error) {
	out, ran, err := d.run(ctx, "nft", "-j", "list", "ruleset")
	if !ran || err != nil {
		return nil, err
	}
	tables, err := parseNFT([]byte(out))
	if err != nil {
		return nil, fmt.Errorf("nft -j list ruleset: %w", err)
	}
	tables = slices.DeleteFunc(tables, func(t *nftTable) bool {
		_, name, _ := strings.Cut(t.name, " ")
		return name == without
	})
	if len(tables) == 0 {
		return nil, nil
	}
	w := &wall{name: "nftables"}
	for _, t := range tables {
		for _, base := range t.bases { // all of which must let a connection in
			one := &wall{}
			one.survey(t.chains, []*chain{base}, first, last)
			worse := len(one.dropped) > 0 && len(w.dropped) == 0
			if w.why == "" || worse {
				w.why = one.why
			}
			if w.allow == "" || worse {
				w.allow = fmt.Sprintf("nft insert rule %s %s tcp dport %d-%d accept", t.name, base.name, first, last)
			}
			w.dropped = union(w.dropped, one.dropped)
			w.maybe = union(w.maybe, one.maybe)
		}
	}
	w.maybe = slices.DeleteFunc(w.maybe, func(port int) bool { return slices.Contains(w.dropped, port) })
	return w, nil
}

func union(a, b []int) []int {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// An nftTable is a table with chains that see incoming packets.
type nftTable struct {
	name   string // "inet filter"
	chains map[string]*chain
	bases  []*chain
}

// parseNFT reads a ruleset in JSON. Tables that don't filter incoming IPv4,
// and those that iptables keeps in the kernel's nftables and tells better
// itself, are left out.
func parseNFT(out []byte) ([]*nftTable, error) {
	var ruleset struct {
		Objects []struct {
			Chain *struct{ Family, Table, Name, Hook, Type, Policy string }
			Rule  *struct {
				Family, Table, Chain string
				Expr                 []map[string]any
			}
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &ruleset); err != nil {
		return nil, err
	}
	tables := map[string]*nftTable{}
	var order []*nftTable
	foreign := map[string]bool{}
	for _, o := range ruleset.Objects {
		if c := o.Chain; c != nil && (c.Family == "ip" || c.Family == "inet") {
			name := c.Family + " " + c.Table
			t := tables[name]
			if t == nil {
				t = &nftTable{name: name, chains: map[string]*chain{}}
				tables[name] = t
				order = append(order, t)
			}
			one := &chain{name: c.Name}
			if (c.Hook == "input" || c.Hook == "prerouting") && c.Type == "filter" {
				one.policy = "accept"
				if c.Policy == "drop" {
					one.policy = "drop"
				}
				t.bases = append(t.bases, one)
			}
			t.chains[c.Name] = one
		}
		if r := o.Rule; r != nil {
			name := r.Family + " " + r.Table
			if t := tables[name]; t != nil && t.chains[r.Chain] != nil {
				c := t.chains[r.Chain]
				c.rules = append(c.rules, nftRule(c.name, r.Expr))
			}
			if slices.ContainsFunc(r.Expr, func(e map[string]any) bool { _, xt := e["xt"]; return xt }) {
				foreign[name] = true
			}
		}
	}
	return slices.DeleteFunc(order, func(t *nftTable) bool {
		empty := !slices.ContainsFunc(t.bases, func(c *chain) bool { return c.policy == "drop" || len(c.rules) > 0 })
		return empty || foreign[t.name]
	}), nil
}

// nftRule reads the statements of a rule.
func nftRule(chainName string, expr []map[string]any) rule {
	r := rule{}
	var conditions []func(int) truth
	var words []string
	for _, statement := range expr {
		for kind, value := range statement {
			words = append(words, kind)
			switch kind {
			case "match":
				conditions = append(conditions, nftMatch(value))
			case "accept", "drop", "return":
				r.verdict = kind
			case "reject":
				r.verdict = "drop"
			case "jump", "goto":
				target, _ := value.(map[string]any)
				r.verdict = kind
				r.target, _ = target["target"].(string)
			case "counter", "log", "comment", "mangle":
			case "vmap", "queue":
				r.verdict = "maybe"
			default: // limit, xt, …
				conditions = append(conditions, func(int) truth { return maybe })
			}
		}
	}
	r.text = fmt.Sprintf("a rule of chain %s: %s", chainName, strings.Join(words, " "))
	r.matches = func(port int) truth {
		t := yes
		for _, c := range conditions {
			t = min(t, c(port))
		}
		return t
	}
	return r
}

// nftMatch is what a match says of a new TCP connection from elsewhere.
func nftMatch(value any) func(port int) truth {
	m, _ := value.(map[string]any)
	left, _ := m["left"].(map[string]any)
	payload, _ := left["payload"].(map[string]any)
	meta, _ := left["meta"].(map[string]any)
	ct, _ := left["ct"].(map[string]any)
	protocol, field := payload["protocol"], payload["field"]
	test := func(int) truth { return maybe }
	switch {
	case protocol == "tcp" && field == "dport":
		test = func(port int) truth { return nftNumber(m["right"], float64(port)) }
	case protocol == "udp", protocol == "icmp", protocol == "icmpv6", protocol == "ip6", protocol == "sctp", protocol == "dccp":
		return func(int) truth { return no }
	case protocol == "tcp" && field == "flags":
		return func(int) truth { return maybe }
	case protocol == "ip" && field == "protocol", meta["key"] == "l4proto":
		test = func(int) truth { return nftWord(m["right"], "tcp", float64(6)) }
	case meta["key"] == "nfproto":
		test = func(int) truth { return nftWord(m["right"], "ipv4", float64(2)) }
	case meta["key"] == "iifname" || meta["key"] == "iif":
		test = func(int) truth {
			if m["right"] == "lo" {
				return no
			}
			return maybe
		}
	case ct["key"] == "state":
		test = func(int) truth { return nftWord(m["right"], "new", float64(8)) }
	}
	if m["op"] == "!=" {
		return func(port int) truth { return test(port).not() }
	}
	return test
}

// nftNumber reports whether a number is in a right-hand side: itself, a range,
// or a set of such.
func nftNumber(right any, n float64) truth {
	switch r := right.(type) {
	case float64:
		return boolTruth(r == n)
	case []any:
		return anyOf(r, func(v any) truth { return nftNumber(v, n) })
	case map[string]any:
		if set, ok := r["set"].([]any); ok {
			return nftNumber(set, n)
		}
		if span, ok := r["range"].([]any); ok && len(span) == 2 {
			lo, okLo := span[0].(float64)
			hi, okHi := span[1].(float64)
			if okLo && okHi {
				return boolTruth(lo <= n && n <= hi)
			}
		}
	}
	return maybe // a named set
}

// nftWord is nftNumber for a word, which may be written as a number.
func nftWord(right any, word string, number float64) truth {
	switch r := right.(type) {
	case float64:
		return boolTruth(r == number)
	case string:
		if strings.HasPrefix(r, "@") {
			return maybe
		}
		return boolTruth(r == word)
	case []any:
		return anyOf(r, func(v any) truth { return nftWord(v, word, number) })
	case map[string]any:
		if set, ok := r["set"].([]any); ok {
			return nftWord(set, word, number)
		}
	}
	return maybe
}

func anyOf(list []any, test func(any) truth) truth {
	t := no
	for _, v := range list {
		t = max(t, test(v))
	}
	return t
}
