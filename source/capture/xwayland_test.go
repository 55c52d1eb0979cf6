package capture

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// Xwayland says what it is by an extension, and older ones by their outputs; it hasn't the session's picture.
func TestXwayland(t *testing.T) {
	refused := func(r *running) {
		t.Helper()
		assert.Equal(t, ExitXwayland, r.ends(t))
		assert.Contains(t, r.stderr.String(), "this is Xwayland, the X server inside a Wayland session")
	}
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	draw(t, d, "xrandr --setmonitor XWAYLAND0 320/100x200/100+0+0 screen")
	refused(start(t, d))
	draw(t, d, "xrandr --delmonitor XWAYLAND0")
	l := &lesser{with: []string{"XWAYLAND"}}
	l.serve(t, d)
	refused(start(t, d, "--display", l.display, "--xauthority", l.xauthority, "--check"))
}

// The same with Weston's Xwayland.
func TestWestonsXwayland(t *testing.T) {
	weston := testenv.Program(t, "weston", "weston")
	testenv.Program(t, "Xwayland", "xwayland")
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	cmd := exec.Command(weston, "--backend=headless-backend.so", "--xwayland", "--no-config", "--log="+log)
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH")}
	require.NoError(t, os.Chmod(dir, 0o700))
	compositor, err := child.Start(cmd, child.Own())
	require.NoError(t, err)
	t.Cleanup(func() { compositor.Stop(time.Second, 10*time.Second) })
	d := &testhost.Desktop{Identity: child.Own()}
	require.NoError(t, testhost.Until(t.Context(), "Weston to listen for X clients", func() (bool, error) {
		said, _ := os.ReadFile(log)
		if m := regexp.MustCompile(`xserver listening on display (:\d+)`).FindSubmatch(said); m != nil {
			d.Display = string(m[1])
		}
		return d.Display != "", nil
	}))
	r := start(t, d, "--check")
	assert.Equal(t, ExitXwayland, r.ends(t), r.stderr.String())
	assert.Contains(t, r.stderr.String(), "this is Xwayland, the X server inside a Wayland session")
}
