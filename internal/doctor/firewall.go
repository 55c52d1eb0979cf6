package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"vda.internal/shadow/internal/host/program"
)

// toolTime bounds each of the host's firewall tools.
const toolTime = 5 * time.Second

// firewall sees whether a firewall of this host drops viewers' connections or
// sends them elsewhere, by following their first packets and the answers through
// the kernel's rules, whoever made them.
// Nothing is changed.
func (d *Doctor) firewall(ctx context.Context) {
	_, noTables := os.Stat(d.file("/sys/module/nf_tables")) // before a tool loads it
	ruleset, ranNFT, err := d.nftables(ctx)
	if err != nil {
		d.unseenWalls(err)
		return
	}
	var walls []*wall
	for _, six := range d.families() {
		command := "iptables"
		if six {
			command = "ip6tables"
		}
		tables, native, ran, err := d.iptables(ctx, six)
		if err != nil {
			d.unseenWalls(err)
			return
		}
		if !ran && !ranNFT {
			d.unseen("firewall", "the kernel's rules can't be seen: there is neither nft nor iptables-save",
				"install nftables; it is only asked to list the rules")
			return
		}
		bases := ipBases(tables, command)
		if ruleset != nil {
			bases = append(bases, ruleset.bases(six, native)...)
		}
		own, err := d.host.own()
		if err != nil {
			own = nil // what depends on them is said to
		}
		walls = append(walls, survey(bases, packet{six: six, own: d.listening(own), via: d.host.via()}, d.cfg.Ports.First, d.cfg.Ports.Last))
	}
	d.judgeWalls(walls, !ranNFT && noTables == nil)
}

func (d *Doctor) unseenWalls(err error) {
	remedy := "mend that, or see by other means that viewers' connections are let in"
	if d.host.uid != 0 {
		remedy = asRoot
	}
	d.unseen("firewall", "the kernel's rules can't be seen: "+words(err), remedy)
}

// families are the kinds of IP by which viewers may come, which are those that
// are listened on and that the host's name has; true is IPv6.
func (d *Doctor) families() []bool {
	listen, err := netip.ParseAddr(d.cfg.Ports.Listen)
	switch {
	case err == nil && listen.Unmap().Is4():
		return []bool{false}
	case err == nil && listen != netip.IPv6Unspecified():
		return []bool{true}
	}
	four := slices.ContainsFunc(d.named, func(a netip.Addr) bool { return a.Unmap().Is4() })
	six := slices.ContainsFunc(d.named, func(a netip.Addr) bool { return !a.Unmap().Is4() })
	if four != six {
		return []bool{six}
	}
	return []bool{false, true}
}

// listening are those of this host's addresses to which viewers may connect.
func (d *Doctor) listening(own []netip.Addr) []netip.Addr {
	if listen, err := netip.ParseAddr(d.cfg.Ports.Listen); err == nil && !listen.IsUnspecified() {
		return []netip.Addr{listen.Unmap().WithZone("")}
	}
	return own
}

// judgeWalls says what the walls, one for each family, do. blind is set if there
// may be more than what was seen.
func (d *Doctor) judgeWalls(walls []*wall, blind bool) {
	fine := !blind
	shut := slices.Clone(walls[0].dropped) // ports that nobody gets to
	for _, w := range walls[1:] {
		shut = slices.DeleteFunc(shut, func(port int) bool { return !slices.Contains(w.dropped, port) })
	}
	for i, w := range walls {
		what := "connections"
		if len(walls) > 1 {
			what = []string{"IPv4", "IPv6"}[i] + " connections"
		}
		if len(w.dropped)+len(w.depends)+len(w.unclear) > 0 {
			fine = false
		}
		remedy := w.allow
		if len(w.dropped) < w.last-w.first+1 {
			remedy += ", or give ports.first and ports.last the range that is let in"
		}
		switch {
		case len(shut) > 0:
			d.broken("firewall", w.surely(what), remedy)
		case len(w.dropped) > 0:
			d.note("firewall", w.surely(what), w.allow)
		case len(w.unclear) > 0:
			d.unseen("firewall", fmt.Sprintf("whether %s to %s are let in can't be told: this rule isn't understood here: %s", what, spans(w.unclear), w.riddle),
				"see for yourself; this lets them in whatever that rule does: "+w.allow)
		case len(w.depends) > 0:
			d.note("firewall", w.perhaps(what), "see that administrators are let in, or let all in: "+w.allow)
		}
	}
	if blind {
		d.unseen("firewall", "nf_tables is in use, and what other programs than iptables have told it can't be seen without nft",
			"install nftables; it is only asked to list the rules")
	}
	if fine {
		d.ok("firewall", fmt.Sprintf("this host's own lets connections to %s in", spans(ports(d.cfg.Ports.First, d.cfg.Ports.Last))))
	}
}

// surely says what the wall does to the connections that it stops.
func (w *wall) surely(what string) string {
	does := map[effect]string{drops: "drops", diverts: "redirects", mutes: "drops the answers to"}[w.does]
	if w.mixed {
		does = "in one way or another stops"
	}
	return fmt.Sprintf("%s %s %s to %s (%s)", w.who, does, what, spans(w.dropped), w.why)
}

// perhaps says what the wall does to those that it may stop.
func (w *wall) perhaps(what string) string {
	does := "lets %s to %s in or drops them"
	switch w.does {
	case diverts:
		does = "lets %s to %s in or redirects them"
	case mutes:
		does = "lets the answers to %s to %s out or drops them"
	}
	return fmt.Sprintf("%s "+does+" depending on where they come from, on the way they take, or on how many they are (%s)", w.who, what, spans(w.depends), w.why)
}

func ports(first, last int) (list []int) {
	for port := first; port <= last; port++ {
		list = append(list, port)
	}
	return list
}

// spans writes ports as "6001-6040, 6050".
func spans(ports []int) string {
	var list []string
	for i := 0; i < len(ports); {
		j := i
		for j+1 < len(ports) && ports[j+1] == ports[j]+1 {
			j++
		}
		if i == j {
			list = append(list, fmt.Sprint(ports[i]))
		} else {
			list = append(list, fmt.Sprintf("%d-%d", ports[i], ports[j]))
		}
		i = j + 1
	}
	return first(list, 5)
}

// run runs one of the host's tools; ran is false if there is none.
func (d *Doctor) run(ctx context.Context, name string, args ...string) (out string, ran bool, err error) {
	path := program.Find(d.host.path, name)
	if path == "" {
		return "", false, nil
	}
	b, err := program.Output(ctx, program.Command{Path: path, Args: args, Timeout: toolTime, Max: 8 << 20})
	return string(b), true, err
}
