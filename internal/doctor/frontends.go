package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"vda.internal/shadow/internal/program"
)

// ufw is nil where ufw isn't there or isn't active. See ufw(8).
func (d *Doctor) ufw(ctx context.Context, first, last int) (*wall, error) {
	out, ran, err := d.run(ctx, "ufw", "status", "verbose")
	if !ran || err != nil || !strings.Contains(out, "Status: active") {
		return nil, err
	}
	w := &wall{name: "ufw", allow: fmt.Sprintf("ufw allow %d:%d/tcp", first, last)}
	w.survey(nil, []*chain{parseUFW(out)}, first, last)
	return w, nil
}

// parseUFW reads "ufw status verbose":
//
//	Default: deny (incoming), allow (outgoing), disabled (routed)
//	6001:6099/tcp              ALLOW IN    10.0.0.0/8
func parseUFW(out string) *chain {
	c := &chain{name: "incoming", policy: "drop"}
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "Default: "); ok {
			if strings.HasPrefix(rest, "allow (incoming)") {
				c.policy = "accept"
			}
			continue
		}
		for action, verdict := range map[string]string{" ALLOW": "accept", " LIMIT": "accept", " DENY": "drop", " REJECT": "drop"} {
			to, rest, ok := strings.Cut(line, action)
			if !ok || strings.Contains(to, "(v6)") || strings.HasPrefix(rest, " OUT") || strings.HasPrefix(rest, " FWD") {
				continue
			}
			from := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(rest, " IN"), " "))
			from, _, _ = strings.Cut(from, " #") // a comment
			c.rules = append(c.rules, rule{
				matches: func(port int) truth { return min(ufwTo(strings.TrimSpace(to), port), ufwFrom(strings.TrimSpace(from))) },
				verdict: verdict, text: oneLine(line),
			})
		}
	}
	return c
}

// ufwTo is whether the first column names the port.
func ufwTo(to string, port int) truth {
	if to == "Anywhere" {
		return yes
	}
	ports, proto, hasProto := strings.Cut(to, "/")
	if hasProto && proto != "tcp" {
		return no
	}
	if hit, ok := inList(ports, ":", port); ok {
		return boolTruth(hit)
	}
	return maybe // an application's name, an address, an interface
}

func ufwFrom(from string) truth {
	if from == "Anywhere" {
		return yes
	}
	return maybe
}

// inList reports whether port is in a list such as "22,6001:6099"; ok is false
// if the list isn't one.
func inList(list, dash string, port int) (hit, ok bool) {
	for part := range strings.SplitSeq(list, ",") {
		lo, hi, isRange := strings.Cut(part, dash)
		if !isRange {
			hi = lo
		}
		from, err := strconv.Atoi(lo)
		to, err2 := strconv.Atoi(hi)
		if err != nil || err2 != nil {
			return false, false
		}
		hit = hit || from <= port && port <= to
	}
	return hit, true
}

// firewalld is nil where firewalld isn't there or doesn't run. Viewers may
// come through any active zone. See firewall-cmd(1).
func (d *Doctor) firewalld(ctx context.Context, first, last int) (*wall, error) {
	out, ran, err := d.run(ctx, "firewall-cmd", "--state")
	if code := program.ExitCode(err); !ran || code == 252 || err == nil && strings.TrimSpace(out) != "running" {
		return nil, nil // 252: it doesn't run
	}
	if err != nil {
		return nil, err
	}
	zones, _, err := d.run(ctx, "firewall-cmd", "--get-active-zones")
	if err != nil {
		return nil, err
	}
	names := activeZones(zones)
	if len(names) == 0 {
		zone, _, err := d.run(ctx, "firewall-cmd", "--get-default-zone")
		if err != nil {
			return nil, err
		}
		names = []string{strings.TrimSpace(zone)}
	}
	w := &wall{name: "firewalld", allow: fmt.Sprintf("firewall-cmd --permanent --zone=%s --add-port=%d-%d/tcp && firewall-cmd --reload", names[0], first, last)}
	for _, name := range names {
		out, _, err := d.run(ctx, "firewall-cmd", "--zone="+name, "--list-all")
		if err != nil {
			return nil, err
		}
		one := &wall{}
		one.survey(nil, []*chain{parseZone(name, out)}, first, last)
		w.merge(one, len(names))
	}
	return w, nil
}

// merge adds what one of several zones does: what only some zones drop depends
// on where the viewer comes from.
func (w *wall) merge(one *wall, zones int) {
	if one.why != "" && w.why == "" {
		w.why = one.why
	}
	if zones == 1 {
		w.dropped, w.maybe = one.dropped, one.maybe
		return
	}
	for _, port := range append(one.dropped, one.maybe...) {
		if i, found := search(w.maybe, port); !found {
			w.maybe = append(w.maybe[:i:i], append([]int{port}, w.maybe[i:]...)...)
		}
	}
}

func search(sorted []int, n int) (int, bool) {
	for i, v := range sorted {
		if v >= n {
			return i, v == n
		}
	}
	return len(sorted), false
}

// activeZones reads --get-active-zones: a line a zone, perhaps with
// " (default)", and indented lines about it.
func activeZones(out string) (names []string) {
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			names = append(names, fields[0])
		}
	}
	return names
}

// parseZone reads --list-all of a zone.
func parseZone(name, out string) *chain {
	c := &chain{name: name, policy: "drop"}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "target":
			if value == "ACCEPT" {
				c.policy = "accept"
			}
		case "ports":
			for _, p := range strings.Fields(value) {
				ports, proto, _ := strings.Cut(p, "/")
				if proto != "tcp" {
					continue
				}
				c.rules = append(c.rules, rule{verdict: "accept", text: p, matches: func(port int) truth {
					hit, _ := inList(ports, "-", port)
					return boolTruth(hit)
				}})
			}
		default:
			if text := strings.TrimSpace(line); strings.HasPrefix(text, "rule ") {
				c.rules = append(c.rules, rule{verdict: "maybe", text: text, matches: func(int) truth { return maybe }})
			}
		}
	}
	return c
}
