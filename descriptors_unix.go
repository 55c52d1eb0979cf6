//go:build unix

package shadow

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptors is how many file descriptors this process may have.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
