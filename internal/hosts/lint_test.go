package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// lint has both families' programs look at the packages; nothing may be an error.
func lint(t *testing.T, dir string) {
	t.Helper()
	testenv.Program(t, "lintian", "lintian")
	testenv.Program(t, "rpmlint", "rpmlint")
	cpio := testenv.Program(t, "cpio", "cpio")

	debs, err := filepath.Glob(filepath.Join(dir, "*_amd64.deb"))
	require.NoError(t, err)
	require.Len(t, debs, 4)
	out, err := exec.CommandContext(t.Context(), "lintian", append([]string{"--fail-on", "error", "--allow-root"}, debs...)...).CombinedOutput()
	t.Logf("lintian:\n%s", out)
	require.NoError(t, err)

	rpms, err := filepath.Glob(filepath.Join(dir, "*.x86_64.rpm"))
	require.NoError(t, err)
	require.Len(t, rpms, 4)
	for _, name := range rpms {
		readable(t, name)
	}
	for _, name := range []string{"shadowd", "shadowgate"} { // their scripts make a group
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "cd $0; dpkg-deb --field $1_*_amd64.deb Depends; rpm --query --requires --package $1-*.x86_64.rpm", dir, name).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "passwd, procps\n")
		require.Contains(t, string(out), "/usr/sbin/groupadd\n")
	}
	// nfpm's payloads have absolute names, so that rpmlint's cpio would write into this machine's root.
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "cpio"), []byte("#!/bin/sh\nexec "+cpio+" --no-absolute-filenames \"$@\"\n"), 0o755))
	cmd := exec.CommandContext(t.Context(), "rpmlint", append([]string{"--config", "../../dist/packages/rpmlint.toml"}, rpms...)...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err = cmd.CombinedOutput()
	t.Logf("rpmlint:\n%s", out)
	require.NoError(t, err)
}
