package xsession

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A user whose files can't be looked at, as behind a dead NFS or his own FUSE, holds up nobody: few looks
// hang for him, and what he has is left to his own processes.
func TestFilesThatHoldWhoLooks(t *testing.T) {
	const uid, other = 4711, 4712
	release := make(chan struct{})
	var looks atomic.Int32
	stat = func(name string) (fs.FileInfo, error) {
		if strings.Contains(name, "/home/mallory/") {
			looks.Add(1)
			<-release
		}
		return os.Stat(name)
	}
	t.Cleanup(func() { stat = os.Stat })
	h := newHost(t)
	h.file("/home/mallory/.Xauthority", "", 0o644)
	h.file("/home/alice/.Xauthority", "", 0o644)
	found := make(chan string)
	go func() {
		for range 10 {
			_, xauthority := h.find(Session{UID: uid, User: "mallory", Home: "/home/mallory", Display: ":1"})
			found <- xauthority
		}
		_, xauthority := h.find(Session{UID: other, User: "alice", Home: "/home/alice", Display: ":2"})
		found <- xauthority
	}()
	next := func() string {
		select {
		case x := <-found:
			return x
		case <-time.After(time.Minute):
			require.FailNow(t, "it hangs")
			return ""
		}
	}
	for range 10 {
		assert.Equal(t, "/home/mallory/.Xauthority", next())
	}
	assert.Equal(t, "/home/alice/.Xauthority", next())
	assert.EqualValues(t, maxHeld, looks.Load())
	close(release)
	require.Eventually(t, func() bool {
		memory.mu.Lock()
		defer memory.mu.Unlock()
		return len(memory.held) == 0
	}, time.Minute, 10*time.Millisecond)
}

// A user whose processes can't be read, as long as he likes, holds up nobody: of his session there is
// what is known otherwise, and few reads hang for it.
func TestProcessesThatHoldTheirReaders(t *testing.T) {
	uid := uint32(os.Getuid())
	h := newHost(t)
	const processes = 20
	var pipes []string
	for i := range processes {
		pid := 100 + i
		parent := 100
		if i == 0 {
			parent = 1
		}
		h.process(pid, parent, "hold", nil, nil)
		pipe := filepath.Join(h.root, "proc", strconv.Itoa(pid), "environ")
		require.NoError(t, os.Remove(pipe))
		require.NoError(t, unix.Mkfifo(pipe, 0o600)) // whose open hangs
		pipes = append(pipes, pipe)
	}
	h.process(300, 1, "session", nil, []string{"DISPLAY=:3", "XAUTHORITY=/cookie"})
	begun := time.Now()
	for range 3 {
		display, xauthority := h.find(Session{Leader: 100, UID: uid, Display: ":2"})
		assert.Equal(t, ":2", display)
		assert.Empty(t, xauthority)
	}
	assert.Less(t, time.Since(begun), processes*memoryTime, "each of them holds the reader")
	memory.mu.Lock()
	held := memory.held[uid]
	memory.mu.Unlock()
	assert.Equal(t, maxHeld, held)

	for _, pipe := range pipes { // he lets go
		f, err := os.OpenFile(pipe, os.O_RDWR|unix.O_NONBLOCK, 0)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	require.Eventually(t, func() bool {
		memory.mu.Lock()
		defer memory.mu.Unlock()
		return len(memory.held) == 0
	}, time.Minute, 10*time.Millisecond)
	display, xauthority := h.find(Session{Leader: 300, UID: uid})
	assert.Equal(t, ":3", display)
	assert.Equal(t, "/cookie", xauthority)
}
