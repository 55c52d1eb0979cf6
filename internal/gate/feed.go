package gate

import (
	"context"
	"slices"
)

// A feed is what a reader of events hasn't taken yet. Its hub guards it.
type feed struct {
	events  []Happening    // maxFeed at most
	waiting map[string]int // how many they are, by host
	left    map[string]int // how many were left out
	wake    chan struct{}  // a token in it: there is something
	over    bool
}

// put adds an event. Where there is no room, the newest of the host of which most wait is left out: no host has the
// others' share.
func (f *feed) put(e Happening) {
	f.events = append(f.events, e)
	f.waiting[e.Host]++
	if len(f.events) > maxFeed {
		most := e.Host
		for host, n := range f.waiting {
			if n > f.waiting[most] {
				most = host
			}
		}
		for i := len(f.events) - 1; i >= 0; i-- {
			if f.events[i].Host == most {
				f.events = slices.Delete(f.events, i, i+1)
				break
			}
		}
		f.waiting[most]--
		f.left[most]++
	}
	f.poke()
}

func (f *feed) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// subscribe is what happens from now on, until ctx ends or the hub does.
func (h *hub) subscribe(ctx context.Context) *feed {
	f := &feed{waiting: map[string]int{}, left: map[string]int{}, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feeds[f] = struct{}{}
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.end(f)
	})
	return f
}

// end ends a feed; h.mu is held.
func (h *hub) end(f *feed) {
	delete(h.feeds, f)
	f.over = true
	f.poke()
}

// drain is what has happened since the last drain, what was left out, and whether that is all there will be.
func (h *hub) drain(f *feed) (events []Happening, left map[string]int, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	events, left = f.events, f.left
	f.events, f.waiting, f.left = nil, map[string]int{}, map[string]int{}
	return events, left, f.over
}
