package main

import (
	"context"
	"os"
	"runtime"

	"vda.internal/shadow"
)

// viewsEach is how many views share a processor.
const viewsEach = 16

// spread sets how many processors Go's scheduler uses: one for each sixteen shadows. With more
// than there is work for, every read that one goroutine hands to another wakes up a thread that
// finds nothing to do, and that is a quarter of what a view costs. The environment's
// GOMAXPROCS is left alone. It returns when ctx ends.
func spread(ctx context.Context, m *shadow.Manager) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	most := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(most)
	for ctx.Err() == nil { // a subscription ends early if it has fallen behind
		events := m.Subscribe(ctx)
		runtime.GOMAXPROCS(processors(len(m.List()), most))
		for range events {
			runtime.GOMAXPROCS(processors(len(m.List()), most))
		}
	}
}

// processors is how many are used for so many shadows, of as many as there are.
func processors(shadows, most int) int { return min(1+shadows/viewsEach, most) }
