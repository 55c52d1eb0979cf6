package xsession

import (
	"sync"
	"time"
)

const (
	// memoryTime is how long the kernel may take to read a process's memory, or to look at a file.
	memoryTime = 500 * time.Millisecond
	// maxHeld is how many reads of one user's may hang before there are no more of them.
	maxHeld = 4
)

// A warden reads what the kernel takes from the memory of processes, their environment and arguments, and
// looks at files where a user says they are. Either may hang for as long as that user likes, whose file
// system is behind the memory (CVE-2018-1120) or the path, or who keeps the memory's lock.
type warden struct {
	mu   sync.Mutex
	held map[uint32]int // reads that hang, by the processes' user
}

// memory is everybody's, for what hangs outlives a Host.
var memory = &warden{held: map[uint32]int{}}

// guarded is what f, which depends on uid, returns. ok is false if that takes longer than limit, or such
// calls have before.
func guarded[T any](w *warden, uid uint32, limit time.Duration, f func() T) (value T, ok bool) {
	w.mu.Lock()
	shut := w.held[uid] >= maxHeld
	w.mu.Unlock()
	if shut || limit <= 0 {
		return value, false
	}
	read := make(chan T, 1)
	go func() { read <- f() }()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case value = <-read:
		return value, true
	case <-late.C:
	}
	w.count(uid, 1)
	go func() {
		<-read
		w.count(uid, -1)
	}()
	return value, false
}

// count notes that n more reads hang.
func (w *warden) count(uid uint32, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[uid] += n; w.held[uid] == 0 {
		delete(w.held, uid)
	}
}
