package kernel

import (
	"os"
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
	require.Len(t, lacks, len(features))
	assert.Equal(t, "without pidfd_open (Linux 5.3; here: function not implemented) the death of a child that its user traces is noticed only when it is killed or let go", lacks[0].String())
}
