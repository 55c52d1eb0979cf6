package packetpath

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"vda.internal/shadow/internal/host/program"
)

// nftables is what nft tells of the kernel's rules: the base chains that see
// incoming packets. ran is false where there is no nft. See nft(8) and
// libnftables-json(5).
func (q *Question) nftables(ctx context.Context) (ruleset *nftRuleset, ran bool, err error) {
	out, ran, err := q.run(ctx, "nft", "-j", "list", "ruleset")
	terse := errors.Is(err, program.ErrTooMuch) // there are sets with very many addresses
	if terse {
		out, ran, err = q.run(ctx, "nft", "-j", "-t", "list", "ruleset")
	}
	if !ran || err != nil {
		return nil, ran, err
	}
	// The same for people; without it rules are called by their numbers.
	text, _, _ := q.run(ctx, "nft", "-t", "-a", "list", "ruleset")
	ruleset, err = parseNFT([]byte(out), nftTexts(text), terse)
	if err != nil {
		return nil, true, fmt.Errorf("nft -j list ruleset: %w", err)
	}
	return ruleset, true, nil
}

// An nftRuleset is all tables whose packets have IP addresses.
type nftRuleset struct{ tables []*nftTable }

// An nftTable is one of them.
type nftTable struct {
	family, name string // "inet", "filter"
	chains       map[string]*chain
	sets         map[string]*nftSet
	bases        []base
}

// An nftSet is a named set or map.
type nftSet struct {
	elements []any
	known    bool // that those are all, at any time
}

func (t *nftTable) String() string { return t.family + " " + t.name }

// bases are the chains that see packets of a kind, but for those of tables in
// without, by their names with the family.
func (r *nftRuleset) bases(six bool, without map[string]bool) (list []base) {
	families := []string{"inet", "netdev", "ip"}
	if six {
		families[2] = "ip6"
	}
	for _, t := range r.tables {
		if slices.Contains(families, t.family) && !without[t.String()] {
			list = append(list, t.bases...)
		}
	}
	return list
}

// The objects of libnftables-json that matter here.
type (
	nftObject struct {
		Chain *nftChain  `json:"chain"`
		Rule  *nftRule   `json:"rule"`
		Set   *nftSetDef `json:"set"`
		Map   *nftSetDef `json:"map"`
	}
	nftChain struct {
		Family, Table, Name, Hook, Type, Policy string
	}
	nftRule struct {
		Family, Table, Chain string
		Handle               int
		Expr                 []map[string]any
	}
	nftSetDef struct {
		Family, Table, Name string
		Flags               any // one word, or several
		Timeout             any
		Elem                []any
	}
)

