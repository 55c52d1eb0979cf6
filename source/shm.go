package source

import "golang.org/x/sys/unix"

// x11vncSegments is more than the segments of shared memory that x11vnc takes for one display.
const x11vncSegments = 64

// sharedMemory reports whether a program could have so many segments of System V shared memory
// now. There are few on a host, and what others leave behind stays.
func sharedMemory(segments int) bool {
	var ids []int
	defer func() {
		for _, id := range ids {
			_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		}
	}()
	for range segments {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
		if err != nil {
			return false
		}
		ids = append(ids, id)
	}
	return true
}
