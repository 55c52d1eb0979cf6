package signin

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxPlaces    = 100_000
	maxPlacesOne = 50 // of one person

	seenAgain = 15 * time.Minute // how old what others know of a place's last use may become
)

// A Place is a browser in which somebody is signed in.
type Place struct {
	ID      string    `json:"-"`             // what it is called for people; it isn't its session's
	Current bool      `json:"-"`             // it is who asks
	Since   time.Time `json:"s"`             // when it was signed in
	Expires time.Time `json:"x"`             // when it ends, whatever happens
	Seen    time.Time `json:"u"`             // its last request, also one that a page has made by itself, to the minute; that of other gates to a quarter of an hour
	From    string    `json:"a"`             // address of that request
	Browser string    `json:"b,omitempty"`   // by its own word; empty: it isn't known
	System  string    `json:"sys,omitempty"` // likewise

	told time.Time // what others know of Seen
}

// places are the browsers in which people are signed in, as far as requests of them were seen, here or at a gate that has told.
// Whether a session is good never depends on them. The zero places are empty.
type places struct {
	mu    sync.Mutex
	count int
	of    map[string]map[string]*Place // by ownerKey, by session
	left  map[string]time.Time         // by ownerKey: until when some of that one's sessions aren't listed
}

// see notes a request of a session. It reports what others don't know of its place yet, nil: nothing.
func (p *places) see(s *Session, from, agent string, now time.Time) *Place {
	owner := ownerKey(s.Owner())
	now = now.UTC().Truncate(time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[owner][s.ID]
	if one == nil {
		one = &Place{Since: s.Since, Expires: s.Expires}
		if !p.put(owner, s.ID, one, now) {
			return nil
		}
	}
	if one.From == from && now.Sub(one.Seen) < seenEvery {
		return nil
	}
	moved := one.From != from
	one.Seen, one.From = now, from
	one.Browser, one.System = browserOf(agent)
	if !moved && now.Sub(one.told) < seenAgain {
		return nil
	}
	one.told = now
	own := *one
	return &own
}

// hear notes what some gate has told of a place.
func (p *places) hear(session, owner string, told *Place, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[owner][session]
	if one != nil && !told.Seen.After(one.Seen) {
		return
	}
	own := *told
	own.told = own.Seen
	if one != nil {
		*one = own
		return
	}
	p.put(owner, session, &own, now)
}

// put adds a place. Of a person who has too many the one goes that hasn't been seen for longest. It reports false if there
// is no room for anybody. p.mu is held.
func (p *places) put(owner, session string, one *Place, now time.Time) bool {
	if p.count >= maxPlaces {
		p.tidy(now)
	}
	if p.count >= maxPlaces {
		p.leaveOut(owner, one)
		return false
	}
	mine := p.of[owner]
	if mine == nil {
		mine = map[string]*Place{}
		if p.of == nil {
			p.of = map[string]map[string]*Place{}
		}
		p.of[owner] = mine
	}
	if len(mine) >= maxPlacesOne {
		oldest := ""
		for id, other := range mine {
			if oldest == "" || other.Seen.Before(mine[oldest].Seen) {
				oldest = id
			}
		}
		p.leaveOut(owner, mine[oldest])
		delete(mine, oldest)
		p.count--
	}
	mine[session] = one
	p.count++
	return true
}

// leaveOut notes that a person's list isn't whole. p.mu is held.
func (p *places) leaveOut(owner string, one *Place) {
	if p.left == nil {
		p.left = map[string]time.Time{}
	}
	if len(p.left) < maxPlaces && one.Expires.After(p.left[owner]) {
		p.left[owner] = one.Expires
	}
}

// tidy forgets what is over. p.mu is held.
func (p *places) tidy(now time.Time) {
	for owner, mine := range p.of {
		for id, one := range mine {
			if !one.Expires.After(now) {
				delete(mine, id)
				p.count--
			}
		}
		if len(mine) == 0 {
			delete(p.of, owner)
		}
	}
	for owner, until := range p.left {
		if !until.After(now) {
			delete(p.left, owner)
		}
	}
}

// list is where a person is signed in, by session, and whether those are all.
func (p *places) list(owner string, now time.Time) (all map[string]Place, whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = map[string]Place{}
	for id, one := range p.of[ownerKey(owner)] {
		all[id] = *one
	}
	return all, !p.left[ownerKey(owner)].After(now)
}

// placeID is what a session's place is called for people.
func placeID(session string) string {
	sum := sha256.Sum256([]byte("place " + session))
	return hex.EncodeToString(sum[:8])
}

// Note notes where s, who sends r, is signed in. A token isn't a browser, and who is stated by a proxy is one only once
// it has sent the cookie back.
func (d *Desk) Note(r *http.Request, s *Session) {
	if s.Method == ByToken || s.begun {
		return
	}
	one := d.places.see(s, addressOf(r.RemoteAddr).String(), r.UserAgent(), d.Now())
	if one == nil {
		return
	}
	if _, wait := d.told.Take(s.Owner(), d.Now()); wait == 0 {
		_ = d.post(&notice{Kind: kindPlace, Session: s.ID, Owner: ownerKey(s.Owner()), Until: s.Expires, Place: one})
	}
}

// Places is where s's owner is signed in, s first and then who was seen last, and whether those are all: there may be more than
// are remembered, and without a [Board] a gate knows only of those that it has seen itself since it was started.
func (d *Desk) Places(s *Session) (list []Place, whole bool) {
	all, whole := d.places.list(s.Owner(), d.Now())
	for id, one := range all {
		if d.isOver(id, s.Owner(), one) {
			continue
		}
		one.ID, one.Current = placeID(id), id == s.ID
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Place) int {
		if a.Current != b.Current {
			return map[bool]int{true: -1, false: 1}[a.Current]
		}
		return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID, b.ID))
	})
	return list, whole
}

