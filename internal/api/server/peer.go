package server

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	switch err = cmp.Or(controlErr, err); {
	case err != nil:
		return unix.Ucred{Uid: nobody}, fmt.Errorf("who is asking can't be told: %w", err)
	case cred.Uid == 0 || cred.Uid == uint32(os.Geteuid()), l.group && cred.Gid == l.gid:
		return *cred, nil
	}
	member := false // its groups are read only if they matter: that may take a descriptor, and there may be none
	if l.group {
		if member, err = l.isMember(raw, cred.Pid); err != nil {
			return *cred, fmt.Errorf("which groups uid %d is in can't be told: %w", cred.Uid, err)
		}
	}
	if !member {
		return *cred, fmt.Errorf("uid %d may not use this socket: be root or in the group that control.group names", cred.Uid)
	}
	return *cred, nil
}

// isMember reports whether l's group is one of the supplementary groups of a connection's other end.
func (l *Listener) isMember(raw syscall.RawConn, pid int32) (bool, error) {
	var groups []uint32
	var err error
	controlErr := raw.Control(func(fd uintptr) { groups, err = readPeerGroups(int(fd)) })
	if errors.Is(err, unix.ENOPROTOOPT) { // Linux before 4.13
		groups, err = processGroups(pid)
	}
	return slices.Contains(groups, l.gid), cmp.Or(controlErr, err)
}

// readPeerGroups is peerGroups, but in tests.
var readPeerGroups = peerGroups

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
