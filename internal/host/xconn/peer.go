package xconn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/peer"
)

// open connects to the X server of a display: at the socket under /tmp, or at the
// abstract one, which X servers listen on as well and which is still there after somebody
// has cleaned up /tmp.
//
// Anybody may create a socket under either name while no X server does. So a server
// counts only if it belongs to root or to the user of this process, who is the session's;
// any other user's could answer the question in the place of the session's user.
func open(number int, deadline time.Time) (net.Conn, error) {
	path := "/tmp/.X11-unix/X" + strconv.Itoa(number)
	conn, err := openSocket(path, deadline)
	if err == nil {
		return conn, nil
	}
	if conn, abstractErr := openSocket("@"+path, deadline); abstractErr == nil {
		return conn, nil
	} else if errors.Is(err, os.ErrNotExist) && !errors.Is(abstractErr, unix.ECONNREFUSED) {
		err = abstractErr // the one that is there says more
	}
	return nil, err
}

// openSocket connects to one socket and checks whose it is.
func openSocket(address string, deadline time.Time) (net.Conn, error) {
	d := net.Dialer{Deadline: deadline}
	conn, err := d.Dial("unix", address)
	if err != nil {
		return nil, fmt.Errorf("no X server answers at %s: %w", address, cause(err))
	}
	owner, err := peer.UID(conn.(*net.UnixConn))
	if err == nil {
		err = trust(address, owner, uint32(os.Getuid()))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// trust says whether an X server of owner may show a session of the user own.
func trust(address string, owner, own uint32) error {
	if owner == 0 || owner == own {
		return nil
	}
	return &StrangerError{Address: address, Owner: owner, Own: own}
}
