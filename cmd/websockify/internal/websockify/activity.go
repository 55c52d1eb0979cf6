package websockify

import (
	"sync"
	"time"
)

// An activity counts what goes on, and says when nothing has for a while.
type activity struct {
	patience time.Duration // 0: for ever; negative: none
	onIdle   func()

	mu    sync.Mutex
	n     int
	timer *time.Timer // nil unless started
	zero  chan struct{}
}

func newActivity(patience time.Duration, onIdle func()) *activity {
	zero := make(chan struct{})
	close(zero)
	return &activity{patience: patience, onIdle: onIdle, zero: zero}
}

// start begins to wait for idleness.
func (a *activity) start() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.patience == 0 {
		return
	}
	a.timer = time.AfterFunc(a.patience, a.expired)
}

func (a *activity) expired() {
	a.mu.Lock()
	idle := a.n == 0 && a.timer != nil
	a.mu.Unlock()
	if idle {
		a.onIdle()
	}
}

// stop ends the waiting.
func (a *activity) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// enter counts one in, and what it returns counts it out.
func (a *activity) enter() (leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == 0 {
		a.zero = make(chan struct{})
		if a.timer != nil {
			a.timer.Stop()
		}
	}
	a.n++
	return a.leave
}

func (a *activity) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n--
	if a.n > 0 {
		return
	}
	close(a.zero)
	if a.timer != nil {
		a.timer.Reset(a.patience)
	}
}

// whenIdle returns a channel that is closed when nothing goes on.
func (a *activity) whenIdle() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.zero
}
