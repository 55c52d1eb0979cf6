package host

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"vda.internal/shadow/internal/fleet/dial"
)

// A notice tells the log how the host is doing, each state once.
type notice struct {
	dial.Notice

	mu   sync.Mutex
	left bool // sessions were left out
}

// unsaid notes that a presence can't be said; while the bus is away that is no news.
func (n *notice) unsaid(err error) {
	if n.Up() && !errors.Is(err, context.Canceled) {
		n.Wrong(fmt.Errorf("cannot announce this host to the fleet: %w", err))
	}
}

// crowded notes how many sessions a presence leaves out.
func (n *notice) crowded(left int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if left > 0 && !n.left {
		n.Logger.Warn().Int("left_out", left).Msg("there are more sessions than the fleet can receive: each user's first ones are sent before others' further ones")
	}
	n.left = left > 0
}
