package packetpath

import "net/netip"

// A packet is the first of a viewer's connection from elsewhere, as far as it
// is known here, or this host's answer to that.
type packet struct {
	port  int          // the viewers' port, to which it is sent; an answer comes from it
	six   bool         // by IPv6
	own   []netip.Addr // this host's addresses, to one of which it is sent
	via   []string     // this host's interfaces, through one of which it comes
	reply bool         // it is the answer
}

// flags are its TCP flags: SYN, or SYN and ACK.
func (p packet) flags() int {
	if p.reply {
		return 0x12
	}
	return 0x02
}

// remotePorts are some of which browsers' systems choose one.
var remotePorts = []int{1024, 32768, 65535}

// ports are those that it may be sent from and to.
func (p packet) ports() (from, to []int) {
	if p.reply {
		return []int{p.port}, remotePorts
	}
	return remotePorts, []int{p.port}
}

// A truth is what a rule's conditions say of a packet.
type truth int8

const (
	no      truth = iota
	unclear       // the condition isn't understood here
	depends       // on what isn't known here: where the packet comes from, or how many there are
	yes
)

// not turns a truth around.
func (t truth) not() truth {
	switch t {
	case no:
		return yes
	case yes:
		return no
	}
	return t
}

func boolTruth(b bool) truth {
	if b {
		return yes
	}
	return no
}

// both is the truth of what may be one or the other.
func (t truth) both(u truth) truth {
	switch {
	case t == u:
		return t
	case t == unclear || u == unclear:
		return unclear
	}
	return depends
}

// either is the truth of one or the other being so.
func (t truth) either(u truth) truth {
	switch {
	case t == yes || u == yes:
		return yes
	case t == unclear || u == unclear:
		return unclear
	}
	return max(t, u)
}

// each is what can be said of one of several that isn't known which.
func each[T any](list []T, test func(T) truth) truth {
	if len(list) == 0 {
		return depends
	}
	t := test(list[0])
	for _, v := range list[1:] {
		t = t.both(test(v))
	}
	return t
}

// anyOf is whether one of several is so.
func anyOf[T any](list []T, test func(T) truth) truth {
	t := no
	for _, v := range list {
		t = t.either(test(v))
	}
	return t
}

// A condition is a part of a rule.
type condition func(packet) truth

func always(t truth) condition { return func(packet) truth { return t } }

// A rule is one rule of a chain.
type rule struct {
	conditions []condition // all of which must hold
	verdict    string      // "accept", "drop", "return", "jump", "goto", "divert", "unclear", "" (goes on)
	target     string      // chain of jump and goto
	stays      condition   // of divert: the packet's address and port become what they are
	text       string      // as its tool writes it, for people
}

func (r rule) matches(p packet) truth {
	t := yes
	for _, c := range r.conditions {
		t = min(t, c(p))
	}
	return t
}

// A chain is a list of rules; the first verdict counts.
type chain struct {
	name   string // with which people find it
	policy string // "accept" or "drop" of a base chain
	rules  []rule
}

// A base is a chain that the kernel calls by itself, and the command that lets
// viewers pass it. To come in a packet must pass all there are, and the answer
// those that see what goes out.
type base struct {
	*chain
	chains map[string]*chain // that its rules may call
	device bool              // it sees the packets of some interfaces only
	out    bool              // it sees what goes out
	nat    bool              // it sees packets only while the kernel tracks connections
	who    string            // whose rules these are: "ufw", "nftables", …

	// allow is the command that lets viewers pass, where a chain called culprit
	// drops them.
	allow func(culprit string, first, last int) string
}

// An outcome is what can become of a packet in a chain.
type outcome struct {
	accept, drop bool
	diverted     bool   // what drop says is that it is sent elsewhere
	undecided    bool   // the chain has no word on it
	why          string // what drops, for people
	culprit      string // name of the chain that does
	riddle       string // a rule that isn't understood here, on which it depends
}

// or adds what else can become of it.
func (o outcome) or(p outcome) outcome {
	if o.why == "" {
		o.why, o.culprit, o.diverted = p.why, p.culprit, p.diverted
	}
	if o.riddle == "" {
		o.riddle = p.riddle
	}
	o.accept, o.drop, o.undecided = o.accept || p.accept, o.drop || p.drop, o.undecided || p.undecided
	return o
}

// A trial is one packet on its way through chains.
type trial struct {
	packet packet
	chains map[string]*chain  // that rules may call
	known  map[*chain]outcome // so that each chain is followed once
}

// judge follows the packet through a base chain.
func (b base) judge(p packet) outcome {
	p.reply = b.out
	t := &trial{p, b.chains, map[*chain]outcome{}}
	o := t.chain(b.chain)
	if (b.device || b.nat && !o.diverted) && o.drop { // translating has them tracked
		o.accept = true // what comes through another one, or isn't tracked
	}
	return o
}

