package signin

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// maxEnded bounds the sessions that are remembered as ended.
const maxEnded = 100_000

// allOf is what stands in the file in place of a session, with the time up to which none is good.
const allOf = "*"

// Ended remembers which sessions were signed out before their time, so that a copy of a cookie is
// worth nothing any more. The zero Ended forgets with the program.
type Ended struct {
	path string
	most int // 0: maxEnded

	mu    sync.Mutex
	all   map[string]time.Time // until when a session would have been good
	floor time.Time            // whatever session would end by then has ended: there was no room to tell
	lines int                  // of the file
	next  int                  // lines with which it is written anew
}

// OpenEnded remembers in the file at path, too.
func OpenEnded(path string, now time.Time) (*Ended, error) {
	e := &Ended{path: path, all: map[string]time.Time{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("signin: who has signed out: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var id string
		var until int64
		if _, err := fmt.Sscan(lines.Text(), &id, &until); err == nil && time.Unix(until, 0).After(now) {
			if id == allOf {
				e.floor = time.Unix(until, 0)
				continue
			}
			e.all[id] = time.Unix(until, 0)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("signin: who has signed out: %w", err)
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

// Covers reports whether so many have signed out that no session which ends by then is good any more: it
// isn't known of each of those whether it was signed out.
func (e *Ended) Covers(expires time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !expires.After(e.floor)
}

// add ends a session, which would have been good until then.
func (e *Ended) add(id string, until, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]time.Time{}
	}
	full := len(e.all) >= cmp.Or(e.most, maxEnded)
	if full {
		e.tidy(now)
	}
	e.all[id] = until
	if e.path == "" {
		return nil
	}
	if full || e.lines >= e.next {
		e.forget(now)
		return e.write()
	}
	f, err := os.OpenFile(e.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("signin: who has signed out: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, id, until.Unix()); err != nil {
		return fmt.Errorf("signin: who has signed out: %w", err)
	}
	e.lines++
	return nil
}

// forget forgets what is over.
func (e *Ended) forget(now time.Time) {
	maps.DeleteFunc(e.all, func(_ string, until time.Time) bool { return !until.After(now) })
}

// tidy makes room: it forgets what is over, and if that isn't enough it ends all the sessions that would be
// over first, in place of a list of some of them.
func (e *Ended) tidy(now time.Time) {
	e.forget(now)
	most := cmp.Or(e.most, maxEnded)
	if len(e.all) < most {
		return
	}
	times := slices.SortedFunc(maps.Values(e.all), time.Time.Compare)
	e.floor = times[most/8]
	e.forget(e.floor)
}

// write writes the file anew, without what is over.
func (e *Ended) write() error {
	var text []byte
	if !e.floor.IsZero() {
		text = fmt.Appendln(text, allOf, e.floor.Unix())
	}
	e.lines, e.next = len(e.all)+1, 2*len(e.all)+1000
	for id, until := range e.all {
		text = fmt.Appendln(text, id, until.Unix())
	}
	return replace(e.path, text, true)
}