// parseNFT reads a ruleset in JSON; texts are its rules for people. A terse one
// doesn't say what is in named sets.
func parseNFT(out []byte, texts map[string]string, terse bool) (*nftRuleset, error) {
	var all struct {
		Objects []nftObject `json:"nftables"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, err
	}
	r := &nftRuleset{}
	for _, o := range all.Objects { // first what rules refer to
		switch {
		case o.Chain != nil:
			r.table(o.Chain.Family, o.Chain.Table).addChain(o.Chain)
		case o.Set != nil:
			r.table(o.Set.Family, o.Set.Table).addSet(o.Set, terse)
		case o.Map != nil:
			r.table(o.Map.Family, o.Map.Table).addSet(o.Map, terse)
		}
	}
	for _, o := range all.Objects {
		if o.Rule == nil {
			continue
		}
		t := r.table(o.Rule.Family, o.Rule.Table)
		if c := t.chains[o.Rule.Chain]; c != nil {
			text, ok := texts[fmt.Sprintf("%s %d", t, o.Rule.Handle)]
			if !ok {
				text = fmt.Sprintf("rule %d", o.Rule.Handle)
			}
			c.rules = append(c.rules, t.rules(o.Rule.Expr, fmt.Sprintf("%s, in chain %s of table %s", text, o.Rule.Chain, t))...)
		}
	}
	return r, nil
}

// table is one of the ruleset's, which is made if it isn't there.
func (r *nftRuleset) table(family, name string) *nftTable {
	for _, t := range r.tables {
		if t.family == family && t.name == name {
			return t
		}
	}
	t := &nftTable{family: family, name: name, chains: map[string]*chain{}, sets: map[string]*nftSet{}}
	r.tables = append(r.tables, t)
	return t
}

// inHooks are those that a packet for this host passes, and outHooks those that
// the answer does. Of a connection's packets chains of type nat see the first
// alone.
var (
	inHooks  = []string{"ingress", "prerouting", "input"}
	outHooks = []string{"output", "postrouting", "egress"}
)

func (t *nftTable) addChain(c *nftChain) {
	one := &chain{name: c.Name}
	t.chains[c.Name] = one
	out := slices.Contains(outHooks, c.Hook)
	if out && c.Type == "nat" || !out && !slices.Contains(inHooks, c.Hook) {
		return
	}
	one.policy = "accept"
	if c.Policy == "drop" {
		one.policy = "drop"
	}
	b := base{chain: one, chains: t.chains, device: c.Hook == "ingress" || c.Hook == "egress", out: out, nat: c.Type == "nat", who: "nftables"}
	port := "dport"
	if out {
		port = "sport"
	}
	b.allow = func(_ string, first, last int) string {
		return fmt.Sprintf("nft insert rule %s %s tcp %s %d-%d accept (and the same in the file that this host loads its rules from)", t, c.Name, port, first, last)
	}
	switch {
	case t.name != "firewalld":
	case out || c.Type == "nat":
		b.who, b.allow = "firewalld", mendZones
	default:
		b.who, b.allow = "firewalld", allowInZone
	}
	t.bases = append(t.bases, b)
}

func (t *nftTable) addSet(s *nftSetDef, terse bool) {
	flags := fmt.Sprint(s.Flags)
	changes := s.Timeout != nil || strings.Contains(flags, "dynamic") || strings.Contains(flags, "timeout")
	t.sets["@"+s.Name] = &nftSet{elements: s.Elem, known: !terse && !changes}
}

// rules are one rule's, of which a verdict map makes several.
func (t *nftTable) rules(expr []map[string]any, text string) []rule {
	r := rule{text: text}
	for _, statement := range expr {
		for kind, value := range statement { // there is one
			switch kind {
			case "match":
				r.conditions = append(r.conditions, t.match(value))
			case "vmap":
				return t.verdictMap(r, value)
			case "redirect", "dnat":
				return t.translations(r, value)
			case "snat", "masquerade":
				r.verdict = "accept" // of where it comes from
			case "set", "map", "meter":
				if _, limited := field(value, "stmt").([]any); limited || kind == "meter" {
					r.conditions = append(r.conditions, always(depends))
				}
			case "limit", "quota", "ct count":
				r.conditions = append(r.conditions, always(depends)) // on how many there are
			case "counter", "log", "comment", "mangle", "last", "flow", "dup", "secmark", "ct helper", "ct timeout", "ct expectation":
			case "xt":
				if field(value, "type") == "match" {
					r.conditions = append(r.conditions, always(unclear))
				} else {
					r.verdict = "unclear"
				}
			default:
				r.verdict, r.target = nftVerdict(statement)
			}
		}
	}
	return []rule{r}
}

// nftVerdict reads {"accept": null}, {"jump": {"target": NAME}} and their kind.
func nftVerdict(statement any) (verdict, target string) {
	m, _ := statement.(map[string]any)
	for kind, value := range m {
		switch kind {
		case "accept", "drop", "return":
			return kind, ""
		case "continue":
			return "", ""
		case "reject":
			return "drop", ""
		case "jump", "goto":
			target, _ := field(value, "target").(string)
			return kind, target
		}
	}
	return "unclear", "" // queue, synproxy, notrack, …
}

// verdictMap makes a rule of each of the map's elements.
func (t *nftTable) verdictMap(before rule, value any) []rule {
	return t.elements(before, field(value, "key"), field(value, "data"), func(r *rule, to any) {
		r.verdict, r.target = nftVerdict(to)
	})
}

// elements makes a rule of each of a map's elements, which take gives what the
// element has, and a last one of that for all others.
func (t *nftTable) elements(before rule, left, data any, take func(r *rule, to any)) []rule {
	set := t.set(data)
	if set == nil || !set.known {
		before.verdict = "unclear"
		return []rule{before}
	}
	key := t.subject(left)
	before.conditions = append(before.conditions, func(p packet) truth { return boolTruth(!absent(left, p)) })
	var list, rest []rule
	for _, e := range set.elements {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			continue
		}
		r := before
		take(&r, pair[1])
		if elementOf(pair[0]) == "*" {
			rest = append(rest, r)
			continue
		}
		r.conditions = append(slices.Clone(before.conditions), func(p packet) truth {
			return each(key(p), func(test nftTest) truth { return test(elementOf(pair[0])) })
		})
		list = append(list, r)
	}
	return append(list, rest...)
}

// set is a named or an anonymous one.
func (t *nftTable) set(right any) *nftSet {
	switch r := right.(type) {
	case string:
		if strings.HasPrefix(r, "@") {
			return t.sets[r]
		}
	case map[string]any:
		if elements, ok := r["set"].([]any); ok {
			return &nftSet{elements, true}
		}
	}
	return nil
}

func field(value any, name string) any {
	m, _ := value.(map[string]any)
	return m[name]
}

// elementOf takes what is remembered of an element away from it.
func elementOf(e any) any {
	if inner, ok := field(e, "elem").(map[string]any); ok {
		return inner["val"]
	}
	return e
}

var (
	nftTableLine = regexp.MustCompile(`^table (\S+ \S+) \{`)
	nftRuleLine  = regexp.MustCompile(`^\t\t(.*) # handle (\d+)$`)
)

// nftTexts reads what nft -a prints: the rules by table and handle.
func nftTexts(out string) map[string]string {
	texts, table := map[string]string{}, ""
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if m := nftTableLine.FindStringSubmatch(line); m != nil {
			table = m[1]
		} else if m := nftRuleLine.FindStringSubmatch(line); m != nil {
			texts[table+" "+m[2]] = strings.Join(strings.Fields(m[1]), " ")
		}
	}
	return texts
}
