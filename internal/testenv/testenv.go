// Package testenv says what a test needs of the machine that it runs on: programs, root, a
// display. Where the machine lacks it the test skips with the reason, so that go test ./...
// is green on a bare clone. With SHADOW_LIVE=1 in the environment, which make test sets, the
// test fails instead.
package testenv

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// Variable is the environment variable that makes a lack a failure, with the value "1".
const Variable = "SHADOW_LIVE"

// Patience is how long a test waits for what must come, however slow the machine is.
const Patience = 5 * time.Minute

// Lack ends the test: this machine lacks what it needs. The text says what, and how to get it.
func Lack(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(Variable) == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Program returns the path of a program on PATH, which is in the Debian package of that name.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Lack(t, "%s is needed (Debian package %s); make deps installs it", name, debian)
	}
	return path
}

// Root ends the test unless it runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lack(t, "root is needed")
	}
}
