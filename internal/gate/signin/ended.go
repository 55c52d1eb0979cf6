package signin

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxEnded bounds the sessions that are remembered as ended.
	maxEnded = 100_000
	// maxEndedOne bounds those of one person: who signs out over and over takes no room from others.
	maxEndedOne = 1000
)

// What stands in the file in place of a session.
const (
	// allOf: with the time up to which none is good, whosever or, with a person, that one's.
	allOf = "*"
	// othersOf: how long the line counts, a person, when all of that one's sessions were ended that had begun by then, and the one
	// that goes on.
	othersOf = "others"
)

// Ended remembers which sessions were signed out before their time, so that a copy of a cookie is
// worth nothing any more. The zero Ended forgets with the program.
type Ended struct {
	path string
	most int // 0: maxEnded

	mu     sync.Mutex
	all    map[string]ending    // by session
	of     map[string]int       // how many there are of a person
	floor  time.Time            // whatever session would end by then has ended: there was no room to tell
	floors map[string]time.Time // so it is with sessions of a person
	cuts   map[string]aCut      // by person
	lines  int                  // of the file
	next   int                  // lines with which it is written anew
}

// An ending is a session that was ended.
type ending struct {
	owner string    // see ownerKey; empty: not known
	until time.Time // when it would have been over anyway
}

// aCut is that all sessions of a person were ended that had begun by then, but one.
type aCut struct {
	before time.Time // to the second
	but    string
	until  time.Time // when those would all have been over anyway
}

// ownerKey is a person, see [Session.Owner], as one word.
func ownerKey(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return hex.EncodeToString(sum[:16])
}

// OpenEnded remembers in the file at path, too.
func OpenEnded(path string, now time.Time) (*Ended, error) {
	e := &Ended{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("who has signed out: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		e.read(lines.Text(), now)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("who has signed out: %w", err)
	}
	return e, e.write()
}

// Has reports whether a session was ended.
func (e *Ended) Has(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ended := e.all[id]
	return ended
}

// read takes a line of the file in: a session, when it would be over, and whose it is, which isn't in old files.
func (e *Ended) read(line string, now time.Time) {
	words := append(strings.Fields(line), "", "", "", "", "")
	seconds, err := strconv.ParseInt(words[1], 10, 64)
	until, owner := time.Unix(seconds, 0), words[2]
	switch {
	case err != nil || !until.After(now):
	case words[0] == othersOf:
		if before, err := strconv.ParseInt(words[3], 10, 64); err == nil {
			e.putCut(owner, aCut{time.Unix(before, 0), words[4], until})
		}
	case words[0] != allOf:
		e.put(words[0], ending{owner, until})
	case owner == "":
		e.floor = until
	default:
		e.raise(owner, until)
	}
}

// put notes an ending. e.mu is held, but by who makes e.
func (e *Ended) put(id string, one ending) {
	if e.all == nil {
		e.all, e.of = map[string]ending{}, map[string]int{}
	}
	if _, there := e.all[id]; !there {
		e.of[one.owner]++
	}
	e.all[id] = one
}

// raise notes that no session of a person's is good that ends by then. e.mu is held, but by who makes e.
func (e *Ended) raise(owner string, until time.Time) {
	if e.floors == nil {
		e.floors = map[string]time.Time{}
	}
	e.floors[owner] = until
}

// Covers reports whether so many have signed out, or one so often, that no session of that owner, see [Session.Owner],
// which ends by then is good any more: it isn't known of each of those whether it was signed out.
func (e *Ended) Covers(owner string, expires time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !expires.After(e.floor) {
		return true
	}
	if len(e.floors) == 0 {
		return false
	}
	floor, ok := e.floors[ownerKey(owner)]
	return ok && !expires.After(floor)
}

// putCut notes a cut. One that is known already and reaches further stays. e.mu is held, but by who makes e.
func (e *Ended) putCut(owner string, c aCut) bool {
	if known, ok := e.cuts[owner]; ok && !c.before.After(known.before) {
		return false
	}
	if e.cuts == nil {
		e.cuts = map[string]aCut{}
	}
	e.cuts[owner] = c
	return true
}

// cut ends all sessions of a person, see [ownerKey], that have begun by then, but one.
func (e *Ended) cut(owner, but string, before, until, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := aCut{before.Truncate(time.Second), but, until}
	if !e.putCut(owner, c) || e.path == "" {
		return nil
	}
	return e.append(now, false, othersOf, c.until.Unix(), owner, c.before.Unix(), c.but)
}

// Cuts reports whether a session of that owner, see [Session.Owner], which has begun then was ended with all others of
// that one's.
func (e *Ended) Cuts(owner, id string, since time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.cuts) == 0 {
		return false
	}
	c, ok := e.cuts[ownerKey(owner)]
	return ok && c.but != id && !since.After(c.before)
}

