package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// look tells which process is at the other end of c, and why it may not use the API, or
// nil. The kernel tells who it was when it connected (SO_PEERCRED) and which
// groups it was in (SO_PEERGROUPS, unix(7)); so no name service is asked, and
// the rule is the one that the file's mode enforces.
func (l *Listener) look(c *net.UnixConn) (who unix.Ucred, refused error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return unix.Ucred{Uid: nobody}, err
	}
	var cred *unix.Ucred
	var groups []uint32
	controlErr := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
			return
		}
		if l.group {
			groups, err = peerGroups(int(fd))
		}
	})
	if errors.Is(err, unix.ENOPROTOOPT) && controlErr == nil { // Linux before 4.13
		groups, err = processGroups(cred.Pid)
	}
	switch {
	case controlErr != nil:
		return unix.Ucred{Uid: nobody}, controlErr
	case err != nil:
		return unix.Ucred{Uid: nobody}, fmt.Errorf("who is asking can't be told: %w", err)
	case cred.Uid == 0 || cred.Uid == uint32(os.Geteuid()):
		return *cred, nil
	case l.group && (cred.Gid == l.gid || slices.Contains(groups, l.gid)):
		return *cred, nil
	}
	return *cred, fmt.Errorf("uid %d may not use this socket: be root or in the group that control.group names", cred.Uid)
}

// nobody is the uid that is no user's.
const nobody = ^uint32(0)

// processGroups lists the supplementary groups of a process as they are now (proc_pid_status(5)).
// It may have gone since it connected; but that it could connect the file's mode has decided.
func processGroups(pid int32) ([]uint32, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	var groups []uint32
	for line := range strings.Lines(string(status)) {
		list, found := strings.CutPrefix(line, "Groups:")
		if !found {
			continue
		}
		for _, f := range strings.Fields(list) {
			g, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, err
			}
			groups = append(groups, uint32(g))
		}
	}
	return groups, nil
}

// peerGroups lists the supplementary groups of the process that connected.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups)) * 4
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && int(size/4) > len(groups): // size is what it takes
			groups = make([]uint32, size/4)
		default:
			return nil, errno
		}
	}
}
