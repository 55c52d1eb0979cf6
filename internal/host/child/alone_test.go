package child_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/testenv"
)

// actNetworks says which network each of its threads is in, of which there are more than four.
func actNetworks() {
	for range 4 {
		locked := make(chan struct{})
		go func() { runtime.LockOSThread(); close(locked); select {} }()
		<-locked
	}
	threads, _ := filepath.Glob("/proc/self/task/*")
	for _, thread := range threads {
		network, err := os.Readlink(filepath.Join(thread, "ns/net"))
		fmt.Println(network, err)
	}
}

// A child that is alone has a network namespace of its own, all its threads, whether it is this program or
// another; and it is still the user's.
func TestStartAlone(t *testing.T) {
	testenv.Root(t)
	ours, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	run := func(cmd *exec.Cmd) []string {
		t.Helper()
		var out bytes.Buffer
		cmd.Stdout = &out
		p, err := child.StartAlone(cmd, nobody)
		require.NoError(t, err)
		wait(t, p)
		require.NoError(t, p.Err())
		return strings.Split(strings.TrimSpace(out.String()), "\n")
	}
	lines := run(exec.Command("/bin/sh", "-c", `readlink /proc/self/ns/net; id -u; grep -c : /proc/self/net/dev`))
	require.Len(t, lines, 3)
	assert.NotEqual(t, ours, lines[0])
	assert.Equal(t, []string{"65534", "1"}, lines[1:], "its user, and how many devices")

	threads := run(self("act-networks"))
	assert.Greater(t, len(threads), 4)
	for _, network := range threads {
		assert.Equal(t, threads[0], network)
		assert.Regexp(t, `^net:\[\d+\] <nil>$`, network)
		assert.NotEqual(t, ours+" <nil>", network)
	}
}

// Who may not have a network namespace is told by which step it failed.
func TestStartAloneIsRefused(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may")
	}
	_, err := child.StartAlone(exec.Command("/bin/true"), child.Own())
	var step *fs.PathError
	require.ErrorAs(t, err, &step)
	assert.Equal(t, "unshare", step.Op)
	assert.ErrorIs(t, err, unix.EPERM)
}