// isOver reports whether a session has ended, as far as that is known without its cookie.
func (d *Desk) isOver(id, owner string, one Place) bool {
	now := d.Now()
	return !now.Before(one.Expires) || now.Sub(one.Since) > d.Longest || d.Ended.Has(id) || d.Ended.Covers(owner, one.Expires) || d.Ended.Cuts(owner, id, one.Since)
}

// EndPlace ends the session that is called so, one of s's owner's, wherever its cookie is. It reports false if there is none. The
// error is that of [Desk.SignOut].
func (d *Desk) EndPlace(s *Session, place string) (bool, error) {
	all, _ := d.places.list(s.Owner(), d.Now())
	for id, one := range all {
		if placeID(id) == place && !d.isOver(id, s.Owner(), one) {
			return true, d.end(id, s.Owner(), one.Expires, s.ID)
		}
	}
	return false, nil
}

// EndOthers ends all sessions of s's owner but s, also those that aren't known here. The error is that of [Desk.SignOut].
func (d *Desk) EndOthers(s *Session) error {
	now := d.Now().UTC()
	owner, until := ownerKey(s.Owner()), now.Add(d.Longest)
	err := d.Ended.cut(owner, s.ID, now, until, now)
	if told := d.post(&notice{Kind: kindCut, Session: s.ID, Owner: owner, Before: now, Until: until}); err == nil {
		err = told
	}
	return err
}

// end ends a session for good, here and at gates that share keys and a board. Of a person who ends very many all are ended that
// have begun, but one if it is named: what is kept of one must have an end.
func (d *Desk) end(id, owner string, until time.Time, but string) error {
	now := d.Now().UTC()
	err := d.Ended.add(id, owner, until, now)
	n := &notice{Kind: kindEnded, Session: id, Owner: ownerKey(owner), Until: until}
	if _, wait := d.outs.Take(owner, now); wait > 0 { // in place of any number of them
		n = &notice{Kind: kindCut, Session: but, Owner: ownerKey(owner), Before: now, Until: now.Add(d.Longest)}
	}
	if told := d.post(n); err == nil {
		err = told
	}
	return err
}

// The words of a User-Agent for browsers and systems, in the order in which they decide: several browsers say that they are
// others, too.
var (
	browsers = [][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systems  = [][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}, {"BSD", "BSD"}}
)

const maxAgent = 512 // bytes of a User-Agent that are looked at

// browserOf is what a User-Agent says, in words of ours; the first word of one that isn't a browser's.
func browserOf(agent string) (browser, system string) {
	agent = agent[:min(len(agent), maxAgent)]
	named := func(list [][2]string) string {
		for _, one := range list {
			if strings.Contains(agent, one[0]) {
				return one[1]
			}
		}
		return ""
	}
	if browser = named(browsers); browser == "" {
		first, _, _ := strings.Cut(agent, "/")
		if len(first) <= 32 && !strings.ContainsFunc(first, func(r rune) bool { return r <= ' ' || r > '~' }) {
			browser = first
		}
	}
	return browser, named(systems)
}
