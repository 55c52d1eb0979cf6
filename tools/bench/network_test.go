package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test program be the program, for what it starts again.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A run has a network of its own: reno, whatever the machine uses, and nobody
// on loopback but those that are measured.
func TestOwnNetwork(t *testing.T) {
	out := filepath.Join(t.TempDir(), "result")
	cmd := exec.Command("/proc/self/exe", "run", "-config", "peers.json", "-peers", "direct,go-relay", "-transports", "ws",
		"-scenarios", "down1", "-rounds", "1", "-duration", "100ms", "-frame", "640x480", "-out", out)
	cmd.Env = append(os.Environ(), "BENCH_TEST_MAIN=1")
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)

	b, err := os.ReadFile(out + ".md")
	require.NoError(t, err)
	assert.Contains(t, string(b), "TCP reno")
	all, err := readJSON(out + ".json")
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, s := range all {
		assert.Empty(t, s.Error, s.Peer)
		assert.Positive(t, s.Metrics["gbps"], s.Peer)
	}
}
