//go:build unix

package wsproxy

import (
	"io"
	"net"
	"syscall"
)

// rawOf gives access to c's descriptor, if c is a socket and nothing else: so
// that it can be waited for without a buffer. Nil if it isn't.
func rawOf(c net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch c := c.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

// readNow reads what is there. waiting says that nothing is.
func readNow(fd uintptr, p []byte) (n int, waiting bool, err error) {
	for {
		n, err = syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, true, nil
		case err != nil:
			return 0, false, err
		case n == 0:
			return 0, false, io.EOF
		}
		return n, false, nil
	}
}