func (t *trial) chain(c *chain) outcome {
	if o, ok := t.known[c]; ok {
		return o
	}
	// For a chain that calls itself, which the kernel doesn't take.
	t.known[c] = outcome{accept: true, drop: true, undecided: true, riddle: "chain " + c.name + " calls itself"}
	o := t.follow(c)
	t.known[c] = o
	return o
}

func (t *trial) follow(c *chain) outcome {
	var all outcome
	leaves := true // the packet may get past the last rule, or leave before it
	for _, r := range c.rules {
		hit := r.matches(t.packet)
		if hit == no || r.verdict == "" {
			continue
		}
		o, returns := t.outcome(c, r)
		if hit == unclear {
			o.riddle = r.text
		}
		goesOn := hit != yes || o.undecided && !returns
		left := o.undecided && returns
		o.undecided = false
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

// end is what becomes of a packet on which no rule has a word.
func (c *chain) end() outcome {
	switch c.policy {
	case "accept":
		return outcome{accept: true}
	case "drop":
		return outcome{drop: true, why: "policy drop of chain " + c.name, culprit: c.name}
	}
	return outcome{undecided: true}
}

// outcome is what becomes of a packet that the rule is for. If returns is set,
// what it lets through leaves the chain.
func (t *trial) outcome(c *chain, r rule) (o outcome, returns bool) {
	switch r.verdict {
	case "accept":
		return outcome{accept: true}, false
	case "drop":
		return outcome{drop: true, why: r.text, culprit: c.name}, false
	case "divert":
		switch stays := r.stays(t.packet); stays {
		case yes:
			return outcome{accept: true}, false
		case no:
			return outcome{drop: true, diverted: true, why: r.text, culprit: c.name}, false
		default:
			o := outcome{accept: true, drop: true, diverted: true, why: r.text, culprit: c.name}
			if stays == unclear {
				o.riddle = r.text
			}
			return o, false
		}
	case "return":
		return outcome{undecided: true}, true
	case "jump", "goto":
		if target := t.chains[r.target]; target != nil {
			return t.chain(target), r.verdict == "goto"
		}
	}
	return outcome{accept: true, drop: true, undecided: true, why: r.text, culprit: c.name, riddle: r.text}, false
}

// An Effect is what a firewall does to connections that it doesn't let be.
type Effect int8

const (
	Drops Effect = iota
	Diverts
	Mutes // it drops the answers
)

// A Wall is what firewalls do with viewers' first packets and the answers.
type Wall struct {
	First, Last int // the ports that were tried

	Dropped []int  // ports to which they are surely dropped, or diverted
	Depends []int  // … or let in, depending on what isn't known here
	Unclear []int  // … or let in; some rule isn't understood
	Who     string // whose rule or policy drops or, if none does surely, may
	Does    Effect // what it does …
	Mixed   bool   // … to some; to others of dropped it does something else
	Why     string // that rule or policy
	Allow   string // the command that lets viewers in
	Riddle  string // the rule that isn't understood
}

// survey sends a packet to each port through all base chains that see what
// comes in, and the answer through those that see what goes out.
func survey(bases []base, p packet, first, last int) *Wall {
	w := &Wall{First: first, Last: last}
	for p.port = first; p.port <= last; p.port++ {
		worst := no               // yes: dropped
		sure := map[Effect]bool{} // how
		for _, b := range bases {
			o := b.judge(p)
			t := no
			switch {
			case o.drop && !o.accept:
				t = yes
			case o.drop && o.riddle != "":
				t = unclear
			case o.drop:
				t = depends
			}
			if badness(t) > badness(worst) {
				worst = t
			}
			if t == yes {
				sure[b.effect(o)] = true
			}
			w.note(t, o, b)
		}
		switch worst {
		case yes:
			w.Dropped = append(w.Dropped, p.port)
			w.Mixed = w.Mixed || !sure[w.Does]
		case depends:
			w.Depends = append(w.Depends, p.port)
		case unclear:
			w.Unclear = append(w.Unclear, p.port)
		}
	}
	return w
}

// Effect is what the chain does if that is the outcome of a packet.
func (b base) effect(o outcome) Effect {
	switch {
	case b.out:
		return Mutes
	case o.diverted:
		return Diverts
	}
	return Drops
}

// badness orders what may become of a packet for the worse.
func badness(dropped truth) int {
	return map[truth]int{no: 0, depends: 1, unclear: 2, yes: 3}[dropped]
}

// note keeps the first reason, unless a surer one comes.
func (w *Wall) note(dropped truth, o outcome, b base) {
	if dropped == unclear && w.Riddle == "" {
		w.Riddle = o.riddle
	}
	sure := dropped == yes && len(w.Dropped) == 0
	if dropped == no || w.Why != "" && !sure {
		return
	}
	w.Who, w.Why, w.Allow, w.Does = b.who, o.why, b.allow(o.culprit, w.First, w.Last), b.effect(o)
}
