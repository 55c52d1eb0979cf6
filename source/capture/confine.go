package capture

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// maxFiles is how many descriptors the process may have from now on. It has the
// viewer's, the X server's, the standard ones and the runtime's.
const maxFiles = 32

// confine gives up what reading the screen doesn't need, once everything is set up: files,
// sockets, programs and other processes. Whoever takes over this process has the viewer's
// connection and the X server's. What the kernel lacks is left out; missing are
// sentences about that.
func confine() (missing []string) {
	lack := func(what string, err error) {
		if err != nil {
			missing = append(missing, fmt.Sprintf("not confined by %s: %v", what, err))
		}
	}
	lack("PR_SET_NO_NEW_PRIVS", onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1))
	lack("PR_SET_DUMPABLE", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	lack("RLIMIT_CORE", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
	lack("RLIMIT_NOFILE", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: maxFiles, Max: maxFiles}))
	lack("capset", dropCapabilities())
	lack("landlock", restrictFiles())
	lack("seccomp", filterSystemCalls())
	return missing
}

// onAllThreads makes a system call on each thread of this process: what it sets is a thread's.
func onAllThreads(call, a, b uintptr) error {
	if _, _, errno := psx.Syscall6(call, a, b, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// noCapabilities is what capset is given; it has a place that never moves.
var noCapabilities = struct {
	head unix.CapUserHeader
	data [2]unix.CapUserData
}{head: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}}

// dropCapabilities gives up root's rights, which there are in root's own session.
func dropCapabilities() error {
	return onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&noCapabilities.head)), uintptr(unsafe.Pointer(&noCapabilities.data)))
}

// restrictFiles takes all files away, and with a kernel that can do so, TCP and
// the abstract sockets.
func restrictFiles() error {
	if version, err := ll.LandlockGetABIVersion(); err != nil || version < 1 {
		if err == nil {
			err = errors.ErrUnsupported
		}
		return err
	}
	return landlock.V6.BestEffort().Restrict()
}

// allowed are the system calls of a Go program that reads, writes, waits and takes
// memory.
var allowed = []string{
	"read", "write", "readv", "writev", "close", "fstat", "shutdown",
	"epoll_create1", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "poll", "ppoll", "select", "pselect6", "pipe2", "eventfd2",
	"munmap", "mremap", "madvise", "mincore", "brk", "shmdt",
	"futex", "futex_waitv", "sched_yield", "sched_getaffinity", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
	"gettimeofday", "time", "timer_create", "timer_settime", "timer_delete", "setitimer", "getitimer",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "rt_sigtimedwait", "restart_syscall",
	"set_robust_list", "set_tid_address", "rseq", "membarrier", "getrandom", "getrusage", "getpid", "gettid", "getuid", "geteuid",
	"getgid", "getegid", "getppid", "exit", "exit_group", "uname", "getsockopt", "getsockname", "getpeername", "setsockopt",
}

// conditional are those that are allowed in one way only. The Go runtime signals its own threads;
// the banner and the question, which are processes of the same user, are out of reach.
var conditional = []seccomp.NameWithConditions{
	{Name: "tgkill", Conditions: []seccomp.Condition{{Argument: 0, Operation: seccomp.Equal, Value: uint64(os.Getpid())}}},
	{Name: "clone", Conditions: []seccomp.Condition{{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD}}},
	{Name: "mmap", Conditions: []seccomp.Condition{{Argument: 2, Operation: seccomp.BitsNotSet, Value: unix.PROT_EXEC}}},
	{Name: "mprotect", Conditions: []seccomp.Condition{{Argument: 2, Operation: seccomp.BitsNotSet, Value: unix.PROT_EXEC}}},
	{Name: "fcntl", Conditions: []seccomp.Condition{{Argument: 1, Operation: seccomp.Equal, Value: unix.F_GETFL}}},
	{Name: "fcntl", Conditions: []seccomp.Condition{{Argument: 1, Operation: seccomp.Equal, Value: unix.F_SETFL}}},
	{Name: "fcntl", Conditions: []seccomp.Condition{{Argument: 1, Operation: seccomp.Equal, Value: unix.F_GETFD}}},
}

// filterSystemCalls leaves this process the system calls above; any other fails.
func filterSystemCalls() error {
	info, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	group := seccomp.SyscallGroup{Action: seccomp.ActionAllow}
	for _, name := range allowed {
		if _, ok := info.SyscallNames[name]; ok { // not every architecture has all
			group.Names = append(group.Names, name)
		}
	}
	for _, c := range conditional {
		if _, ok := info.SyscallNames[c.Name]; ok {
			group.NamesWithCondtions = append(group.NamesWithCondtions, c)
		}
	}
	groups := []seccomp.SyscallGroup{group}
	if _, ok := info.SyscallNames["clone3"]; ok {
		// The C library, which programs with cgo have, makes threads with clone if the kernel has no clone3.
		groups = append(groups, seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}})
	}
	err = seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: groups},
	})
	if errors.Is(err, syscall.ENOSYS) {
		return syscall.ENOSYS // of a kernel before 3.17
	}
	return err
}
