package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/config"
)

// A scene is a host's network with firewall rules, made by the real tools.
type scene struct {
	Name   string
	Setup  string // shell commands as root of a network namespace
	Listen string // ports.listen; empty: 0.0.0.0
	Older  bool   // iptables' older tables matter

	state  State
	unseen bool
	found  []string
	remedy string
}

// A sight is what the doctor says of a scene.
type sight struct {
	Checks        []Check
	Before, After string // the rules as their tools print them
	Trouble       string // why the scene could not be made
}

// namespaced tells the test's program that it is in a namespace.
const namespaced = "DOCTOR_TEST_NAMESPACE"

// inNamespace is the test's program in a network namespace of its own: it
// reads scenes and writes sights.
func inNamespace() {
	if os.Getenv(namespaced) == "" {
		return
	}
	var scenes []scene
	if err := json.NewDecoder(os.Stdin).Decode(&scenes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var sights []sight
	for _, s := range scenes {
		sights = append(sights, s.look())
	}
	_ = json.NewEncoder(os.Stdout).Encode(sights)
	os.Exit(0)
}

// look makes the scene, lets the doctor look, and cleans up.
func (s scene) look() (seen sight) {
	const clean = "nft flush ruleset"
	defer func() { _ = exec.Command("sh", "-c", clean).Run() }()
	if out, err := exec.Command("sh", "-ec", s.Setup).CombinedOutput(); err != nil {
		seen.Trouble = fmt.Sprintf("%v: %s", err, out)
		return seen
	}
	rules := func() string {
		out, err := exec.Command("sh", "-ec", "nft -a list ruleset | sed 's/ expires [^ ]*//'; { iptables-legacy-save | grep -v '^#'; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names; } 2>/dev/null || true").CombinedOutput()
		if err != nil {
			seen.Trouble = fmt.Sprintf("%v: %s", err, out)
		}
		return string(out)
	}
	d := &Doctor{host: thisHost(), cfg: config.Default(), bad: map[string]bool{}}
	if os.Geteuid() != 0 && !s.Older {
		d.host.root = "/nonexistent" // their names can't be read in a user namespace
	}
	d.cfg.Ports.Listen = "0.0.0.0"
	if s.Listen != "" {
		d.cfg.Ports.Listen = strings.Trim(s.Listen, `"`)
	}
	seen.Before = rules()
	d.firewall(context.Background())
	seen.After = rules()
	seen.Checks = d.list
	return seen
}

// look lets the doctor look at scenes in one network namespace.
func look(t *testing.T, scenes []scene) []sight {
	t.Helper()
	const network = "ip link set lo up; ip link add eth0 type veth peer name eth1; ip addr add 192.0.2.10/24 dev eth0; ip link set eth0 up; ip link set eth1 up"
	scenes[0].Setup = network + "\n" + scenes[0].Setup
	input, err := json.Marshal(scenes)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{namespaced + "=1", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "XTABLES_LOCKFILE=" + filepath.Join(t.TempDir(), "lock")}
	cmd.Stdin = bytes.NewReader(input)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	}
	out, err := cmd.Output()
	require.NoError(t, err, "a network namespace is needed, as root or in a user namespace, with nft, iptables and ip (Debian packages nftables, iptables, iproute2): %s", &complaints)
	var sights []sight
	require.NoError(t, json.Unmarshal(out, &sights), "%s", out)
	require.Len(t, sights, len(scenes))
	return sights
}

// nft is a script that makes an input chain with a policy and rules, and what
// else its table has.
func nft(family, policy, rules string, others ...string) string {
	return fmt.Sprintf("nft -f - <<'END'\ntable %s site {\n%s\nchain in {\ntype filter hook input priority 0; policy %s;\n%s\n}\n}\nEND", family, strings.Join(others, "\n"), policy, rules)
}

// nftOut is a script that makes a chain for what goes out.
func nftOut(family, hook, policy, rules string) string {
	return fmt.Sprintf("nft -f - <<'END'\ntable %s site {\nchain out {\ntype filter hook %s priority 0; policy %s;\n%s\n}\n}\nEND", family, hook, policy, rules)
}

// nat is a script that makes a chain that translates addresses.
func nat(rules string) string { return natOf("ip", rules) }

