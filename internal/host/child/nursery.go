//go:build linux

package child

import (
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A nursery is a thread that starts children. The kernel sends the death signal
// when the thread that has started a child ends, not when the process does; so
// the thread stays for as long as one of its children lives.
type nursery struct {
	confined bool // what it starts can't gain rights

	mu    sync.Mutex
	alive int // children
	jobs  chan func()
}

var confined, free = &nursery{confined: true}, &nursery{}

// nest returns the nursery for a child.
func nest(noNewPrivs bool) *nursery {
	if noNewPrivs {
		return confined
	}
	return free
}

// do runs f on the thread and counts a child, which release takes off.
func (n *nursery) do(f func() error) error {
	n.mu.Lock()
	if n.alive == 0 {
		n.jobs = make(chan func())
		go n.run(n.jobs)
	}
	n.alive++
	jobs := n.jobs
	n.mu.Unlock()
	result := make(chan error, 1)
	jobs <- func() { result <- f() }
	return <-result
}

// release counts a child off. The thread ends with the last one.
func (n *nursery) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.alive--; n.alive == 0 {
		close(n.jobs)
	}
}

// run is the thread. Its children inherit what is set for it; it never serves
// another goroutine, and ends with this one.
func (n *nursery) run(jobs <-chan func()) {
	runtime.LockOSThread()
	if n.confined {
		// It can't fail on Linux 3.5 or later, and the child checks it.
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	for job := range jobs {
		job()
	}
}

// procAttr makes a child the leader of a session and a process group, and lets
// it die with its nursery. Nothing in it may wait for anybody between fork and exec.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
