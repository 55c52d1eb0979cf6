package quiet

import (
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const supported = true

// Read reads what is there; waiting says that nothing is. The error at the end of the stream is
// io.EOF.
func Read(fd uintptr, p []byte) (n int, waiting bool, err error) {
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return 0, true, nil
		case errno != 0:
			return 0, false, errno
		case r == 0 && len(p) > 0:
			return 0, false, io.EOF
		}
		return int(r), false, nil
	}
}

// Write writes as much of p and then q as there is room for. The error is about what is left:
// syscall.EAGAIN if there is no room.
func Write(fd uintptr, p, q []byte) (n int, err error) {
	for {
		r, _, errno := send(fd, p, q)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			return 0, errno
		}
		if int(r) < len(p)+len(q) {
			return int(r), syscall.EAGAIN
		}
		return int(r), nil
	}
}

// send is sendmsg(2), which can be kept from raising SIGPIPE.
func send(fd uintptr, p, q []byte) (r, r2 uintptr, errno syscall.Errno) {
	iov := [2]syscall.Iovec{{Base: unsafe.SliceData(p)}, {Base: unsafe.SliceData(q)}}
	iov[0].SetLen(len(p))
	iov[1].SetLen(len(q))
	msg := syscall.Msghdr{Iov: &iov[0], Iovlen: 2}
	return syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
}

func setLowat(fd uintptr, n int) error {
	v := int32(n)
	_, _, errno := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, uintptr(unsafe.Pointer(&v)), 4, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
