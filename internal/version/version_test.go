package version

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestString(t *testing.T) {
	assert.NotEmpty(t, String())
	defer func(old string) { linked = old }(linked)
	linked = "1.2.3"
	assert.Equal(t, "1.2.3", String())
}

// Every command says the version that was linked in.
func TestLinkedVersion(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", dir, "-ldflags", "-X vda.internal/shadow/internal/version.linked=v9.8.7",
		"../../cmd/...").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range []string{"shadowd", "shadowctl", "shadowgate", "websockify", "rfbtrace"} {
		out, err := exec.Command(filepath.Join(dir, name), "--version").CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "v9.8.7", name)
	}
}
