package gate

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/signin"
)

const (
	maxReading    = 8 // looks at the activity: each has a part of it in memory
	maxReadingOne = 2
	readTime      = 3 * time.Second // for which somebody waits for a place
	longReading   = time.Minute     // after which a look goes if others wait, whoever else has one

	// searchTime is how long a page of the activity is searched for before what was found is the answer, with where to go on.
	searchTime = 5 * time.Second
)

// errCrowded is the cause with which a look at the activity ends that had to make room.
var errCrowded = errors.New("others wait to read the activity")

// A reader is a look at the activity.
type reader struct {
	person string
	since  time.Time
	end    context.CancelCauseFunc
}

// readers are all looks at the activity, the oldest first. The zero value is ready.
type readers struct {
	mu  sync.Mutex
	all []*reader
}

// take reserves a place; end is called if somebody else is to have it. leave gives it back. Without force somebody has a
// place only if one is free; with it, also the oldest of whoever has most, if that is more than the newcomer would have, or
// has been there for long.
func (q *readers) take(person string, end context.CancelCauseFunc, force bool) (leave func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	has := map[string]int{}
	for _, r := range q.all {
		has[r.person]++
	}
	if has[person] >= maxReadingOne {
		return nil, false
	}
	if len(q.all) >= maxReading {
		loser := q.all[0]
		for _, r := range q.all {
			if has[r.person] > has[loser.person] {
				loser = r
			}
		}
		if !force || has[loser.person] <= has[person]+1 && time.Since(loser.since) < longReading {
			return nil, false
		}
		q.forget(loser)
		loser.end(errCrowded)
	}
	mine := &reader{person, time.Now(), end}
	q.all = append(q.all, mine)
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.forget(mine)
	}, true
}

// forget takes a look off the list; q.mu is held.
func (q *readers) forget(r *reader) {
	q.all = slices.DeleteFunc(q.all, func(one *reader) bool { return one == r })
}

// read reserves a look at the activity, which ends with the session. release has to be called if there is
// no problem.
func (g *Gate) read(r *http.Request, s *signin.Session) (_ context.Context, release func(), _ *api.Problem) {
	ctx, cancel := context.WithCancelCause(r.Context())
	leave, ok := g.reading.take(s.Owner(), cancel, false)
	for until := time.Now().Add(readTime); !ok && time.Now().Before(until) && r.Context().Err() == nil; {
		pause(r.Context(), 50*time.Millisecond)
		leave, ok = g.reading.take(s.Owner(), cancel, false)
	}
	if !ok && r.Context().Err() == nil {
		leave, ok = g.reading.take(s.Owner(), cancel, true)
	}
	if !ok {
		cancel(nil)
		return nil, nil, tooMany(5*time.Second, "the activity is being read too often already")
	}
	ctx, free := g.hold(ctx, s)
	return ctx, func() { free(); leave(); cancel(nil) }, nil
}
