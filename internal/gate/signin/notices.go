package signin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"
)

// A Board is where gates that share keys tell each other of sign-ins. What is put up there is sealed: whoever keeps the board
// can hide it, and neither read nor change it.
type Board interface {
	// Post puts a notice up under a key, in place of the one that was there, for as long as it counts.
	Post(ctx context.Context, key, notice string, until time.Time) error

	// OnPosted sets, before anything is read, what is called for each notice: first for those that are up already, then for
	// each that is put up, whoever has done so. It must not block.
	OnPosted(heard func(notice string))
}

const (
	purposeNotice = "sign-in notice 1"
	maxPosts      = 4096 // notices that wait for a board that takes none
)

// The kinds of notices.
const (
	kindPlace = "in"     // somebody is signed in
	kindEnded = "out"    // a session was ended
	kindCut   = "others" // all sessions of a person were ended, but one if it is named
)

// A notice is what one gate tells the others. Sessions and owners are those of a [Session] and of [ownerKey].
type notice struct {
	Kind    string    `json:"k"`
	Session string    `json:"s,omitempty"` // of a cut: the one that goes on; empty: none
	Owner   string    `json:"o"`
	Until   time.Time `json:"x"` // when it doesn't count any more
	Place   *Place    `json:"p,omitempty"`
	Before  time.Time `json:"b,omitzero"` // of a cut: the sessions that had begun by then
}

// key is under which a notice stands: a board's keys name nobody, and no session.
func (n *notice) key() string {
	of := n.Session
	if n.Kind == kindCut {
		of = n.Owner
	}
	sum := sha256.Sum256([]byte(n.Kind + " " + of))
	return n.Kind + "." + hex.EncodeToString(sum[:16])
}

// posts are notices that the board doesn't have yet.
type posts struct {
	mu  sync.Mutex
	all map[string]*notice // by key
}

// put adds a notice, or replaces the one of its key; false: there are too many.
func (p *posts) put(n *notice) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*notice{}
	}
	if _, there := p.all[n.key()]; !there && len(p.all) >= maxPosts {
		return false
	}
	p.all[n.key()] = n
	return true
}

func (p *posts) waiting() map[string]*notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.all)
}

// done forgets a notice, unless there is another one in its place by now.
func (p *posts) done(key string, n *notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all[key] == n {
		delete(p.all, key)
	}
}

// errCrowded is that other gates aren't told.
var errCrowded = errors.New("too many sign-outs, of one person or waiting for other gates: this one isn't sent to them")

// post has a notice told with the next [Desk.Tell].
func (d *Desk) post(n *notice) error {
	if d.Board == nil || d.posts.put(n) || n.Kind == kindPlace {
		return nil
	}
	return errCrowded
}

// Tell puts up on the board what other gates have to know and don't yet, until ctx ends. It returns the first error; what
// couldn't be put up is with the next call.
func (d *Desk) Tell(ctx context.Context) error {
	if d.Board == nil {
		return nil
	}
	for _, places := range []bool{false, true} { // endings first
		for key, n := range d.posts.waiting() {
			if (n.Kind == kindPlace) != places {
				continue
			}
			if n.Until.After(d.Now()) {
				plain, err := json.Marshal(n)
				if err == nil {
					err = d.Board.Post(ctx, key, d.Sealer.Seal(purposeNotice, plain), n.Until)
				}
				if err != nil {
					return err
				}
			}
			d.posts.done(key, n)
		}
	}
	return nil
}

// heard takes a notice of some gate's, of this one's, too. What isn't sealed with a key that this gate knows is of gates whose
// cookies aren't good here.
func (d *Desk) heard(sealed string) {
	plain, err := d.Sealer.Open(purposeNotice, sealed)
	if err != nil {
		return
	}
	n := new(notice)
	now := d.Now()
	if json.Unmarshal(plain, n) != nil || n.Owner == "" || !n.Until.After(now) {
		return
	}
	switch n.Kind {
	case kindPlace:
		if n.Place != nil && n.Session != "" {
			d.places.hear(n.Session, n.Owner, n.Place, now)
		}
	case kindEnded:
		if n.Session != "" && !d.Ended.Has(n.Session) {
			_ = d.Ended.addOf(n.Session, n.Owner, n.Until, now) // the board has it as well
		}
	case kindCut:
		_ = d.Ended.cut(n.Owner, n.Session, n.Before, n.Until, now)
	}
}
