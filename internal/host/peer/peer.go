// Package peer returns the user and the process at the other end of a local socket.
package peer

import (
	"cmp"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Of returns who is at the other end (unix(7), SO_PEERCRED): the process that called listen, for a connection
// that was dialled, or that connected, for one that was accepted.
func Of(conn *net.UnixConn) (unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return unix.Ucred{}, err
	}
	var cred unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = OfDescriptor(int(fd)) })
	return cred, cmp.Or(err, credErr)
}

// OfDescriptor is [Of] for a socket's descriptor.
func OfDescriptor(fd int) (unix.Ucred, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return unix.Ucred{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	return *cred, nil
}

// UID is the user of [Of].
func UID(conn *net.UnixConn) (uint32, error) {
	cred, err := Of(conn)
	return cred.Uid, err
}
