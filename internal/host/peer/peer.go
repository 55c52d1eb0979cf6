// Package peer tells whose the other end of a local socket is.
package peer

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// UID is the user at the other end: who called listen, for a connection that was dialled, or
// who connected, for one that was accepted (unix(7), SO_PEERCRED).
func UID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, fmt.Errorf("SO_PEERCRED: %w", credErr)
	}
	return cred.Uid, nil
}
