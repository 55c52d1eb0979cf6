package source

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
)

// What is known of a failure is told, and not where to read about others.
func TestTelling(t *testing.T) {
	tips := strings.Repeat("** Some tips and guidelines, of which there are many.\n", 200) + "See also: http://www.karlrunge.com/x11vnc/faq.html\n"
	for said, want := range map[string]string{
		"XOpenDisplay(\":5\") failed.\n*** XOpenDisplay failed (:5)\n" + tips:                                                                                  ": cannot open display :5",
		"Authorization required, but no authorization protocol specified\n\n*** x11vnc was unable to open the X DISPLAY: \":5\", it cannot continue.\n" + tips: `: cannot open display :5; the X server says "Authorization required, but no authorization protocol specified"`,
		"Maximum number of clients reached*** XOpenDisplay failed (:5)\n":                                                                                      `: cannot open display :5; the X server says "Maximum number of clients reached*** XOpenDisplay failed (:5)"`,
		"30/11/2026 shmget(tile) failed.\nshmget: No space left on device\n" + tips:                                                                            `: "30/11/2026 shmget(tile) failed."`,
		"something else\n": `: "something else"`,
		"":                 "",
	} {
		l := newLog()
		for line := range strings.Lines(said) {
			_, _ = l.Write([]byte(line))
		}
		assert.Equal(t, want, l.telling())
	}
}

func TestHowEnded(t *testing.T) {
	assert.Equal(t, "ended with exit status 7", howEnded(exec.Command("sh", "-c", "exit 7").Run()))
	assert.Equal(t, "was killed by signal 9 (killed)", howEnded(exec.Command("sh", "-c", "kill -9 $$").Run()))
}

// Where no shared memory is left x11vnc does without. A namespace of its own has few segments.
func TestWithoutSharedMemory(t *testing.T) {
	assert.True(t, sharedMemory(x11vncSegments))
	assert.NotContains(t, x11vncMemory(), "-noshm")
	testenv.Root(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if !assert.NoError(t, unix.Unshare(unix.CLONE_NEWIPC)) || !assert.NoError(t, os.WriteFile("/proc/sys/kernel/shmmni", []byte("16"), 0)) {
			return
		}
		assert.False(t, sharedMemory(x11vncSegments))
		assert.Equal(t, []string{"-noshm"}, x11vncMemory())
		assert.True(t, sharedMemory(16), "something is left behind")
	}()
	<-done
	require.False(t, t.Failed())
}
