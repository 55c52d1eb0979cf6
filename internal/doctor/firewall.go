package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vda.internal/shadow/internal/program"
)

// toolTime bounds each of the host's firewall tools.
const toolTime = 3 * time.Second

// A wall is what one firewall does with a new TCP connection from elsewhere to
// each of the viewers' ports.
type wall struct {
	name    string // "ufw", "nftables", …
	dropped []int  // ports that it surely drops
	maybe   []int  // ports that it drops depending on what isn't known here
	why     string // the rule or policy that drops
	allow   string // the command that lets viewers in
}

// firewall sees whether a firewall of this host drops viewers' connections.
// ufw and firewalld are asked themselves where they run, and the kernel for
// the rules that aren't theirs. Nothing is changed.
func (d *Doctor) firewall(ctx context.Context) {
	first, last := d.cfg.Ports.First, d.cfg.Ports.Last
	var walls []*wall
	var failed []string
	ask := func(of func(context.Context, int, int) (*wall, error)) *wall {
		w, err := of(ctx, first, last)
		if err != nil {
			failed = append(failed, words(err))
		}
		if w != nil {
			walls = append(walls, w)
		}
		return w
	}
	managed := ask(d.ufw) != nil // through iptables
	without := ""
	if ask(d.firewalld) != nil {
		managed, without = true, "firewalld"
	}
	ask(func(ctx context.Context, first, last int) (*wall, error) {
		return d.nftables(ctx, first, last, without)
	})
	if !managed {
		ask(d.iptables)
	}
	if len(walls) == 0 && len(failed) == 0 && program.Find(d.host.path, "nft") == "" && program.Find(d.host.path, "iptables-save") == "" {
		d.note("firewall", "the kernel's rules can't be seen: there is neither nft nor iptables-save", "install nftables, or see by other means that viewers' connections are let in")
		return
	}
	d.judgeWalls(walls, failed)
}

func (d *Doctor) judgeWalls(walls []*wall, failed []string) {
	all := d.cfg.Ports.Last - d.cfg.Ports.First + 1
	fine := true
	for _, w := range walls {
		switch {
		case len(w.dropped) == all:
			fine = false
			d.broken("firewall", fmt.Sprintf("%s drops connections to %s (%s)", w.name, spans(w.dropped), w.why), w.allow)
		case len(w.dropped) > 0:
			fine = false
			d.note("firewall", fmt.Sprintf("%s drops connections to %s (%s)", w.name, spans(w.dropped), w.why), w.allow)
		case len(w.maybe) > 0:
			fine = false
			d.note("firewall", fmt.Sprintf("%s lets connections to %s in or drops them depending on where they come from, or on rules that aren't understood here (%s)",
				w.name, spans(w.maybe), w.why), "see that administrators' networks are let in: "+w.allow)
		}
	}
	if len(failed) > 0 {
		d.note("firewall", "rules can't be read: "+strings.Join(failed, "; "), asRoot)
		return
	}
	if !fine {
		return
	}
	if len(walls) == 0 {
		d.ok("firewall", "none was found on this host")
		return
	}
	var names []string
	for _, w := range walls {
		names = append(names, w.name)
	}
	d.ok("firewall", fmt.Sprintf("%s lets connections to %d-%d in", strings.Join(names, " and "), d.cfg.Ports.First, d.cfg.Ports.Last))
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

// A truth is what a rule's conditions say of a connection.
type truth int8

const (
	no    truth = iota
	maybe       // depends on what isn't known here
	yes
)

// not turns a truth around.
func (t truth) not() truth { return yes - t }

func boolTruth(b bool) truth {
	if b {
		return yes
	}
	return no
}

// A rule is one rule of a chain.
type rule struct {
	matches func(port int) truth
	verdict string // "accept", "drop", "return", "jump", "goto", "maybe" (any of the first two), "" (goes on)
	target  string // chain of jump and goto
	text    string // as its tool writes it, for people
}

// A chain is a list of rules; the first verdict counts.
type chain struct {
	name   string
	policy string // "accept" or "drop" of a base chain
	rules  []rule
}

// An outcome is what can become of a connection in a chain.
type outcome struct {
	accept, drop bool
	through      bool   // the chain has no word on it
	why          string // what drops, for people
}

// or adds what else can become of it.
func (o outcome) or(p outcome) outcome {
	if o.why == "" {
		o.why = p.why
	}
	return outcome{o.accept || p.accept, o.drop || p.drop, o.through || p.through, o.why}
}

// A trial is one connection on its way through chains.
type trial struct {
	chains map[string]*chain // that rules may call
	port   int
	known  map[*chain]outcome // so that each chain is followed once
}

func newTrial(chains map[string]*chain, port int) *trial {
	return &trial{chains, port, map[*chain]outcome{}}
}

// judge follows the connection through a chain.
func (t *trial) judge(c *chain) outcome {
	if o, ok := t.known[c]; ok {
		return o
	}
	// For a chain that calls itself, which the kernel doesn't take.
	t.known[c] = outcome{accept: true, drop: true, through: true, why: "chain " + c.name + " calls itself"}
	o := t.follow(c)
	t.known[c] = o
	return o
}

func (t *trial) follow(c *chain) outcome {
	var all outcome
	leaves := true // the connection may get past the last rule, or leave before it
	for _, r := range c.rules {
		hit := r.matches(t.port)
		if hit == no || r.verdict == "" {
			continue
		}
		o, returns := t.outcome(r)
		goesOn := hit == maybe || o.through && !returns
		left := o.through && returns
		o.through = false
		all = all.or(o)
		if !goesOn {
			leaves = left
			break
		}
		if left { // or it leaves here; then what follows doesn't count
			all = all.or(c.end())
		}
	}
	if leaves {
		all = all.or(c.end())
	}
	return all
}

// end is what becomes of a connection on which no rule has a word.
func (c *chain) end() outcome {
	switch c.policy {
	case "accept":
		return outcome{accept: true}
	case "drop":
		return outcome{drop: true, why: "policy drop of chain " + c.name}
	}
	return outcome{through: true}
}

// outcome is what becomes of a connection that the rule is for. If returns is
// set, what it lets through leaves the chain.
func (t *trial) outcome(r rule) (o outcome, returns bool) {
	switch r.verdict {
	case "accept":
		return outcome{accept: true}, false
	case "drop":
		return outcome{drop: true, why: r.text}, false
	case "return":
		return outcome{through: true}, true
	case "jump", "goto":
		if target := t.chains[r.target]; target != nil {
			return t.judge(target), r.verdict == "goto"
		}
	}
	return outcome{accept: true, drop: true, through: true, why: r.text}, false
}

// survey follows a connection to each port through the base chains, all of
// which must let it in.
func (w *wall) survey(chains map[string]*chain, bases []*chain, first, last int) {
	for port := first; port <= last; port++ {
		t := newTrial(chains, port)
		dropped, doubt := "", ""
		for _, base := range bases {
			o := t.judge(base)
			switch {
			case o.drop && !o.accept && dropped == "":
				dropped = o.why
			case o.drop && doubt == "":
				doubt = o.why
			}
		}
		switch {
		case dropped != "":
			if len(w.dropped) == 0 {
				w.why = dropped
			}
			w.dropped = append(w.dropped, port)
		case doubt != "":
			if w.why == "" {
				w.why = doubt
			}
			w.maybe = append(w.maybe, port)
		}
	}
}
