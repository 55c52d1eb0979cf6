package source

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/peer"
)

// dialTime is how long a socket may take to let us in.
const dialTime = 2 * time.Second

// errStranger is a socket with the name of an X server's that is somebody else's.
var errStranger = errors.New("another user may be pretending to be the X server")

// A server is what listens under the two names of a display's socket. A program that
// uses Xlib tries the abstract one first, which anybody may take while the X server
// doesn't listen there, and gives whoever answers the display's cookie.
type server struct{ path, abstract error } // nil: root's or the session's user's

// lookAt looks at whose the sockets of s's display are. It says nothing to them.
func lookAt(s *shadow.Session) (server, error) {
	number, _, _ := strings.Cut(strings.TrimPrefix(s.Display, ":"), ".")
	if _, err := strconv.ParseUint(number, 10, 16); err != nil {
		return server{}, pkg.Errorf("%.40q is not a display of this host", s.Display)
	}
	path := "/tmp/.X11-unix/X" + number
	return server{trust(path, s.UID), trust("@"+path, s.UID)}, nil
}

// trust reports whether root or uid listens at address.
func trust(address string, uid uint32) error {
	conn, err := net.DialTimeout("unix", address, dialTime)
	if err != nil {
		return fmt.Errorf("no X server answers at %s: %w", address, err)
	}
	defer conn.Close()
	owner, err := peer.UID(conn.(*net.UnixConn))
	switch {
	case err != nil:
		return err
	case owner != 0 && owner != uid:
		return fmt.Errorf("the socket %s is uid %d's, and only root's or uid %d's own would be trusted: %w", address, owner, uid, errStranger)
	}
	return nil
}

// absent reports whether err is that nobody listens.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// refusal is why no program that uses Xlib may look for the server, or nil.
func (s server) refusal() error {
	switch {
	case s.path == nil, s.abstract == nil:
		return nil
	case errors.Is(s.abstract, errStranger):
		return &shadow.End{Reason: shadow.DisplayUnreachable, Detail: s.abstract.Error(), Err: s.abstract}
	}
	return &shadow.End{Reason: shadow.DisplayUnreachable, Detail: s.path.Error(), Err: s.path}
}

// confined reports whether a program that is started alone finds no other server than the one that
// was looked at: abstract names belong to a network namespace, so in an empty one there is but the path.
func (s server) confined() bool {
	return s.path == nil // else the abstract name is trusted, and taken for as long as the server lives
}

// unconfined reports whether a program may do without: no stranger has the abstract name.
func (s server) unconfined() error {
	if s.abstract == nil || absent(s.abstract) {
		return nil
	}
	return &shadow.End{Reason: shadow.DisplayUnreachable, Detail: s.abstract.Error(), Err: s.abstract}
}

// noNamespace reports whether a start failed because there may be no new namespace: without
// root, or on a kernel or in a container without them.
func noNamespace(err error) bool {
	for _, e := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSPC, syscall.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
