//go:build linux

// Package kernel says what this host's kernel lacks of what came after Linux 3.10, the
// oldest that is supported, and what follows from it. Nothing stops working without.
package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A Lack is something that the kernel hasn't got, or may not be used here.
type Lack struct {
	Name    string // "pidfd"
	Since   string // the Linux that has it, "5.3"
	Follows string // what follows: the end of a sentence, "a traced child's death is noticed late"
	Err     error  // the kernel's
}

// String is the lack as a sentence.
func (l Lack) String() string {
	return fmt.Sprintf("without %s (Linux %s; here: %v) %s", l.Name, l.Since, l.Err, l.Follows)
}

// features are what is looked at; the last one Linux 3.10 has, too, but a container may not. try must have no effect.
var features = []struct {
	Lack
	try func() error
}{
	{Lack{Name: "pidfd_open", Since: "5.3", Follows: "the death of a child that its user traces is noticed only when it is killed or let go"}, func() error {
		fd, err := unix.PidfdOpen(unix.Getpid(), 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}},
	{Lack{Name: "SO_PEERGROUPS", Since: "4.13", Follows: "the groups of who asks over the control socket are read a moment after it has connected"}, func() error {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fds[0])
		defer unix.Close(fds[1])
		if _, err = unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PEERGROUPS); errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.ENOSYS) {
			return err
		}
		return nil // that a number has no room for the groups is fine
	}},
	{Lack{Name: "memfd_create", Since: "3.17", Follows: "the screen is read through System V shared memory, and x11vnc is given all of the user's cookies"}, func() error {
		fd, err := unix.MemfdCreate("look", unix.MFD_CLOEXEC)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}},
	{Lack{Name: "seccomp", Since: "3.17", Follows: "the process that reads a screen isn't confined to the system calls it needs"}, func() error {
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, 0)
		if errno == unix.ENOSYS {
			return errno
		}
		return nil // EFAULT or EINVAL: it is there
	}},
	{Lack{Name: "landlock", Since: "5.13", Follows: "the process that reads a screen isn't kept from its user's files"}, func() error {
		_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */)
		if errno != 0 {
			return errno
		}
		return nil
	}},
	{Lack{Name: "network namespaces", Since: "2.6.24", Follows: "x11vnc, where it is used, looks for the X server under its abstract name too, whose owner is known only for the moment before it starts"}, namespaces},
}

// namespaces is why this process, if it is root, can't start a program in a network namespace of its own, or nil.
// Whoever isn't root starts none.
func namespaces() error {
	if _, err := os.Stat("/proc/self/ns/net"); errors.Is(err, fs.ErrNotExist) {
		return unix.ENOSYS
	}
	if most, err := os.ReadFile("/proc/sys/user/max_net_namespaces"); err == nil && strings.TrimSpace(string(most)) == "0" {
		return unix.ENOSPC
	}
	if os.Geteuid() != 0 {
		return nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return unix.EPERM
	}
	return nil
}

// Lacks lists what this kernel lacks.
func Lacks() (lacks []Lack) {
	for _, f := range features {
		if err := f.try(); err != nil {
			l := f.Lack
			l.Err = err
			lacks = append(lacks, l)
		}
	}
	return lacks
}

// Release is the kernel's release, "3.10.0-1160.el7.x86_64".
func Release() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}
