// Package testhold holds processes for tests as their own users can: by tracing them.
package testhold

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
)

// holdArg is the argument by which this program knows that it is to hold a process.
const holdArg = "__testhold"

// A test binary that was started by Hold does what it is for before its tests run.
func init() {
	if len(os.Args) != 3 || os.Args[1] != holdArg {
		return
	}
	runtime.LockOSThread() // the tracer is a thread
	pid, _ := strconv.Atoi(os.Args[2])
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0); errno != 0 {
		fmt.Println(errno)
		os.Exit(0)
	}
	fmt.Println()
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// Hold traces a process, as id, until release is called or the test ends. A traced process's
// parent hears nothing of its end. The error is the kernel's refusal.
func Hold(t testing.TB, pid int, id child.Identity) (release func(), err error) {
	t.Helper()
	in, lifeline, err := os.Pipe()
	require.NoError(t, err)
	out, says, err := os.Pipe()
	require.NoError(t, err)
	defer out.Close()
	cmd := &exec.Cmd{Path: child.Self, Args: []string{"hold", holdArg, strconv.Itoa(pid)}, Stdin: in, Stdout: says}
	p, err := child.Start(cmd, id)
	in.Close()
	says.Close()
	require.NoError(t, err)
	release = sync.OnceFunc(func() {
		lifeline.Close()
		<-p.Done()
	})
	t.Cleanup(release)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	if line = strings.TrimSpace(line); line != "" {
		return release, fmt.Errorf("tracing process %d: %s", pid, line)
	}
	return release, nil
}
