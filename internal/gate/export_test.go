package gate

import (
	"time"

	"vda.internal/shadow/internal/strangers"
)

// MaxStreamsOne is how many streams one person may have.
const MaxStreamsOne = maxStreamsOne

// Tire has a gate that serves nobody yet let people ask and call so often, and never more.
func (g *Gate) Tire(often int) {
	for _, q := range []*strangers.Quota{&g.asks, &g.calls, &g.looks, &g.stops} {
		q.Size, q.Every = often, 1000*time.Hour
	}
}

// MaxUnderwayOne is how many requests of one person's that have hosts asked may be under way.
const MaxUnderwayOne = maxUnderwayOne

// Stopping is how many stops are under way of what a gate doesn't carry.
func (g *Gate) Stopping() int { return g.stopping.count() }

// Regulars is how many connections somebody with a password has.
func (g *Gate) Regulars(name string) int {
	g.regulars.mu.Lock()
	defer g.regulars.mu.Unlock()
	return len(g.regulars.of["password\x00"+name])
}

// MaxAskedOne is how many questions may be open on one host.
const MaxAskedOne = maxAskedOne

// HoldReading takes all the looks at the activity that somebody with a password may have.
func (g *Gate) HoldReading(name string) (free func()) {
	var all []func()
	for range maxReadingOne {
		if leave, ok := g.reading.take("password\x00"+name, func(error) {}, false); ok {
			all = append(all, leave)
		}
	}
	return func() {
		for _, leave := range all {
			leave()
		}
	}
}

// LookTime is how long a host may take to list its sessions.
const LookTime = lookTime

// HoldLists takes all the whole lists that somebody with a password may have under way.
func (g *Gate) HoldLists(name string) (free func()) {
	var all []func()
	for range maxListingOne {
		if leave, ok := g.listing.take("password\x00" + name); ok {
			all = append(all, leave)
		}
	}
	return func() {
		for _, leave := range all {
			leave()
		}
	}
}

// SayOver notes a view's end, of which the host knows nothing.
func (g *Gate) SayOver(id string) {
	g.views.mu.Lock()
	defer g.views.mu.Unlock()
	for _, v := range g.views.of(id, "") {
		v.over = true
	}
}

// LimitDownloads has files end after so many events.
func (g *Gate) LimitDownloads(events int) { g.mostDownload = events }

// LimitSearches has a page of the activity be searched for so long.
func (g *Gate) LimitSearches(d time.Duration) { g.longestSearch = d }

// MaxRegular is how many connections one person may have.
const MaxRegular = maxRegular

// EndHolds is what the patrol does now and then.
func (g *Gate) EndHolds() { g.endHolds() }