// after is when a session of that owner begins that begins now: after what has ended all of that one's, also if the gate where
// that was has a clock that is ahead.
func (e *Ended) after(owner string, now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.cuts[ownerKey(owner)]; ok && !now.After(c.before) {
		return c.before.Add(time.Second).UTC()
	}
	return now
}

// add ends a session of owner's, which would have been good until then.
func (e *Ended) add(id, owner string, until, now time.Time) error {
	return e.addOf(id, ownerKey(owner), until, now)
}

// addOf is add for an owner's key.
func (e *Ended) addOf(id, owner string, until, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	one := ending{owner, until}
	full := len(e.all) >= cmp.Or(e.most, maxEnded)
	if full {
		e.tidy(now)
	}
	if e.of[one.owner] >= maxEndedOne {
		e.tidyOne(one.owner, now)
		full = true
	}
	e.put(id, one)
	if e.path == "" {
		return nil
	}
	return e.append(now, full, id, until.Unix(), one.owner)
}

// append adds a line to the file, or writes the file anew if that is due. e.mu is held.
func (e *Ended) append(now time.Time, anew bool, words ...any) error {
	if anew || e.lines >= e.next {
		e.forget(now)
		return e.write()
	}
	f, err := os.OpenFile(e.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("who has signed out: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, words...); err != nil {
		return fmt.Errorf("who has signed out: %w", err)
	}
	e.lines++
	return nil
}

// forget forgets what is over.
func (e *Ended) forget(now time.Time) {
	e.drop(func(one ending) bool { return !one.until.After(now) })
	maps.DeleteFunc(e.floors, func(_ string, until time.Time) bool { return !until.After(now) })
	maps.DeleteFunc(e.cuts, func(_ string, c aCut) bool { return !c.until.After(now) })
}

// drop forgets those endings.
func (e *Ended) drop(which func(ending) bool) {
	for id, one := range e.all {
		if !which(one) {
			continue
		}
		delete(e.all, id)
		if e.of[one.owner]--; e.of[one.owner] == 0 {
			delete(e.of, one.owner)
		}
	}
}

// tidy makes room: it forgets what is over, and if that isn't enough it ends all the sessions that would be
// over first, in place of a list of some of them.
func (e *Ended) tidy(now time.Time) {
	e.forget(now)
	most := cmp.Or(e.most, maxEnded)
	if len(e.all) < most {
		return
	}
	var times []time.Time
	for _, one := range e.all {
		times = append(times, one.until)
	}
	slices.SortFunc(times, time.Time.Compare)
	e.floor = times[most/8]
	e.forget(e.floor)
}

// tidyOne is tidy for the sessions of one person.
func (e *Ended) tidyOne(owner string, now time.Time) {
	e.forget(now)
	if e.of[owner] < maxEndedOne {
		return
	}
	var times []time.Time
	for _, one := range e.all {
		if one.owner == owner {
			times = append(times, one.until)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	floor := times[maxEndedOne/8]
	e.raise(owner, floor)
	e.drop(func(one ending) bool { return one.owner == owner && !one.until.After(floor) })
}

// write writes the file anew, without what is over.
func (e *Ended) write() error {
	var text []byte
	if !e.floor.IsZero() {
		text = fmt.Appendln(text, allOf, e.floor.Unix())
	}
	for owner, floor := range e.floors {
		text = fmt.Appendln(text, allOf, floor.Unix(), owner)
	}
	for owner, c := range e.cuts {
		text = fmt.Appendln(text, othersOf, c.until.Unix(), owner, c.before.Unix(), c.but)
	}
	e.lines, e.next = len(e.all)+len(e.floors)+len(e.cuts)+1, 2*len(e.all)+1000
	for id, one := range e.all {
		text = fmt.Appendln(text, id, one.until.Unix(), one.owner)
	}
	return replace(e.path, text, true)
}
