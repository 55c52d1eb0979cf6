package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Trust makes a folder the database in which Firefox, as its profile, and Chromium, as .pki/nssdb in its home, find the authorities
// that they trust: those in the files, in PEM. It needs certutil, of the Debian package libnss3-tools.
func Trust(t testing.TB, dir string, authorities ...string) {
	t.Helper()
	certutil := Program(t, "certutil", "libnss3-tools")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), certutil, append([]string{"-d", "sql:" + dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil: %v: %s", err, out)
		}
	}
	run("-N", "--empty-password")
	for i, file := range authorities {
		run("-A", "-n", fmt.Sprint("authority ", i), "-t", "C,,", "-i", file)
	}
}
