package child_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
)

// actState says what a process may do, of each of its threads.
func actState() {
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	fmt.Println("dumpable", dumpable, "args", len(os.Args), "env", os.Environ())
	threads, _ := filepath.Glob("/proc/self/task/*/status")
	for _, file := range threads {
		status, _ := os.ReadFile(file)
		for line := range strings.Lines(string(status)) {
			switch name, _, _ := strings.Cut(line, ":"); name {
			case "Uid", "Gid", "Groups", "CapEff", "CapPrm", "NoNewPrivs":
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
	}
}

// actWait waits until its standard input ends.
func actWait() {
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// This program goes on as the user, all of it, and was never another program that the user
// could have traced.
func TestSelf(t *testing.T) {
	var out bytes.Buffer
	cmd := self("act-state")
	cmd.Stdout, cmd.Env = &out, []string{"A=b"}
	id := other()
	if os.Getuid() == 0 {
		id.Groups = []uint32{12, 1234}
	}
	p, err := child.Start(cmd, id)
	require.NoError(t, err)
	wait(t, p)
	require.NoError(t, p.Err())
	head, threads, _ := strings.Cut(out.String(), "\n")
	assert.Equal(t, "dumpable 0 args 2 env [A=b]", head)
	for line := range strings.Lines(threads) {
		line, _ = strings.CutSuffix(line, "\n")
		want := map[string]string{"NoNewPrivs": "NoNewPrivs: 1"}
		if os.Getuid() == 0 {
			want["Uid"], want["Gid"] = "Uid: 65534 65534 65534 65534", "Gid: 65534 65534 65534 65534"
			want["Groups"], want["CapEff"], want["CapPrm"] = "Groups: 12 1234", "CapEff: 0000000000000000", "CapPrm: 0000000000000000"
		}
		if name, _, _ := strings.Cut(line, ":"); want[name] != "" {
			assert.Equal(t, want[name], line)
		}
	}
	assert.Equal(t, strings.Count(threads, "Uid:"), strings.Count(threads, "NoNewPrivs: 1"), "every thread")
}

// That it can't be traced is no gift of the kernel's to who changes the user, which depends on
// fs.suid_dumpable: it is so without a change, too.
func TestSelfIsNotDumpable(t *testing.T) {
	var out bytes.Buffer
	cmd := self("act-state")
	cmd.Stdout = &out
	p, err := child.Start(cmd, child.Own())
	require.NoError(t, err)
	wait(t, p)
	require.NoError(t, p.Err())
	assert.Contains(t, out.String(), "dumpable 0 ")
}

// What is executed as another user can't gain rights, and what is executed as the own user is
// left alone.
func TestNoNewPrivileges(t *testing.T) {
	own := child.Own()
	before, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	require.NoError(t, err)
	for _, c := range []struct {
		id   child.Identity
		want int
	}{{own, before}, {nobody, 1}, {own, before}} {
		if os.Getuid() != 0 && c.id.UID == nobody.UID {
			continue
		}
		var out bytes.Buffer
		cmd := exec.Command("/bin/grep", "NoNewPrivs", "/proc/self/status")
		cmd.Stdout = &out
		p, err := child.Start(cmd, c.id)
		require.NoError(t, err)
		wait(t, p)
		assert.Equal(t, "NoNewPrivs:\t"+strconv.Itoa(c.want)+"\n", out.String())
	}
}

// Who may run this program with any arguments, through sudo say, gets nothing by it.
func TestOrdersOfOthersAreRefused(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	run := func(through string, extra *os.File) string {
		cmd := exec.Command(self, child.Arg, "3", "0", "0", "-", "-", "--", "/bin/echo", "echo", "done")
		if through != "" {
			cmd = exec.Command("/bin/sh", append([]string{"-c", through, self}, cmd.Args[1:]...)...)
		}
		if extra != nil {
			cmd.ExtraFiles = []*os.File{extra}
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		assert.Equal(t, 2, exit.ExitCode())
		return string(out)
	}
	assert.Contains(t, run("", nil), "is no socket of the parent's")
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	assert.Contains(t, run("", null), "is no socket of the parent's")
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := os.NewFile(uintptr(fds[0]), ""), os.NewFile(uintptr(fds[1]), "")
	defer ours.Close()
	defer theirs.Close()
	// A shell between them, as sudo would be; it stays because something follows.
	assert.Contains(t, run(`"$0" "$@"; exit $?`, theirs), "which isn't the parent")
	for _, args := range [][]string{
		nil, {"3", "0", "0", "-", "-"}, {"3", "0", "0", "-", "--", "a", "a", "a"}, {"3", "0", "0", "-", "none", "--", "a", "a"},
		{"x", "0", "0", "-", "-", "--", "a", "a"}, {"3", "4294967295", "0", "-", "-", "--", "a", "a"}, {"3", "0", "0", "1,", "-", "--", "a", "a"},
	} {
		out, err := exec.Command(self, append([]string{child.Arg}, args...)...).CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), "own use")
	}
}

func TestStandardStreams(t *testing.T) {
	var both bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", `cat; echo err >&2; echo extra >&3`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("in\n"), &both, &both
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	p, err := child.Start(cmd, other())
	require.NoError(t, err)
	w.Close()
	wait(t, p)
	require.NoError(t, p.Err())
	assert.Equal(t, "in\nerr\n", both.String())
	extra, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "extra\n", string(extra))
}

// A stranger, or a grandchild, that holds a stream open holds nobody up.
func TestHeldStreams(t *testing.T) {
	var out bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", `setsid sleep 600 & echo $!; exit 3`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = neverRead{}, &out, io.Discard
	p, err := child.Start(cmd, other())
	require.NoError(t, err)
	wait(t, p)
	assert.Equal(t, 3, p.ExitCode())
	grandchild, err := strconv.Atoi(strings.TrimSpace(out.String()))
	require.NoError(t, err)
	_ = unix.Kill(grandchild, unix.SIGKILL)
}

// neverRead is an input without end that nobody takes.
type neverRead struct{}

func (neverRead) Read(p []byte) (int, error) { return len(p), nil }

// The child dies with this process.
func TestDeathSignal(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	for _, cmd := range []*exec.Cmd{self("act-state"), exec.Command("/bin/sh", "-c", "exit 0")} {
		p, err := child.Start(cmd, other())
		require.NoError(t, err)
		wait(t, p)
	}
	cmd := exec.Command("/bin/sh", "-c", `echo ready; exec sleep 600`)
	cmd.Stdout = w
	p, err := child.Start(cmd, other())
	require.NoError(t, err)
	defer p.Stop(0, 0)
	w.Close()
	_, err = r.Read(make([]byte, 16))
	require.NoError(t, err)
	// That others have come and gone has not ended the thread that started this one.
	select {
	case <-p.Done():
		require.Fail(t, "it ended with another child")
	case <-time.After(50 * time.Millisecond):
	}
}
