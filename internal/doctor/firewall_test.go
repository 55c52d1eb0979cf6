package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fate is what a wall does with port 6050, of 6001-6099.
func fate(w *wall) string {
	switch {
	case w == nil:
		return "none"
	case len(w.dropped) > 0 && w.dropped[0] <= 6050 && 6050 <= w.dropped[len(w.dropped)-1]:
		return "drop"
	case len(w.maybe) > 0:
		return "maybe"
	}
	return "accept"
}

func surveyed(chains map[string]*chain, bases ...*chain) *wall {
	w := &wall{}
	w.survey(chains, bases, 6001, 6099)
	return w
}

func TestIPTables(t *testing.T) {
	for name, test := range map[string]struct{ policy, rules, want string }{
		"open":                 {"ACCEPT", "", "accept"},
		"closed":               {"DROP", "", "drop"},
		"range":                {"DROP", "-A INPUT -p tcp -m tcp --dport 6001:6099 -j ACCEPT", "accept"},
		"other ports":          {"DROP", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT", "drop"},
		"udp":                  {"DROP", "-A INPUT -p udp -m udp --dport 6001:6099 -j ACCEPT", "drop"},
		"established only":     {"DROP", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "drop"},
		"new":                  {"DROP", "-A INPUT -p tcp -m state --state NEW -m tcp --dport 6001:6099 -j ACCEPT", "accept"},
		"not invalid":          {"ACCEPT", "-A INPUT -m conntrack --ctstate INVALID -j DROP", "accept"},
		"negated":              {"DROP", "-A INPUT -p tcp -m tcp ! --dport 22 -j ACCEPT", "accept"},
		"negated the other":    {"DROP", "-A INPUT -p tcp -m tcp ! --dport 6001:6099 -j ACCEPT", "drop"},
		"loopback":             {"DROP", "-A INPUT -i lo -j ACCEPT", "drop"},
		"not loopback":         {"ACCEPT", "-A INPUT ! -i lo -j DROP", "drop"},
		"a network":            {"DROP", "-A INPUT -s 10.0.0.0/8 -j ACCEPT", "maybe"},
		"a network, if at all": {"ACCEPT", "-A INPUT -s 10.0.0.0/8 -j ACCEPT", "accept"},
		"a bad network":        {"ACCEPT", "-A INPUT -s 10.66.0.0/16 -j DROP", "maybe"},
		"a comment":            {"DROP", `-A INPUT -p tcp -m comment --comment "viewers, please" -m tcp --dport 6000:7000 -j ACCEPT`, "accept"},
		"a log":                {"ACCEPT", `-A INPUT -j LOG --log-prefix "in: "`, "accept"},
		"a rate":               {"DROP", "-A INPUT -p tcp -m limit --limit 5/min -j ACCEPT", "maybe"},
		"jump and through":     {"DROP", ":site - [0:0]\n-A INPUT -j site\n-A INPUT -p tcp -m tcp --dport 6001:6099 -j ACCEPT\n-A site -s 10.0.0.1/32 -j RETURN", "accept"},
		"jump":                 {"DROP", ":site - [0:0]\n-A INPUT -p tcp -j site\n-A site -p tcp -m tcp --dport 6001:6099 -j ACCEPT", "accept"},
		"jump and back":        {"ACCEPT", ":site - [0:0]\n-A INPUT -j site\n-A INPUT -j DROP\n-A site -p tcp -j RETURN\n-A site -j ACCEPT", "drop"},
		"goto and out":         {"DROP", ":site - [0:0]\n-A INPUT -g site\n-A INPUT -j ACCEPT\n-A site -p udp -j ACCEPT", "drop"},
		"for ever":             {"ACCEPT", ":site - [0:0]\n-A INPUT -j site\n-A site -j site", "maybe"},
		"flags of a SYN":       {"DROP", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", "accept"},
		"no flags":             {"ACCEPT", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP", "accept"},
		"no flags but a SYN":   {"ACCEPT", "-A INPUT -p tcp -m tcp --tcp-flags FIN,RST NONE -j DROP", "drop"},
		"odd flags":            {"ACCEPT", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP", "accept"},
		"flags of no SYN":      {"ACCEPT", "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", "accept"},
		"a bare match":         {"DROP", "-A INPUT -p tcp -m socket -j ACCEPT", "maybe"},
		"an unknown target":    {"ACCEPT", "-A INPUT -j MYSTERY", "maybe"},
		"the first counts":     {"ACCEPT", "-A INPUT -p tcp -m tcp --dport 6050 -j DROP\n-A INPUT -j ACCEPT", "drop"},
	} {
		t.Run(name, func(t *testing.T) {
			rules := strings.Split(test.rules, "\n")
			chains := parseIPTables("# comment\n*nat\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n:INPUT " + test.policy + " [3:180]\n:FORWARD DROP [0:0]\n" + strings.Join(rules, "\n") + "\nCOMMIT\n")
			assert.Equal(t, test.want, fate(surveyed(chains, chains["INPUT"])))
		})
	}
}

func TestNFT(t *testing.T) {
	const ports = `{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": `
	for name, test := range map[string]struct{ policy, rules, want string }{
		"open":             {"accept", ``, "none"},
		"closed":           {"drop", ``, "drop"},
		"range":            {"drop", ports + `{"range": [6001, 6099]}}}, {"accept": null}`, "accept"},
		"set":              {"drop", ports + `{"set": [22, {"range": [6000, 6999]}]}}}, {"counter": {"packets": 1}}, {"accept": null}`, "accept"},
		"other":            {"drop", ports + `{"set": [22, 80]}}}, {"accept": null}`, "drop"},
		"named set":        {"drop", ports + `"@allowed"}}, {"accept": null}`, "maybe"},
		"new":              {"drop", `{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}, {"accept": null}`, "accept"},
		"established":      {"drop", `{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}`, "drop"},
		"not established":  {"accept", `{"match": {"op": "!=", "left": {"ct": {"key": "state"}}, "right": "established"}}, {"reject": null}`, "drop"},
		"tcp":              {"drop", `{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"accept": null}`, "accept"},
		"udp":              {"drop", `{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "udp"}}, {"accept": null}`, "drop"},
		"IPv6":             {"drop", `{"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv6"}}, {"accept": null}`, "drop"},
		"loopback":         {"drop", `{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": null}`, "drop"},
		"interface":        {"drop", `{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}, {"accept": null}`, "maybe"},
		"network":          {"drop", `{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}, {"accept": null}`, "maybe"},
		"verdict map":      {"accept", `{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": "@m"}}`, "maybe"},
		"jump":             {"drop", `{"jump": {"target": "site"}}`, "accept"},
		"iptables' own":    {"drop", `{"xt": {"type": "match", "name": "tcp"}}, {"drop": null}`, "none"},
		"dropped by limit": {"accept", `{"limit": {"rate": 5, "per": "minute"}}, {"drop": null}`, "maybe"},
	} {
		t.Run(name, func(t *testing.T) {
			rule := func(chain, expr string) string {
				return fmt.Sprintf(`, {"rule": {"family": "inet", "table": "filter", "chain": %q, "expr": [%s]}}`, chain, expr)
			}
			out := `{"nftables": [{"chain": {"family": "inet", "table": "filter", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "` + test.policy + `"}},
				{"chain": {"family": "inet", "table": "filter", "name": "site"}}, {"chain": {"family": "ip6", "table": "x", "name": "in6", "type": "filter", "hook": "input", "policy": "drop"}}`
			if test.rules != "" {
				out += rule("in", test.rules)
			}
			tables, err := parseNFT([]byte(out + rule("site", `{"accept": null}`) + "]}"))
			require.NoError(t, err)
			got := "none"
			if len(tables) > 0 {
				require.Len(t, tables, 1)
				got = fate(surveyed(tables[0].chains, tables[0].bases...))
			}
			assert.Equal(t, test.want, got)
		})
	}
	_, err := parseNFT([]byte("table inet filter {"))
	require.Error(t, err)
}

// A packet must pass what is hooked before routing as well.
func TestNFTBeforeRouting(t *testing.T) {
	dir := t.TempDir()
	d := &Doctor{host: host{path: dir}}
	chainOf := func(table, name, kind, hook string) string {
		return fmt.Sprintf(`{"chain": {"family": "inet", "table": %q, "name": %q, "type": %q, "hook": %q, "policy": "drop"}}`, table, name, kind, hook)
	}
	for _, test := range []struct{ chain, without, want string }{
		{chainOf("early", "raw", "filter", "prerouting"), "", "drop"},
		{chainOf("early", "dnat", "nat", "prerouting"), "", "none"},
		{chainOf("firewalld", "filter_INPUT", "filter", "input"), "firewalld", "none"},
		{chainOf("firewalld", "filter_INPUT", "filter", "input"), "", "drop"},
	} {
		script := "#!/bin/sh\n" + prints(`{"nftables": [`+test.chain+`, {"chain": {"family": "inet", "table": "early", "name": "in", "type": "filter", "hook": "input", "policy": "accept"}}]}`)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o700))
		w, err := d.nftables(t.Context(), 6001, 6099, test.without)
		require.NoError(t, err)
		assert.Equal(t, test.want, fate(w), test.chain)
		if test.chain == chainOf("early", "raw", "filter", "prerouting") {
			assert.Equal(t, "nft insert rule inet early raw tcp dport 6001-6099 accept", w.allow)
		}
	}
}

func TestUFW(t *testing.T) {
	for name, test := range map[string]struct{ policy, rules, want string }{
		"nothing allowed":  {"deny", "", "drop"},
		"all allowed":      {"allow", "", "accept"},
		"range":            {"deny", "6001:6099/tcp              ALLOW IN    Anywhere                   # viewers", "accept"},
		"both protocols":   {"deny", "6001:6099                  ALLOW IN    Anywhere", "accept"},
		"udp":              {"deny", "6001:6099/udp              ALLOW IN    Anywhere", "drop"},
		"only IPv6":        {"deny", "6001:6099/tcp (v6)         ALLOW IN    Anywhere (v6)", "drop"},
		"outgoing":         {"deny", "6001:6099/tcp              ALLOW OUT   Anywhere", "drop"},
		"a network":        {"deny", "6001:6099/tcp              ALLOW IN    10.0.0.0/8", "maybe"},
		"a profile":        {"deny", "VNC                        ALLOW IN    Anywhere", "maybe"},
		"limited":          {"deny", "6001:6099/tcp              LIMIT IN    Anywhere", "accept"},
		"denied":           {"allow", "6000:6100/tcp              DENY IN     Anywhere", "drop"},
		"the first counts": {"deny", "6050/tcp                   REJECT IN   Anywhere\n6001:6099/tcp              ALLOW IN    Anywhere", "drop"},
	} {
		t.Run(name, func(t *testing.T) {
			out := "Status: active\nLogging: on (low)\nDefault: " + test.policy + " (incoming), allow (outgoing), disabled (routed)\n\nTo                         Action      From\n--                         ------      ----\n" + test.rules + "\n"
			assert.Equal(t, test.want, fate(surveyed(nil, parseUFW(out))))
		})
	}
}

func TestFirewalld(t *testing.T) {
	for name, test := range map[string]struct{ zone, want string }{
		"nothing allowed": {"  target: default\n  ports: \n", "drop"},
		"trusted":         {"  target: ACCEPT\n  ports: \n", "accept"},
		"range":           {"  target: default\n  ports: 22/tcp 6001-6099/tcp\n", "accept"},
		"udp":             {"  target: default\n  ports: 6001-6099/udp\n", "drop"},
		"half":            {"  target: %%REJECT%%\n  ports: 6001-6049/tcp\n", "drop"},
		"a rich rule":     {"  target: default\n  ports: \n  rich rules: \n\trule family=\"ipv4\" source address=\"10.0.0.0/8\" accept\n", "maybe"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, fate(surveyed(nil, parseZone("public", "public (active)\n"+test.zone))))
		})
	}
	assert.Equal(t, []string{"public", "work"}, activeZones("public (default)\n  interfaces: eth0\nwork\n  sources: 10.0.0.0/8\n"))
	w := &wall{}
	w.merge(&wall{dropped: []int{6002, 6003}, why: "policy"}, 2)
	w.merge(&wall{maybe: []int{6001, 6003}}, 2)
	assert.Equal(t, &wall{maybe: []int{6001, 6002, 6003}, why: "policy"}, w)
	assert.Equal(t, "6001-6003, 6007", spans([]int{6001, 6002, 6003, 6007}))
}

func FuzzFirewalls(f *testing.F) {
	f.Add(nftDrop)
	f.Add("*filter\n:INPUT DROP [0:0]\n:a - [0:0]\n-A INPUT ! -p tcp -g a\n-A a -m comment --comment \"x\\\" y\" -j INPUT\n")
	f.Add("Status: active\nDefault: deny (incoming)\n22,80:90/tcp  ALLOW IN  Anywhere # x\n")
	f.Add("public\n  target: default\n  ports: 1-2/tcp\n\trule x\n")
	f.Fuzz(func(t *testing.T, out string) {
		chains := parseIPTables(out)
		if c := chains["INPUT"]; c != nil {
			newTrial(chains, 6001).judge(c)
		}
		newTrial(nil, 6001).judge(parseUFW(out))
		newTrial(nil, 6001).judge(parseZone("x", out))
		tables, _ := parseNFT([]byte(out))
		for _, table := range tables {
			for _, base := range table.bases {
				newTrial(table.chains, 6001).judge(base)
			}
		}
		activeZones(out)
	})
}
