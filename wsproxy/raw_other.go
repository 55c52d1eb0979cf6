//go:build !unix

package wsproxy

import (
	"net"
	"syscall"
)

// rawOf is nil: every connection is read with a buffer at hand.
func rawOf(net.Conn) syscall.RawConn { return nil }

func readNow(uintptr, []byte) (n int, waiting bool, err error) { panic("unreachable") }
