package gate

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A gate is alive once each of its locks is to be had.
func TestAlive(t *testing.T) {
	g := &Gate{hub: &hub{}, views: &views{}}
	g.Alive()
	for _, mu := range []*sync.Mutex{&g.mu, &g.hub.mu, &g.views.mu} {
		var free atomic.Bool
		mu.Lock()
		asked := make(chan bool, 1)
		go func() {
			g.Alive()
			asked <- free.Load()
		}()
		for range 1000 {
			runtime.Gosched() // it has time to be wrong
		}
		free.Store(true)
		mu.Unlock()
		assert.True(t, <-asked, "it is alive, although somebody keeps a lock")
	}
}
