package rig_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An end is a machine of the network: a network namespace with one address.
type end struct {
	name, address string
}

// front is this test's address on the network, where the gates' load balancer is.
const front = "10.77.0.1"

// network makes a bridge for the test, and machines on it, in namespaces of the test's own.
func network(t *testing.T, names ...string) map[string]*end {
	t.Helper()
	require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"))
	tool(t, "ip link set lo up")
	tool(t, "ip link add br0 type bridge")
	tool(t, "ip addr add "+front+"/24 dev br0")
	tool(t, "ip link set br0 up")
	ends := map[string]*end{}
	for i, name := range names {
		e := &end{name: name, address: fmt.Sprintf("10.77.0.%d", 11+i)}
		tool(t, "ip netns add "+name)
		tool(t, fmt.Sprintf("ip link add v-%s type veth peer name eth0 netns %[1]s", name))
		tool(t, fmt.Sprintf("ip link set v-%s master br0 up", name))
		tool(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", name, e.address))
		tool(t, fmt.Sprintf("ip -n %s link set eth0 up", name))
		tool(t, fmt.Sprintf("ip -n %s link set lo up", name))
		ends[name] = e
	}
	return ends
}

// tool runs a program with its arguments.
func tool(t *testing.T, line string) { t.Helper(); said(t, line) }

// said is what a program says.
func said(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	return string(out)
}

// cut has nothing come to a machine or leave it, until heal.
func (e *end) cut(t *testing.T) { t.Helper(); e.drop(t, "") }

// cutFrom is cut of one other machine.
func (e *end) cutFrom(t *testing.T, other *end) { t.Helper(); e.drop(t, other.address) }

func (e *end) drop(t *testing.T, from string) {
	t.Helper()
	tool(t, "ip netns exec "+e.name+" nft add table inet cut")
	for hook, side := range map[string]string{"input": "saddr", "output": "daddr"} {
		policy := "drop"
		if from != "" {
			policy = "accept"
		}
		tool(t, fmt.Sprintf("ip netns exec %s nft add chain inet cut %s { type filter hook %[2]s priority 0 ; policy %s ; }", e.name, hook, policy))
		if from != "" {
			tool(t, fmt.Sprintf("ip netns exec %s nft add rule inet cut %s ip %s %s drop", e.name, hook, side, from))
		}
	}
}

func (e *end) heal(t *testing.T) {
	t.Helper()
	tool(t, "ip netns exec "+e.name+" nft delete table inet cut")
}

// small is a folder on a file system of that many KiB.
func small(t *testing.T, dir string, kib int) string {
	t.Helper()
	path := filepath.Join(dir, "small")
	require.NoError(t, os.MkdirAll(path, 0o700))
	require.NoError(t, unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("mode=0700,size=%dk", kib)))
	return path
}

// fill leaves no room in a folder of small, until the function that it returns is called.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "full")
	f, err := os.Create(path)
	require.NoError(t, err)
	for chunk := make([]byte, 4096); err == nil; {
		_, err = f.Write(chunk)
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, f.Close())
	return func() { t.Helper(); require.NoError(t, os.Remove(path)) }
}
