package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// congestion is the sysctl of the TCP congestion control, a network
// namespace's own.
const congestion = "/proc/sys/net/ipv4/tcp_congestion_control"

// isolated is set in the environment of the program that isolate starts.
const isolated = "BENCH_ISOLATED"

// isolate starts this program again, with the same arguments, in a network
// namespace that has nothing but a loopback interface, on which TCP uses reno.
// It returns only if it can't.
//
// A machine may be set up for the internet: BBR paces what is sent with timers,
// which on loopback cost six times as much as everything else and hide what
// proxies cost; firewall rules look at each packet. Reno is the one congestion
// control that is everywhere, and on a link that loses nothing it does nothing.
func isolate() error {
	runtime.LockOSThread() // for good: the namespace is the thread's, and goes with it into the new program
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("no network of its own (as root it could be had, or under unshare -rn; -net host does without): %w", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := os.WriteFile(congestion, []byte("reno"), 0); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), isolated+"=1"))
}

// loopbackUp switches the thread's loopback interface on.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, r); err != nil {
		return os.NewSyscallError("ioctl", err)
	}
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	return os.NewSyscallError("ioctl", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r))
}

// congestionControl is what this process's TCP uses.
func congestionControl() string {
	b, err := os.ReadFile(congestion)
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}
