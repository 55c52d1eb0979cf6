package strangers

import (
	"sync"
	"time"
)

// maxShares is how many of whoever has used a Quota are remembered.
const maxShares = 4096

// shareSample is how many of them are looked at to find one that may be forgotten.
const shareSample = 64

// A Quota bounds how often each of many does something, whoever else does: Size times at once, and once more
// after each Every. Its fields must not be changed once it is in use. It is safe for concurrent use.
type Quota struct {
	Size  int
	Every time.Duration

	mu  sync.Mutex
	all map[string]*share
}

// A share is what one has used of a Quota.
type share struct {
	used float64
	at   time.Time
	left int // refused since the last that wasn't
}

// level is how much is used now.
func (s *share) level(every time.Duration, now time.Time) float64 {
	return max(0, s.used-now.Sub(s.at).Seconds()/every.Seconds())
}

// Take uses one of key's. wait is how long there is none; with one, left is how many key was refused before it.
func (q *Quota) Take(key string, now time.Time) (left int, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.all[key]
	if s == nil {
		q.makeRoom(now)
		s = new(share)
		q.all[key] = s
	}
	level := s.level(q.Every, now)
	if over := level + 1 - float64(q.Size); over > 0 {
		s.left++
		return 0, time.Duration(over * float64(q.Every))
	}
	left = s.left
	*s = share{used: level + 1, at: now}
	return left, 0
}

// GiveBack takes back one Take of key's.
func (q *Quota) GiveBack(key string, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.all[key]; s != nil {
		s.used, s.at = max(0, s.level(q.Every, now)-1), now
	}
}

// makeRoom lets another be remembered: of some, as the map's order has them, those go that have used nothing, or the
// one that has used least. q.mu is held.
func (q *Quota) makeRoom(now time.Time) {
	if q.all == nil {
		q.all = map[string]*share{}
	}
	if len(q.all) < maxShares {
		return
	}
	least, lowest, seen := "", float64(q.Size)+1, 0
	for key, s := range q.all {
		level := s.level(q.Every, now)
		if level == 0 && s.left == 0 {
			delete(q.all, key)
		} else if level < lowest {
			least, lowest = key, level
		}
		if seen++; seen >= shareSample {
			break
		}
	}
	if len(q.all) >= maxShares {
		delete(q.all, least)
	}
}
