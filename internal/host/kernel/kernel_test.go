package kernel

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
)

func TestLacks(t *testing.T) {
	for _, l := range Lacks() { // a container or an old kernel may lack something
		assert.NotEmpty(t, l.Follows)
		assert.Error(t, l.Err)
	}
	assert.NotEmpty(t, Release())
}

// Root without CAP_SYS_ADMIN, as in a container, makes no network namespaces; root with it does.
func TestLackOfNamespaces(t *testing.T) {
	testenv.Root(t)
	const variable = "SHADOW_TEST_WITHOUT_ADMIN"
	if os.Getenv(variable) != "" {
		require.ErrorIs(t, namespaces(), unix.EPERM)
		lacks := Lacks()
		assert.Contains(t, lacks[len(lacks)-1].String(), "without network namespaces (Linux 2.6.24; here: operation not permitted) x11vnc")
		return
	}
	setpriv := testenv.Program(t, "setpriv", "util-linux")
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(setpriv, "--bounding-set=-sys_admin", self, "-test.run=^TestLackOfNamespaces$", "-test.count=1")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd = exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	assert.Equal(t, cmd.Run() == nil, namespaces() == nil)
}

// Without what came after Linux 3.10 the list is whole.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^TestLacksAll$", time.Minute)
}

func TestLacksAll(t *testing.T) {
	if fd, err := unix.PidfdOpen(os.Getpid(), 0); err == nil {
		_ = unix.Close(fd)
		t.Skip("this is for TestOldKernel")
	}
	lacks := Lacks()
	require.GreaterOrEqual(t, len(lacks), len(features)-1, "the last one is older than Linux 3.10")
	assert.Equal(t, "without pidfd_open (Linux 5.3; here: function not implemented) the death of a child that its user traces is noticed only when it is killed or let go", lacks[0].String())
}
