package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow/internal/fleet"
)

// What one host may say by a gate: more than a spool that is emptied, or a presence that changes all the time. Beyond
// that it gets no answer, and a host tries again.
const (
	hostRate  = 16 << 20 // bytes a second
	hostBurst = 64 << 20 // bytes at once
	msgCost   = 1 << 10  // bytes that each message costs besides its own
	maxRates  = 1 << 16  // hosts of which that is known
)

// kvOperation is the header by which a host takes its presence away.
const kvOperation = "KV-Operation"

// Relay publishes for the streams what hosts say, until stop is called. All gates do so, each with everything, so that
// none that is stuck keeps anything back: the streams know by the messages' ids what they have.
//
// A stream's server answers a publish at the subject that its publisher names, with its own rights and on several
// paths, of which NoAck ends only some. So hosts publish into no stream, and where the answer goes is looked at
// here: only to the host's own inbox. Of the headers the streams get those that a host needs.
//
// foul is told of a reply that isn't the host's own, which isn't passed on.
func (c *Conn) Relay(ctx context.Context, foul func(host, reply string)) (stop func(), err error) {
	r := &relay{conn: c.NATS, foul: foul, rates: map[string]*allowance{}, now: time.Now}
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			_ = s.Unsubscribe()
		}
	}
	for _, subject := range []string{fleet.AuditFilter, fleet.PresenceSubject("*")} {
		s, err := c.NATS.Subscribe(subject, r.pass)
		if err != nil {
			stop()
			return nil, err
		}
		subs = append(subs, s)
	}
	ctx, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	if err := c.NATS.FlushWithContext(ctx); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

type relay struct {
	conn *nats.Conn
	foul func(host, reply string)
	now  func() time.Time

	mu    sync.Mutex
	rates map[string]*allowance // by host
}

// pass publishes what a host has said. What is lost on the way isn't acknowledged.
func (r *relay) pass(m *nats.Msg) {
	to, host := fleet.Kept(m.Subject)
	if to == "" || !r.may(host, len(m.Data)) {
		return
	}
	out := &nats.Msg{Subject: to, Data: m.Data, Header: nats.Header{}}
	for _, name := range []string{fleet.SignatureHeader, jetstream.MsgIDHeader, jetstream.ExpectedLastSubjSeqHeader, kvOperation} {
		if value := m.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	if to == fleet.KeptPresence(host) {
		out.Header.Del(jetstream.MsgIDHeader)
		if len(m.Data) > 0 { // it has its time in it, and is the same only at another gate
			sum := sha256.Sum256(m.Data)
			out.Header.Set(jetstream.MsgIDHeader, host+"/"+hex.EncodeToString(sum[:16]))
		}
	}
	switch {
	case m.Reply == "":
	case own(host, m.Reply):
		out.Reply = m.Reply
	default:
		r.foul(host, m.Reply)
	}
	if !isID(out.Header.Get(jetstream.MsgIDHeader)) && to == fleet.KeptAudit(host) {
		return // the stream would keep it once for each gate that passes it on
	}
	_ = r.conn.PublishMsg(out)
}

// isID reports whether a line of the audit has an id, as each that a host delivers has.
func isID(id string) bool { return id != "" && len(id) < 256 }

// own reports whether a reply is in a host's inbox.
func own(host, reply string) bool {
	rest, ok := strings.CutPrefix(reply, fleet.HostInbox(host)+".")
	return ok && rest != "" && len(rest) < 256 && !strings.ContainsAny(rest, "*> \t\r\n")
}

// may reports whether a host may say so many bytes more.
func (r *relay) may(host string, bytes int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.rates[host]
	if a == nil {
		if len(r.rates) >= maxRates {
			clear(r.rates)
		}
		a = &allowance{left: hostBurst, at: r.now()}
		r.rates[host] = a
	}
	return a.take(r.now(), float64(bytes+msgCost))
}

// An allowance is what is left of a rate.
type allowance struct {
	left float64
	at   time.Time
}

func (a *allowance) take(now time.Time, bytes float64) bool {
	a.left, a.at = min(hostBurst, a.left+now.Sub(a.at).Seconds()*hostRate), now
	if a.left < bytes {
		return false
	}
	a.left -= bytes
	return true
}

// checkTaken says what is wrong with streams that a server has made: one that doesn't know how to give a message another
// subject takes none.
func checkTaken(s jetstream.Stream) error {
	if s.CachedInfo().Config.SubjectTransform == nil {
		return errors.New("the servers are too old to keep messages under another subject: nats-server 2.11 or later is needed")
	}
	return nil
}
