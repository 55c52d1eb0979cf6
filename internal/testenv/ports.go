//go:build linux

package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports returns the first of n adjacent TCP ports for servers that the test starts later. Nobody
// listens on them, the kernel gives them to nobody who asks for any port, and no other test that
// calls Ports gets them, in whatever process, until this process ends.
func Ports(t testing.TB, n int) int {
	t.Helper()
	const low, high = 12000, 32000 // below the range that the kernel takes any port from
	for range 1000 {
		first := low + rand.IntN(high-low-n)
		if reserve(first, n) {
			return first
		}
	}
	t.Fatalf("there are no %d adjacent ports free", n)
	return 0
}

// reserved keeps the locks open: the collector would close a listener that nobody refers to.
var reserved struct {
	sync.Mutex
	locks []net.Listener
}

// reserve takes n ports for as long as the process lives, by abstract sockets of their names.
func reserve(first, n int) bool {
	var kept []net.Listener
	for port := first; port < first+n; port++ {
		lock, err := net.Listen("unix", fmt.Sprintf("@shadow-test-port-%d", port))
		if err != nil {
			break
		}
		kept = append(kept, lock)
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			break
		}
		_ = ln.Close()
		if port == first+n-1 {
			reserved.Lock()
			defer reserved.Unlock()
			reserved.locks = append(reserved.locks, kept...)
			return true
		}
	}
	for _, lock := range kept {
		_ = lock.Close()
	}
	return false
}
