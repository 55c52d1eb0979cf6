package capture

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

const (
	confinedArg = "__confined"
	seccompArg  = "by-seccomp" // alone, as on a kernel without landlock
)

// beConfined is a process that tries what a capture that was taken over would try.
func beConfined() {
	if os.Args[2] == seccompArg {
		if err := filterSystemCalls(); err != nil {
			fmt.Println("missing:", err)
		}
	} else {
		for _, missing := range confine() {
			fmt.Println("missing:", missing)
		}
	}
	tried := func(what string, err error) { fmt.Printf("%s: %v\n", what, err) }
	_, err := os.Open("/etc/passwd")
	tried("open", err)
	_, err = os.Create("/tmp/capture-was-here")
	tried("create", err)
	_, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	tried("socket", err)
	_, err = net.Dial("tcp", "127.0.0.1:1")
	tried("dial", err)
	tried("exec", syscall.Exec("/bin/true", []string{"true"}, nil))
	tried("fork", exec.Command("/bin/true").Run())
	tried("kill", syscall.Kill(os.Getppid(), 0))
	tried("kill a thread", unix.Tgkill(os.Getppid(), os.Getppid(), 0))
	_, _, errno := unix.Syscall6(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(os.Getppid()), uintptr(os.Getppid()), 0, 0, 0, 0)
	tried("queue a signal", errno)
	tried("set limits", unix.Prlimit(os.Getppid(), unix.RLIMIT_CPU, nil, &unix.Rlimit{}))
	tried("set priority", unix.Setpriority(unix.PRIO_PROCESS, os.Getppid(), 0))
	tried("take a descriptor", func() error { _, _, _, _, err := unix.Recvmsg(0, make([]byte, 1), make([]byte, 64), 0); return err }())
	tried("hand on a descriptor", unix.Sendmsg(0, []byte{1}, nil, nil, 0))
	tried("ptrace", unix.PtraceAttach(os.Getppid()))
	_, err = unix.Mmap(-1, 0, 4096, unix.PROT_EXEC|unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
	tried("executable memory", err)
	_, err = unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	tried("segment", err)

	// What a capture does goes on: memory, threads, waiting.
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _ = bytes.Repeat([]byte{1}, 1<<20) })
	}
	wg.Wait()
	fmt.Println("works")
	os.Exit(0)
}

// A capture that was taken over can open nothing, start nothing and harm nobody.
func TestConfined(t *testing.T) {
	for _, by := range []string{"by-all", seccompArg} {
		t.Run(by, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", confinedArg, by)
			cmd.Env = append(os.Environ(), "GOCOVERDIR="+t.TempDir())
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			if strings.Contains(string(out), "missing:") {
				testenv.Lack(t, "this kernel can't confine processes:\n%s", out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			last := len(lines) - 1
			require.Equal(t, 16, last, string(out))
			for _, line := range lines[:last] {
				assert.Regexp(t, "not permitted|permission denied", line)
			}
			assert.Equal(t, "works", lines[last])
			assert.NoFileExists(t, "/tmp/capture-was-here")
		})
	}
}

const oldKernelArg = "__old-kernel"

// onOldKernel captures as if the kernel knew nothing younger than 3.10.
func onOldKernel() {
	young := []string{
		"memfd_create", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "getrandom",
		"clone3", "openat2", "faccessat2", "close_range", "pidfd_open", "pidfd_send_signal", "statx", "rseq", "membarrier",
		"epoll_pwait2", "execveat", "copy_file_range", "renameat2", "preadv2", "pwritev2",
	}
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: young},
		}},
	})
	if err == nil {
		err = syscall.Exec("/proc/self/exe", append([]string{os.Args[0], Arg}, os.Args[2:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

const otherMemoryArg = "__other-memory"

// withOtherMemory captures where there is none of the X server's shared memory, and little of it.
func withOtherMemory() {
	err := unix.Unshare(unix.CLONE_NEWIPC)
	if err == nil {
		err = syscall.Exec("/proc/self/exe", append([]string{os.Args[0], Arg}, os.Args[2:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

// What a running capture has left, all threads of it: no rights of root's, even in root's own session, the
// viewer's socket, the X server's and pipes, and no program that it could become.
func TestGivenUp(t *testing.T) {
	testenv.Root(t)
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	r := watch(t, d, rawOnly)
	r.ask(t, false)
	r.update(t)
	if strings.Contains(r.stderr.String(), "not confined") {
		testenv.Lack(t, "this kernel can't confine processes: %s", r.stderr.String())
	}
	assert.Zero(t, testhost.Segments(t, r.proc.PID()), "with MIT-SHM 1.2 the memory has no number")
	proc := fmt.Sprintf("/proc/%d/", r.proc.PID())
	threads, err := os.ReadDir(proc + "task")
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, thread := range threads {
		status, err := os.ReadFile(proc + "task/" + thread.Name() + "/status")
		require.NoError(t, err)
		for _, line := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			assert.Contains(t, string(status), line, "thread %s", thread.Name())
		}
	}
	files, err := os.ReadDir(proc + "fd")
	require.NoError(t, err)
	kinds := map[string]int{}
	for _, f := range files {
		target, err := os.Readlink(proc + "fd/" + f.Name())
		require.NoError(t, err)
		kind, _, _ := strings.Cut(target, ":[")
		if strings.HasPrefix(target, "/sys/fs/cgroup/") {
			kind = "cgroup" // the Go runtime's, which it reads how many processors it may use
		}
		kinds[kind]++
	}
	for kind := range kinds {
		assert.Contains(t, []string{"socket", "pipe", "/dev/null", "anon_inode", "cgroup"}, kind)
	}
	assert.LessOrEqual(t, kinds["socket"], 4, "standard input and its copy, the X server's and its copy: %v", kinds)
}

// Where the kernel lacks what confines, and memfd_create, the picture is the same, and
// what is lacking is said once. Nothing is left behind by a kill.
func TestOldKernel(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 640, Height: 480})
	r := startAs(t, d, oldKernelArg, "--pointer=false")
	r.greet(t)
	r.say(t, &rfb.SetEncodings{Encodings: rawOnly})
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	require.NoError(t, d.SetRoot(t.Context(), "#123456"))
	r.settled(t, d)
	said := r.stderr.String()
	assert.Equal(t, 1, strings.Count(said, "landlock"), said)
	assert.Equal(t, 1, strings.Count(said, "seccomp"), said)
	assert.NotContains(t, said, "memory can't be shared", "System V's is there")
	require.NoError(t, syscall.Kill(r.proc.PID(), syscall.SIGKILL))
	assert.Equal(t, -1, r.ends(t))
	require.NoError(t, d.Close()) // detaches, too
	assert.Zero(t, testhost.Segments(t, r.proc.PID()))
}
