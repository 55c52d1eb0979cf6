package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vda.internal/shadow/internal/doctor/packetpath"
)

// firewall sees whether a firewall of this host drops viewers' connections or
// sends them elsewhere.
func (d *Doctor) firewall(ctx context.Context) {
	own, err := d.host.own()
	if err != nil {
		own = nil // what depends on them is said to
	}
	four, six := d.families()
	answer, err := packetpath.Follow(ctx, packetpath.Question{
		First: d.cfg.Ports.First, Last: d.cfg.Ports.Last, IPv4: four, IPv6: six,
		Own: d.listening(own), Via: d.host.via(), Path: d.host.path, Root: d.host.root,
	})
	switch {
	case errors.Is(err, packetpath.ErrNoTool):
		d.unseen("firewall", "the kernel's rules can't be seen: "+err.Error(), "install nftables; it is only asked to list the rules")
	case err != nil:
		d.unseenWalls(err)
	default:
		d.judgeWalls(answer.Walls, answer.Blind)
	}
}

func (d *Doctor) unseenWalls(err error) {
	remedy := "fix that, or check by other means that viewers' connections are admitted"
	if d.host.uid != 0 {
		remedy = asRoot
	}
	d.unseen("firewall", "the kernel's rules can't be seen: "+words(err), remedy)
}

// families are the kinds of IP by which viewers may come: those that are listened on and
// that the host's name has.
func (d *Doctor) families() (four, six bool) {
	listen, err := netip.ParseAddr(d.cfg.Ports.Listen)
	switch {
	case err == nil && listen.Unmap().Is4():
		return true, false
	case err == nil && listen != netip.IPv6Unspecified():
		return false, true
	}
	four = slices.ContainsFunc(d.named, func(a netip.Addr) bool { return a.Unmap().Is4() })
	six = slices.ContainsFunc(d.named, func(a netip.Addr) bool { return !a.Unmap().Is4() })
	if four == six {
		return true, true
	}
	return four, six
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
func (d *Doctor) judgeWalls(walls []*packetpath.Wall, blind bool) {
	fine := !blind
	shut := slices.Clone(walls[0].Dropped) // ports that nobody gets to
	for _, w := range walls[1:] {
		shut = slices.DeleteFunc(shut, func(port int) bool { return !slices.Contains(w.Dropped, port) })
	}
	for i, w := range walls {
		what := "connections"
		if len(walls) > 1 {
			what = []string{"IPv4", "IPv6"}[i] + " connections"
		}
		if len(w.Dropped)+len(w.Depends)+len(w.Unclear) > 0 {
			fine = false
		}
		remedy := w.Allow
		if len(w.Dropped) < w.Last-w.First+1 {
			remedy += ", or set ports.first and ports.last to the range that is admitted"
		}
		switch {
		case len(shut) > 0:
			d.wall(w, Check{State: Bad, Found: surely(w, what), Remedy: remedy})
		case len(w.Dropped) > 0:
			d.wall(w, Check{State: Note, Found: surely(w, what), Remedy: w.Allow})
		case len(w.Unclear) > 0:
			d.wall(w, Check{State: Note, Unseen: true,
				Found:  fmt.Sprintf("cannot tell whether %s to %s are admitted: the doctor doesn't understand this rule: %s", what, spans(w.Unclear), oneLine(w.Riddle)),
				Remedy: "check it yourself; this admits them whatever that rule does: " + w.Allow})
		case len(w.Depends) > 0:
			d.wall(w, Check{State: Note, Found: perhaps(w, what), Remedy: "check that administrators are admitted, or admit everybody: " + w.Allow})
		}
	}
	if blind {
		d.unseen("firewall", "nf_tables is in use, and rules by programs other than iptables can't be listed without nft",
			"install nftables; it is only asked to list the rules")
	}
	if fine {
		d.ok("firewall", fmt.Sprintf("this host's own lets connections to %s in", spans(ports(d.cfg.Ports.First, d.cfg.Ports.Last))))
	}
}

// wall adds what was found of a wall, with the command that lets viewers pass.
func (d *Doctor) wall(w *packetpath.Wall, c Check) {
	c.Name = "firewall"
	line, _, _ := strings.Cut(w.Allow, " (and the same")
	switch tool, _, _ := strings.Cut(line, " "); tool {
	case "firewall-cmd", "ufw", "nft", "iptables", "ip6tables":
		c.Command = line // anything else is an advice
	}
	d.add(c)
}

// surely says what the wall does to the connections that it stops.
func surely(w *packetpath.Wall, what string) string {
	does := map[packetpath.Effect]string{packetpath.Drops: "drops", packetpath.Diverts: "redirects", packetpath.Mutes: "drops the answers to"}[w.Does]
	if w.Mixed {
		does = "in one way or another stops"
	}
	return fmt.Sprintf("%s %s %s to %s (%s)", w.Who, does, what, spans(w.Dropped), oneLine(w.Why))
}

// perhaps says what the wall does to those that it may stop.
func perhaps(w *packetpath.Wall, what string) string {
	does := "lets %s to %s in or drops them"
	switch w.Does {
	case packetpath.Diverts:
		does = "lets %s to %s in or redirects them"
	case packetpath.Mutes:
		does = "lets the answers to %s to %s out or drops them"
	}
	return fmt.Sprintf("%s "+does+" depending on where they come from, on the way they take, or on how many they are (%s)", w.Who, what, spans(w.Depends), oneLine(w.Why))
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
