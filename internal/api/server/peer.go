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
	"unsafe"

	"golang.org/x/sys/unix"

	socket "vda.internal/shadow/internal/host/peer"
)

// look returns which process is at the other end of c; the error says why it may not use the API.
// The kernel remembers who it was when it connected (SO_PEERCRED) and which groups it was in
// (SO_PEERGROUPS, unix(7)); so no name service is asked, and the rule is the one that the file's
// mode enforces.
func (l *Listener) look(c *net.UnixConn) (who unix.Ucred, err error) {
	who, err = socket.Of(c)
	switch {
	case err != nil:
		return unix.Ucred{Uid: nobody}, fmt.Errorf("cannot read peer credentials: %w", err)
	case who.Uid == 0 || who.Uid == uint32(os.Geteuid()), l.group && who.Gid == l.gid:
		return who, nil
	}
	member := false // its groups are read only if they matter: that may take a descriptor, and there may be none
	if l.group {
		if member, err = l.isMember(c, who.Pid); err != nil {
			return who, fmt.Errorf("cannot read the groups of uid %d: %w", who.Uid, err)
		}
	}
	if !member {
		return who, fmt.Errorf("uid %d may not use this socket: be root or in the group that control.group names", who.Uid)
	}
	return who, nil
}

// isMember reports whether l's group is one of the supplementary groups of a connection's other end.
func (l *Listener) isMember(c *net.UnixConn, pid int32) (bool, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	var groups []uint32
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
