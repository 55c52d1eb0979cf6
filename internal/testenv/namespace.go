//go:build linux

package testenv

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// insideVariable is set in a test that InNamespaces runs.
const insideVariable = "SHADOW_TEST_INSIDE"

// InNamespaces reports whether the test runs in namespaces of its own, with private process
// numbers, mounts, /tmp with its X sockets, SysV memory and network. If it doesn't, InNamespaces runs the test
// once more in such ones, and fails it if it fails there or isn't through within limit; then the
// caller is to return. It takes root.
func InNamespaces(t *testing.T, limit time.Duration) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"); err != nil {
			t.Fatalf("a private /tmp: %v", err)
		}
		return true
	}
	Root(t)
	unshare := Program(t, "unshare", "util-linux")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range strings.SplitSeq(t.Name(), "/") {
		names = append(names, "^"+name+"$")
	}
	cmd := exec.Command(unshare, "--pid", "--mount", "--ipc", "--net", "--fork", "--kill-child", "--mount-proc", self,
		"-test.run="+strings.Join(names, "/"), "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), insideVariable+"="+t.Name())
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() }) // the namespace ends with its first process
	out, err := cmd.CombinedOutput()
	if !timer.Stop() {
		t.Fatalf("the test hangs in its namespaces after %v:\n%s", limit, out)
	}
	if err != nil {
		t.Fatalf("the test failed in its namespaces: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		Lack(t, "skipped in its namespaces:\n%s", out)
	}
	t.Logf("in its namespaces:\n%s", out)
	return false
}
