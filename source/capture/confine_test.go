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
	"vda.internal/shadow/rfb"
)

const confinedArg = "__confined"

// beConfined is a process that tries what a capture that was taken over would try.
func beConfined() {
	for _, missing := range confine() {
		fmt.Println("missing:", missing)
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
	cmd := exec.Command("/proc/self/exe", confinedArg)
	cmd.Env = append(os.Environ(), "GOCOVERDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	if strings.Contains(string(out), "missing:") {
		t.Skipf("this kernel can't confine processes:\n%s", out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 11, string(out))
	for _, line := range lines[:10] {
		assert.Regexp(t, "not permitted|permission denied", line)
	}
	assert.Equal(t, "works", lines[10])
	assert.NoFileExists(t, "/tmp/capture-was-here")
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

// Where the kernel lacks what confines, and memfd_create, the picture is the same, and
// what is lacking is said once. Nothing is left behind by a kill.
func TestOldKernel(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 640, Height: 480})
	before, err := os.ReadFile("/proc/sysvipc/shm")
	require.NoError(t, err)
	r := startAs(t, d, oldKernelArg, "--pointer=false")
	r.greet(t)
	r.say(t, rfb.SetEncodings{Encodings: rawOnly})
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
	after, err := os.ReadFile("/proc/sysvipc/shm")
	require.NoError(t, err)
	assert.LessOrEqual(t, bytes.Count(after, []byte("\n")), bytes.Count(before, []byte("\n")))
}
