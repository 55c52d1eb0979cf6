package consent

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// linked are the packages outside the standard library that a package links.
func linked(t *testing.T, pkg string) []string {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg).Output()
	require.NoError(t, err)
	all := strings.Fields(string(out))
	require.Contains(t, all, pkg)
	return all
}

// Whoever asks by Exec, or embeds the engine, gets no X11, fonts or D-Bus with it.
func TestLinks(t *testing.T) {
	const module = "vda.internal/shadow"
	for _, dep := range linked(t, module+"/consent") {
		// x/sys is the kernel's interface, which starting a child safely takes.
		assert.True(t, strings.HasPrefix(dep, module+"/") || strings.HasPrefix(dep, "golang.org/x/sys/"), "consent links %s", dep)
	}
	for _, dep := range append(linked(t, module), linked(t, module+"/consent")...) {
		for _, heavy := range []string{"xgb", "go-text", "x/image", "dbus", "consent/desktop"} {
			assert.NotContains(t, dep, heavy)
		}
	}
}
