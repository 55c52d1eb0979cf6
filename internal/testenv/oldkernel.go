//go:build linux

package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// oldVariable is set in a test binary that OldKernel runs.
const oldVariable = "SHADOW_TEST_OLD_KERNEL"

// newer are the system calls that Linux 3.10, RHEL 7's, hasn't got and that this project, the Go
// runtime, the C library or a program of a desktop might use. Not among them is rseq: the C library of a
// test binary has it already, and ends the program if it is gone.
var newer = []string{
	"sched_setattr", "sched_getattr", "renameat2", "seccomp", "getrandom", "memfd_create", "bpf", "execveat", "userfaultfd",
	"membarrier", "mlock2", "copy_file_range", "preadv2", "pwritev2", "statx", "io_pgetevents",
	"pidfd_send_signal", "io_uring_setup", "io_uring_enter", "io_uring_register", "open_tree", "move_mount", "fsopen", "fspick",
	"pidfd_open", "clone3", "close_range", "openat2", "pidfd_getfd", "faccessat2", "process_madvise", "epoll_pwait2",
	"mount_setattr", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "memfd_secret",
	"process_mrelease", "futex_waitv", "set_mempolicy_home_node", "cachestat", "fchmodat2", "map_shadow_stack",
	"futex_wake", "futex_wait", "futex_requeue", "statmount", "listmount", "mseal",
}

// peerGroups is an option of sockets since Linux 4.13.
var peerGroups = seccomp.SyscallGroup{
	Action: seccomp.ActionErrno | seccomp.Action(unix.ENOPROTOOPT),
	NamesWithCondtions: []seccomp.NameWithConditions{
		{Name: "getsockopt", Conditions: []seccomp.Condition{{Argument: 2, Operation: seccomp.Equal, Value: unix.SO_PEERGROUPS}}},
	},
}

// A test binary that OldKernel runs gives the newer system calls up before its tests run.
func init() {
	if os.Getenv(oldVariable) == "" {
		return
	}
	info, err := arch.GetInfo("")
	if err != nil {
		panic(err)
	}
	group := seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)}
	for _, name := range newer {
		if _, ok := info.SyscallNames[name]; ok {
			group.Names = append(group.Names, name)
		}
	}
	if err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group, peerGroups}},
	}); err != nil {
		panic(fmt.Sprintf("no filter of system calls: %v", err))
	}
	old = true
	_ = os.Unsetenv(oldVariable) // what this process starts has the filter already
}

var old bool // the filter is there

// OldKernel runs those tests of this test binary that match run, as go test -run has it, once
// more, without the system calls that came after Linux 3.10: they are answered with ENOSYS, also
// for the programs that the tests start. It fails t if one fails, all are skipped, or they aren't
// through within limit.
func OldKernel(t *testing.T, run string, limit time.Duration) {
	t.Helper()
	if old {
		t.SkipNow() // it is one of them
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run="+run, "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), oldVariable+"=1")
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	out, err := cmd.CombinedOutput()
	if !timer.Stop() {
		t.Fatalf("the tests hang without new system calls after %v:\n%s", limit, out)
	}
	if err != nil {
		t.Fatalf("the tests fail without new system calls: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS") {
		Lack(t, "no test ran without new system calls:\n%s", out)
	}
}
