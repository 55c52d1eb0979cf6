package packetpath

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fate is what a wall does with port 6050, of 6001-6099.
func fate(w *Wall) string {
	for what, list := range map[string][]int{"drop": w.Dropped, "depends": w.Depends, "unclear": w.Unclear} {
		for _, port := range list {
			if port == 6050 {
				return what
			}
		}
	}
	return "accept"
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
		"a network":            {"DROP", "-A INPUT -s 10.0.0.0/8 -j ACCEPT", "depends"},
		"a network, if at all": {"ACCEPT", "-A INPUT -s 10.0.0.0/8 -j ACCEPT", "accept"},
		"a bad network":        {"ACCEPT", "-A INPUT -s 10.66.0.0/16 -j DROP", "depends"},
		"a comment":            {"DROP", `-A INPUT -p tcp -m comment --comment "viewers, please" -m tcp --dport 6000:7000 -j ACCEPT`, "accept"},
		"a log":                {"ACCEPT", `-A INPUT -j LOG --log-prefix "in: "`, "accept"},
		"a rate":               {"DROP", "-A INPUT -p tcp -m limit --limit 5/min -j ACCEPT", "depends"},
		"jump and through":     {"DROP", ":site - [0:0]\n-A INPUT -j site\n-A INPUT -p tcp -m tcp --dport 6001:6099 -j ACCEPT\n-A site -s 10.0.0.1/32 -j RETURN", "accept"},
		"jump":                 {"DROP", ":site - [0:0]\n-A INPUT -p tcp -j site\n-A site -p tcp -m tcp --dport 6001:6099 -j ACCEPT", "accept"},
		"jump and back":        {"ACCEPT", ":site - [0:0]\n-A INPUT -j site\n-A INPUT -j DROP\n-A site -p tcp -j RETURN\n-A site -j ACCEPT", "drop"},
		"goto and out":         {"DROP", ":site - [0:0]\n-A INPUT -g site\n-A INPUT -j ACCEPT\n-A site -p udp -j ACCEPT", "drop"},
		"for ever":             {"ACCEPT", ":site - [0:0]\n-A INPUT -j site\n-A site -j site", "unclear"},
		"flags of a SYN":       {"DROP", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", "accept"},
		"no flags":             {"ACCEPT", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP", "accept"},
		"no flags but a SYN":   {"ACCEPT", "-A INPUT -p tcp -m tcp --tcp-flags FIN,RST NONE -j DROP", "drop"},
		"odd flags":            {"ACCEPT", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP", "accept"},
		"flags of no SYN":      {"ACCEPT", "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", "accept"},
		"answers":              {"ACCEPT", ":OUTPUT DROP [0:0]\n-A OUTPUT -p udp -m udp --sport 6001:6099 -j ACCEPT", "drop"},
		"answers of SYN, ACK":  {"ACCEPT", ":OUTPUT DROP [0:0]\n-A OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN,ACK -j ACCEPT", "accept"},
		"a bare match":         {"DROP", "-A INPUT -p tcp -m socket -j ACCEPT", "unclear"},
		"an unknown target":    {"ACCEPT", "-A INPUT -j MYSTERY", "unclear"},
		"the first counts":     {"ACCEPT", "-A INPUT -p tcp -m tcp --dport 6050 -j DROP\n-A INPUT -j ACCEPT", "drop"},
	} {
		t.Run(name, func(t *testing.T) {
			rules := strings.Split(test.rules, "\n")
			tables := parseIPTables("# comment\n*nat\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n:INPUT " + test.policy + " [3:180]\n:FORWARD DROP [0:0]\n" + strings.Join(rules, "\n") + "\nCOMMIT\n")
			require.Len(t, tables, 2)
			assert.Equal(t, test.want, fate(survey(ipBases(tables, "iptables"), packet{}, 6001, 6099)))
		})
	}
}

// Where a translation leads, and whether viewers get there.
func TestTranslations(t *testing.T) {
	for rule, want := range map[string]string{
		"REDIRECT":                                             "accept",
		"REDIRECT --to-ports 6050":                             "accept",
		"REDIRECT --to-ports 6001-6099":                        "accept",
		"REDIRECT --to-ports 6001-6099 --random":               "depends",
		"REDIRECT --to-ports 80-90 --random":                   "drop",
		"REDIRECT --to-ports 80":                               "drop",
		"REDIRECT --to-ports 7000":                             "drop",
		"REDIRECT --to-ports http":                             "unclear",
		"DNAT --to-destination 192.0.2.10":                     "accept",
		"DNAT --to-destination 192.0.2.10:6050":                "accept",
		"DNAT --to-destination 192.0.2.10:80":                  "drop",
		"DNAT --to-destination 10.0.0.5":                       "drop",
		"DNAT --to-destination 10.0.0.5:6050":                  "drop",
		"DNAT --to-destination :80":                            "drop",
		"DNAT --to-destination :6050":                          "accept",
		"DNAT --to-destination [2001:db8::10]:6050":            "accept",
		"DNAT --to-destination [2001:db8::11]:6050":            "drop",
		"DNAT --to-destination 2001:db8::10":                   "accept",
		"DNAT --to-destination 10.0.0.5-10.0.0.9 --persistent": "unclear",
		"NETMAP --to 10.0.0.0/24":                              "unclear",
	} {
		tables := parseIPTables("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 6001:6099 -j " + rule + "\nCOMMIT\n")
		p := packet{own: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}}
		assert.Equal(t, want, fate(survey(ipBases(tables, "iptables"), p, 6001, 6099)), rule)
	}
	// Where this host's addresses aren't known.
	tables := parseIPTables("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DNAT --to-destination 10.0.0.5\nCOMMIT\n")
	assert.Equal(t, "depends", fate(survey(ipBases(tables, "iptables"), packet{}, 6001, 6099)))
}

func FuzzFirewalls(f *testing.F) {
	f.Add("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 6001:6099 -j DNAT --to-destination [2001:db8::10]:80-90\n*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -o lo -m tcp --tcp-flags ALL SYN,ACK -j ACCEPT\n")
	f.Add(`{"nftables": [{"chain": {"family": "ip", "table": "n", "name": "pre", "type": "nat", "hook": "prerouting"}}, {"rule": {"family": "ip", "table": "n", "chain": "pre", "expr": [{"dnat": {"addr": {"map": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[{"range": [6001, 6009]}, "10.0.0.5"]]}}}, "port": {"range": [1, 2]}}}]}}]}`)
	f.Add(`{"nftables": [{"table": {"family": "inet", "name": "filter"}}, {"chain": {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}, {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"accept": null}]}}]}`)
	f.Add("*filter\n:INPUT DROP [0:0]\n:a - [0:0]\n-A INPUT ! -p tcp -g a\n-A a -m comment --comment \"x\\\" y\" -j INPUT\n")
	for _, file := range []string{"firewalld-zones.json", "ufw-network.txt"} {
		seed, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(f, err)
		f.Add(string(seed))
	}
	f.Fuzz(func(t *testing.T, out string) {
		for _, six := range []bool{false, true} {
			bases := ipBases(parseIPTables(out), "iptables")
			if ruleset, err := parseNFT([]byte(out), nftTexts(out), six); err == nil {
				bases = append(bases, ruleset.bases(six, nil)...)
			}
			survey(bases, packet{six: six}, 6001, 6002)
		}
	})
}

// The rules that ufw and firewalld make, as they were printed by iptables-save
// and nft on hosts that they guard: as installed, with 6001-6099 allowed, and
// with 6001-6010 allowed for a network (and, by firewalld, 6001-6099 for one
// of two interfaces).
func TestFrontends(t *testing.T) {
	p := packet{own: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, via: []string{"veth0", "veth1"}}
	for _, c := range []struct {
		file             string
		dropped, depends string
		allow            string
	}{
		{"ufw-default.txt", "6001-6099", "", "ufw allow 6001:6099/tcp"},
		{"ufw-allowed.txt", "", "", ""},
		{"ufw-network.txt", "6011-6099", "6001-6010", "ufw allow 6001:6099/tcp"},
		{"firewalld-default.json", "6001-6099", "", "firewall-cmd --permanent --zone=public --add-port=6001-6099/tcp && firewall-cmd --reload"},
		{"firewalld-allowed.json", "", "", ""},
		{"firewalld-zones.json", "", "6001-6099", "firewall-cmd --permanent --zone=internal --add-port=6001-6099/tcp && firewall-cmd --reload"},
	} {
		out, err := os.ReadFile(filepath.Join("testdata", c.file))
		require.NoError(t, err)
		bases := ipBases(parseIPTables(string(out)), "iptables")
		if strings.HasSuffix(c.file, ".json") {
			ruleset, err := parseNFT(out, nil, false)
			require.NoError(t, err)
			bases = ruleset.bases(false, nil)
		}
		require.NotEmpty(t, bases)
		w := survey(bases, p, 6001, 6099)
		assert.Equal(t, c.dropped, spans(w.Dropped), c.file)
		assert.Equal(t, c.depends, spans(w.Depends), c.file)
		assert.Empty(t, w.Unclear, "%s: %s", c.file, w.Riddle)
		assert.Equal(t, c.allow, w.Allow, c.file)
		if c.allow != "" {
			who, _, _ := strings.Cut(c.file, "-")
			assert.Equal(t, who, w.Who)
		}
	}
}

// spans writes ports as "6001-6040,6050".
func spans(ports []int) string {
	var list []string
	for i := 0; i < len(ports); {
		j := i
		for j+1 < len(ports) && ports[j+1] == ports[j]+1 {
			j++
		}
		list = append(list, fmt.Sprintf("%d-%d", ports[i], ports[j]))
		i = j + 1
	}
	return strings.Join(list, ",")
}