// natOf is nat in a table of a family.
func natOf(family, rules string) string {
	return "nft -f - <<'END'\ntable " + family + " n {\nchain pre {\ntype nat hook prerouting priority -100; policy accept;\n" + rules + "\n}\n}\nEND"
}

const lets = "this host's own lets connections to 6001-6099 in"

// What nft and iptables really say is understood, and what isn't is said to be.
func TestRealFirewalls(t *testing.T) {
	let := func(name, setup string) scene {
		return scene{Name: name, Setup: setup, state: OK, found: []string{lets}}
	}
	drops := func(name, setup string, found ...string) scene {
		return scene{Name: name, Setup: setup, state: Bad, found: append(found, "drops connections to ")}
	}
	asks := func(name, setup string, found ...string) scene {
		return scene{Name: name, Setup: setup, state: Note, found: append(found, "depending on where they come from")}
	}
	riddle := func(name, setup string, found ...string) scene {
		return scene{Name: name, Setup: setup, state: Note, unseen: true, found: append(found, "doesn't understand this rule")}
	}
	mutes := func(name, setup string, found ...string) scene {
		return scene{Name: name, Setup: setup, state: Bad, found: append(found, "drops the answers to connections to ")}
	}
	redirects := func(name, setup string, found ...string) scene {
		return scene{Name: name, Setup: setup, state: Bad, found: append(found, "redirects connections to ")}
	}
	scenes := []scene{
		let("nothing", ""),
		let("an open chain", nft("inet", "accept", "counter")),
		drops("one port", nft("inet", "accept", "tcp dport 6001 drop"), "nftables drops connections to 6001 (tcp dport 6001 drop, in chain in of table inet site)"),
		drops("policy", nft("inet", "drop", "tcp dport 22 accept"), "6001-6099 (policy drop of chain in)"),
		drops("an accepted part", nft("inet", "drop", "tcp dport 6001-6050 accept"), "drops connections to 6051-6099"),
		let("the range", nft("inet", "drop", "tcp dport 6000-6100 accept")),
		drops("IPv4 alone", nft("ip", "drop", "")),
		let("IPv6 alone, where IPv4 is listened on", nft("ip6", "drop", "")),
		{Name: "IPv6 alone, where both are", Setup: nft("ip6", "drop", ""), Listen: "::", state: Note, found: []string{"nftables drops IPv6 connections to 6001-6099 (policy drop of chain in)"}},
		{Name: "IPv6, where it is listened on", Setup: nft("ip6", "drop", ""), Listen: "2001:db8::1", state: Bad, found: []string{"nftables drops connections to 6001-6099"}},
		{Name: "accepted by IPv4 alone, where IPv6 is listened on", Setup: nft("inet", "drop", "ip saddr 10.0.0.0/8 accept\nmeta nfproto ipv4 accept"), Listen: "2001:db8::1", state: Bad, found: []string{"nftables drops connections to 6001-6099"}},
		{Name: "both", Setup: nft("inet", "drop", ""), Listen: "::", state: Bad, found: []string{"nftables drops IPv4 connections to 6001-6099"}},
		drops("accepted by IPv6 alone", nft("inet", "drop", "meta nfproto ipv6 tcp dport 6001-6099 accept\nip6 saddr ::/0 accept")),
		let("accepted by IPv4", nft("inet", "drop", "meta nfproto ipv4 tcp dport 6001-6099 accept")),
		drops("what is established", nft("inet", "drop", "ct state established,related accept\nct state { established, related } accept")),
		drops("what is established, by a map", nft("inet", "drop", "ct state vmap { established : accept, related : accept, invalid : drop }")),
		let("new ones, by a map", nft("inet", "drop", "ct state vmap { established : accept, new : jump viewers }", "chain viewers { tcp dport 6001-6099 accept; }")),
		let("new ones", nft("inet", "drop", "ct state new tcp dport 6001-6099 accept")),
		drops("all that are not established", nft("inet", "accept", "ct state != established drop")),
		let("a named set", nft("inet", "drop", "tcp dport @viewers accept", "set viewers { type inet_service; flags interval; elements = { 22, 6001-6099 }; }")),
		drops("a named set of others", nft("inet", "drop", "tcp dport @viewers accept", "set viewers { type inet_service; elements = { 22, 80 }; }")),
		drops("an empty set", nft("inet", "drop", "tcp dport @viewers accept", "set viewers { type inet_service; }")),
		asks("a set that changes", nft("inet", "drop", "tcp dport @viewers accept", "set viewers { type inet_service; flags timeout; elements = { 6001 timeout 1h }; }")),
		asks("a set of networks", nft("inet", "drop", "ip saddr @nets tcp dport 6001-6099 accept", "set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }"), "policy drop of chain in"),
		let("nobody is banned", nft("inet", "accept", "ip saddr @banned drop", "set banned { type ipv4_addr; }")),
		asks("pairs", nft("inet", "drop", "ip saddr . tcp dport @pairs accept", "set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 6001-6099 }; }")),
		drops("pairs of others", nft("inet", "drop", "ip saddr . tcp dport { 10.0.0.1 . 22 } accept")),
		drops("a verdict map", nft("inet", "drop", "tcp dport vmap @ports", "chain viewers { accept; }\nmap ports { type inet_service : verdict; flags interval; elements = { 22 : accept, 6001-6050 : drop, 6051-6099 : jump viewers }; }"), "to 6001-6050 ("),
		drops("a verdict map's rest", nft("inet", "accept", "tcp dport vmap { 6001-6010 : accept, * : drop }"), "to 6011-6099"),
		let("a map of another protocol", nft("inet", "accept", "udp dport vmap { 53 : accept, * : drop }")),
		let("protocols by a map", nft("inet", "drop", "meta l4proto vmap { tcp : accept, udp : drop }")),
		let("jump", nft("inet", "drop", "jump viewers", "chain viewers { tcp dport 6001-6099 accept; }")),
		drops("jump and back", nft("inet", "accept", "jump viewers\ndrop", "chain viewers { tcp dport 6001-6099 return; accept; }")),
		drops("goto and out", nft("inet", "drop", "goto viewers\naccept", "chain viewers { udp dport 53 accept; }")),
		drops("a second table", nft("inet", "accept", "tcp dport 6001-6099 accept")+"\nnft add table ip early; nft 'add chain ip early pre { type filter hook prerouting priority -300; policy accept; }'; nft add rule ip early pre tcp dport 6040-6099 drop", "in chain pre of table ip early"),
		let("translation of addresses", "nft add table ip n; nft 'add chain ip n pre { type nat hook prerouting priority -100; policy accept; }'; nft add rule ip n pre tcp dport 8080 redirect to 80"),
		let("the loopback's", nft("inet", "accept", "iifname lo drop\niif lo drop")),
		drops("from the loopback alone", nft("inet", "drop", "iifname lo accept\niif lo accept")),
		drops("not from the loopback", nft("inet", "accept", "iifname != lo tcp dport 6001-6099 drop")),
		asks("one interface", nft("inet", "drop", "iifname eth1 tcp dport 6001-6099 accept")),
		let("all interfaces", nft("inet", "drop", `iifname { "eth0", "eth1" } tcp dport 6001-6099 accept`)),
		let("interfaces by their beginning", nft("inet", "drop", `iifname "eth*" accept`)),
		drops("an interface that isn't there", nft("inet", "drop", "iifname eth7 accept")),
		asks("an interface's own chain", "nft add table netdev x; nft 'add chain netdev x in { type filter hook ingress device eth1 priority 0; policy accept; }'; nft add rule netdev x in tcp dport 6001-6099 drop"),
		let("this host's address", nft("inet", "drop", "ip daddr 192.0.2.0/28 tcp dport 6001-6099 accept")),
		drops("another's address", nft("inet", "drop", "ip daddr { 127.0.0.0/8, 192.0.2.99, 224.0.0.0/4 } accept")),
		asks("networks", nft("inet", "drop", "ip saddr 10.0.0.0/8 tcp dport 6001-6099 accept")),
		let("a protocol", nft("inet", "drop", "meta l4proto tcp accept")),
		drops("other protocols", nft("inet", "drop", "meta l4proto { icmp, ipv6-icmp, udp } accept\nudp dport 6001-6099 accept\nicmp type echo-request accept")),
		let("flags", nft("inet", "drop", "tcp flags & (fin|syn|rst|ack) == syn accept")),
		drops("flags that no first packet has", nft("inet", "drop", "tcp flags & (fin|syn|rst|ack) == (syn|ack) accept\ntcp flags == (syn|ack) accept\ntcp flags & (fin|syn) == (fin|syn) accept")),
		let("flags that attackers set", nft("inet", "accept", "tcp flags & (fin|syn|rst|psh|ack|urg) == 0x0 drop\ntcp flags & (fin|syn) == fin|syn drop\ntcp flags & (fin|syn|rst|ack) != syn drop")),
		let("fragments", nft("ip", "accept", "ip frag-off & 0x1fff != 0 drop")),
		let("a reverse path", nft("inet", "accept", "fib daddr type { broadcast, multicast } drop")),
		drops("not local", nft("inet", "accept", "fib daddr type local drop")),
		asks("a rate", nft("inet", "drop", "tcp dport 6001-6099 limit rate 5/minute accept")),
		asks("a rate for each", nft("inet", "drop", "tcp dport 6001-6099 ct state new add @seen { ip saddr limit rate 3/minute } accept", "set seen { type ipv4_addr; flags dynamic; }")),
		asks("a number", nft("inet", "accept", "tcp dport 6001-6099 ct count over 20 drop")),
		let("a log", nft("inet", "accept", "log prefix \"in \" flags all")),
		let("ports of browsers", nft("inet", "drop", "tcp sport 1024-65535 tcp dport 6001-6099 accept")),
		drops("comparisons", nft("inet", "accept", "tcp dport > 6050 drop\ntcp dport < 6001 drop"), "to 6051-6099"),
		let("not these", nft("inet", "accept", "tcp dport != 6001-6099 drop")),
		riddle("a mark", nft("inet", "drop", "meta mark 0x1 accept"), "meta mark 0x00000001 accept, in chain in of table inet site"),
		riddle("bits of a port", nft("inet", "drop", "tcp dport & 1 == 1 accept")),
		let("a riddle that doesn't matter", nft("inet", "accept", "meta mark 0x1 accept\ntcp dport 6001-6099 accept")),

		mutes("an output chain", nftOut("inet", "output", "drop", ""), "nftables drops the answers to connections to 6001-6099 (policy drop of chain out)"),
		mutes("an output chain for clients", nftOut("inet", "output", "drop", "tcp dport 6001-6099 accept\nct state new tcp sport 6001-6099 accept\nct direction original accept\nip saddr 192.0.2.99 accept\noifname lo accept\niifname eth0 accept")),
		mutes("answers alone", nftOut("inet", "output", "accept", "tcp flags & (syn|ack) == (syn|ack) tcp sport 6001-6050 drop"), "connections to 6001-6050 (tcp"),
		mutes("a postrouting chain", nftOut("ip", "postrouting", "drop", "ct state established tcp sport 22 accept")),
		let("what is established goes out", nftOut("inet", "output", "drop", "ct state established,related accept")),
		let("the ports go out", nftOut("inet", "output", "drop", "tcp sport 6001-6099 accept")),
		let("this host's address goes out", nftOut("inet", "output", "drop", "ip saddr 192.0.2.10 fib saddr type local tcp dport 1024-65535 accept")),
		let("interfaces let out", nftOut("inet", "output", "drop", `oifname { "eth0", "eth1" } ct direction reply accept`)),
		let("what comes from elsewhere goes out", nftOut("inet", "output", "accept", "ct state new drop\niifname eth0 drop\ntcp flags syn / fin,syn,rst,ack drop")),
		let("addresses that go out are translated", "nft add table ip n; nft 'add chain ip n post { type nat hook postrouting priority 100; policy accept; }'; nft add rule ip n post masquerade"),
		{Name: "networks let out", Setup: nftOut("inet", "output", "drop", "ip daddr 10.0.0.0/8 accept"), state: Note, found: []string{"nftables lets the answers to connections to 6001-6099 out or drops them depending on"}, remedy: "nft insert rule inet site out tcp sport 6001-6099 accept"},
		riddle("a mark that goes out", nftOut("inet", "output", "drop", "meta mark 0x1 accept")),

		redirects("a port of this host", nat("tcp dport 6001-6099 redirect to :80"), "nftables redirects connections to 6001-6099 (tcp dport 6001-6099 redirect to :80, in chain pre of table ip n)"),
		redirects("another host", nat("tcp dport 6010 dnat to 10.0.0.5"), "connections to 6010 ("),
		{Name: "a redirected port and dropped ones", Setup: nat("tcp dport 6010 redirect to :80") + "\n" + nft("inet", "accept", "tcp dport 6020 drop"), state: Bad, found: []string{"nftables in one way or another stops connections to 6010, 6020 (tcp dport 6010 redirect"}},
		mutes("a redirected port of which no answer goes out either", nat("tcp dport 6010 redirect to :80")+"\n"+nftOut("inet", "output", "drop", ""), "6001-6099 (policy drop of chain out)"),
		redirects("another host's port", nat("fib daddr type local tcp dport 6010-6012 dnat to 10.0.0.5:80"), "connections to 6010-6012 ("),
		redirects("other hosts by a map", nat("dnat to tcp dport map { 22 : 10.0.0.4, 6001-6009 : 10.0.0.5 }"), "connections to 6001-6009 ("),
		let("other ports by a map", nat("dnat to tcp dport map { 22 : 10.0.0.4, 80 : 10.0.0.5 }")),
		let("IPv6 alone in a table of both", natOf("inet", "tcp dport 6001-6099 dnat ip6 to 2001:db8::99")),
		redirects("IPv4 in a table of both", natOf("inet", "tcp dport 6001-6099 dnat ip to 10.0.0.5"), "connections to 6001-6099 ("),
		{Name: "a port at random", Setup: nat("tcp dport 6001-6099 redirect to :6001-6099 random"), state: Note, found: []string{"nftables lets connections to 6001-6099 in or redirects them depending on"}, remedy: "nft insert rule ip n pre tcp dport 6001-6099 accept"},
		let("marks of quality", "iptables-nft -t mangle -A OUTPUT -p tcp -j TOS --set-tos 0x10; iptables-nft -t mangle -A POSTROUTING -p tcp -j DSCP --set-dscp 10"),
		let("the same port", nat("tcp dport 6001-6099 redirect")),
		let("the same address", nat("tcp dport 6001-6099 dnat to 192.0.2.10")),
		let("accepted before", nat("tcp dport 6001-6099 accept\ntcp dport 1024-65535 redirect to :80")),
		let("another's packets", nat("ip daddr 192.0.2.99 tcp dport 6001-6099 redirect to :80")),
		{Name: "networks are redirected", Setup: nat("ip saddr 10.0.0.0/8 tcp dport 6001-6099 redirect to :80"), state: Note, found: []string{"nftables lets connections to 6001-6099 in or redirects them depending on"}, remedy: "nft insert rule ip n pre tcp dport 6001-6099 accept"},
		asks("dropped where addresses are translated", nat("tcp dport 6001-6099 drop")),
		riddle("a mark that is redirected", nat("meta mark 0x1 tcp dport 6001-6099 redirect to :80")),

		mutes("iptables lets nothing out", "iptables-nft -P OUTPUT DROP", "iptables drops the answers to connections to 6001-6099 (policy drop of chain OUTPUT)"),
		mutes("iptables lets new ones out", "iptables-nft -P OUTPUT DROP; iptables-nft -A OUTPUT -m conntrack --ctstate NEW -j ACCEPT; iptables-nft -A OUTPUT -p tcp --dport 6001:6099 -j ACCEPT; iptables-nft -A OUTPUT -p tcp --syn -j ACCEPT; iptables-nft -A OUTPUT -o lo -j ACCEPT; iptables-nft -A OUTPUT -s 192.0.2.99 -j ACCEPT"),
		mutes("iptables after routing", "iptables-nft -t mangle -A POSTROUTING -p tcp --sport 6001 -j DROP", "connections to 6001 ("),
		let("iptables lets out what is established", "iptables-nft -P OUTPUT DROP; iptables-nft -A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
		let("iptables lets the ports out", "iptables-nft -P OUTPUT DROP; iptables-nft -A OUTPUT -s 192.0.2.10 -o eth+ -p tcp -m multiport --sports 22,6001:6099 -j ACCEPT"),
		let("iptables keeps flags in", "iptables-nft -A OUTPUT -p tcp --syn -j DROP; iptables-nft -A OUTPUT -m addrtype --dst-type LOCAL -j DROP"),
		{Name: "iptables lets networks out", Setup: "iptables-nft -P OUTPUT DROP; iptables-nft -A OUTPUT -d 10.0.0.0/8 -j ACCEPT", state: Note, found: []string{"iptables lets the answers to connections to 6001-6099 out or drops them"}, remedy: "iptables -I OUTPUT -p tcp --sport 6001:6099 -j ACCEPT"},
		redirects("iptables to a port", "iptables-nft -t nat -A PREROUTING -p tcp --dport 6001:6099 -j REDIRECT --to-ports 80", "iptables redirects connections to 6001-6099 (-A PREROUTING"),
		redirects("iptables to a container", "iptables-nft -t nat -N DOCKER; iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp --dport 6010 -j DNAT --to-destination 172.17.0.2:80", "connections to 6010 ("),
		let("iptables to the same port", "iptables-nft -t nat -A PREROUTING -p tcp --dport 6001:6099 -j REDIRECT; iptables-nft -t nat -A PREROUTING -p tcp --dport 6001:6099 -j DNAT --to-destination 192.0.2.10"),
		let("iptables redirects others", "iptables-nft -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 6001"),
		{Name: "iptables redirects an interface", Setup: "iptables-nft -t nat -A PREROUTING -i eth1 -p tcp --dport 6001:6099 -j REDIRECT --to-ports 80", state: Note, found: []string{"iptables lets connections to 6001-6099 in or redirects them"}, remedy: "iptables -t nat -I PREROUTING -p tcp --dport 6001:6099 -j ACCEPT"},

		drops("iptables", "iptables-nft -P INPUT DROP; iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables drops connections to 6001-6099 (policy drop of chain INPUT)"),
		let("iptables with the range", "iptables-nft -P INPUT DROP; iptables-nft -A INPUT -p tcp -m multiport --dports 22,6001:6099 -j ACCEPT"),
		drops("iptables before routing", "iptables-nft -t raw -A PREROUTING -p tcp --dport 6001 -j DROP", "6001 (-A PREROUTING -p tcp -m tcp --dport 6001 -j DROP)"),
		drops("iptables before filtering", "iptables-nft -t mangle -A INPUT -p tcp --dport 6001 -j DROP"),
		asks("iptables for a network", "iptables-nft -P INPUT DROP; iptables-nft -A INPUT -s 10.0.0.0/8 -p tcp --dport 6001:6099 -j ACCEPT"),
		asks("iptables for an interface", "iptables-nft -P INPUT DROP; iptables-nft -A INPUT -i eth1 -j ACCEPT"),
		riddle("iptables with a mark", "iptables-nft -P INPUT DROP; iptables-nft -A INPUT -m mark --mark 0x1 -j ACCEPT", "-A INPUT -m mark --mark 0x1 -j ACCEPT"),
		let("iptables for IPv6 alone", "ip6tables-nft -P INPUT DROP"),
		{Name: "iptables for both", Setup: "ip6tables-nft -P INPUT DROP", Listen: "::", state: Note, found: []string{"iptables drops IPv6 connections"}, remedy: "ip6tables -I INPUT -p tcp --dport 6001:6099 -j ACCEPT"},
		drops("nft's own chain in a table of iptables'", "nft add table ip filter; nft 'add chain ip filter input { type filter hook input priority 0; policy drop; }'; iptables-nft -A INPUT -p tcp --dport 6001:6099 -j ACCEPT", "nftables drops connections to 6001-6099"),
	}
	// Last, since the kernel keeps tables of this kind for ever.
	older := drops("the older iptables", "iptables-legacy -A INPUT -p tcp --dport 6001:6099 -j REJECT", "iptables drops connections to 6001-6099 (-A INPUT -p tcp -m tcp --dport 6001:6099 -j REJECT")
	older.Older = true
	if os.Geteuid() != 0 {
		older.state, older.unseen, older.found = Note, true, []string{"the kernel's rules can't be seen", "permission denied"}
	}
	scenes = append(scenes, older)
	sights := look(t, scenes)
	for i, s := range scenes {
		t.Run(s.Name, func(t *testing.T) {
			seen := sights[i]
			require.Empty(t, seen.Trouble)
			assert.Equal(t, seen.Before, seen.After, "nothing is changed")
			require.NotEmpty(t, seen.Checks)
			c := seen.Checks[0]
			assert.Equal(t, s.state, c.State, "%+v", c)
			assert.Equal(t, s.unseen, c.Unseen, "%+v", c)
			for _, found := range s.found {
				assert.Contains(t, c.Found, found)
			}
			assert.Contains(t, c.Remedy, s.remedy)
		})
	}
}
