package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
)

// GateTag is the tag of a gate's JWT, HostTag of a host's.
const (
	GateTag = "shadow-gate"
	HostTag = "shadow-host"
)

const (
	orderAge  = 30 * time.Second // how old or how early an order may be
	maxSeen   = 1 << 15          // orders that are remembered; as many again if they end something
	maxVetted = 256              // gates that are remembered
)

// ErrReplayed is that an order has been here before.
var ErrReplayed = errors.New("this order has been here before")

// A Guard lets a host's orders in: those that a gate of the fleet has signed for this host and this run
// of shadowd, each once and only while it is fresh. It is safe for concurrent use.
type Guard struct {
	ID    string   // of the host
	Boot  string   // of this run of shadowd
	Fleet []string // public keys that vouch for gates
	Now   func() time.Time

	mu     sync.Mutex
	seen   map[string]time.Time // orders, and until when they would be fresh
	vetted map[string]vetted    // by JWT
}

// A vetted JWT is a gate's.
type vetted struct {
	name, key string
	until     time.Time // zero: it doesn't end
}

// Admit checks an order that came on a subject, and says which gate has sent it.
func (g *Guard) Admit(subject string, header func(string) string, data []byte) (Order, string, error) {
	var o Order
	if len(data) > MaxMessage {
		return o, "", fmt.Errorf("an order of %d bytes", len(data))
	}
	gate, err := g.vet(header(GateHeader))
	if err != nil {
		return o, "", err
	}
	if err := verify(gate.key, header(SignatureHeader), signsOrder, subject, string(data)); err != nil {
		return o, "", err
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return o, "", fmt.Errorf("the order can't be read: %w", err)
	}
	switch {
	case o.Host != g.ID, subject != Subject(o.Host, o.Kind):
		return o, "", fmt.Errorf("the order is for %.80q, not for %s", o.Host, subject)
	case o.Boot != g.Boot:
		return o, "", errors.New("the order is for an earlier run of shadowd; ask again")
	case o.ID == "" || len(o.ID) > 64:
		return o, "", errors.New("the order has no id that can be remembered")
	}
	return o, gate.name, g.fresh(o)
}

// fresh reports why an order is too old, too early, or has been here; else it is noted.
func (g *Guard) fresh(o Order) error {
	now := g.Now()
	if age := now.Sub(o.At); age > orderAge || age < -orderAge {
		return fmt.Errorf("the order is %v old by this host's clock; at most %v is allowed", age.Round(time.Second), orderAge)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, there := g.seen[o.ID]; there {
		return ErrReplayed
	}
	room := maxSeen
	if o.Kind == Stop { // which a flood of others doesn't keep out
		room *= 2
	}
	if len(g.seen) >= room {
		for id, until := range g.seen {
			if now.After(until) {
				delete(g.seen, id)
			}
		}
		if len(g.seen) >= room {
			return errors.New("too many orders at a time")
		}
	}
	if g.seen == nil {
		g.seen = map[string]time.Time{}
	}
	g.seen[o.ID] = o.At.Add(orderAge)
	return nil
}

// vet is the gate whose JWT this is.
func (g *Guard) vet(token string) (vetted, error) {
	g.mu.Lock()
	known, there := g.vetted[token]
	g.mu.Unlock()
	if !there {
		name, key, until, err := Vouched(token, GateTag, g.Fleet)
		if err != nil {
			return vetted{}, err
		}
		known = vetted{name, key, until}
		g.mu.Lock()
		if g.vetted == nil || len(g.vetted) >= maxVetted {
			g.vetted = map[string]vetted{}
		}
		g.vetted[token] = known
		g.mu.Unlock()
	}
	if !known.until.IsZero() && g.Now().After(known.until) {
		return vetted{}, fmt.Errorf("the gate's JWT has expired at %v", known.until)
	}
	return known, nil
}

// Vouched reads a JWT with a tag, for which one of the fleet's keys vouches: whose it is, his public key,
// and until when it is good; zero: it doesn't end. It isn't checked whether it has ended.
func Vouched(token, tag string, fleet []string) (name, key string, until time.Time, err error) {
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return "", "", time.Time{}, fmt.Errorf("the JWT can't be read: %w", err)
	}
	if !slices.Contains(fleet, claims.Issuer) {
		return "", "", time.Time{}, fmt.Errorf("%.80q, who vouches for %.80q, isn't the fleet's key", claims.Issuer, claims.Name)
	}
	if !claims.Tags.Contains(tag) {
		return "", "", time.Time{}, fmt.Errorf("the JWT of %.80q isn't for a %s", claims.Name, tag)
	}
	if claims.Expires != 0 {
		until = time.Unix(claims.Expires, 0)
	}
	return claims.Name, claims.Subject, until, nil
}
