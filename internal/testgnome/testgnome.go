// Package testgnome runs GNOME's shell in tests, on a desktop of its own, with a logind and a display manager that
// stand in for the real ones: without them it locks nothing.
//
//	shell := testgnome.Start(t)
//	shell.Set("lock-enabled", "false")
//	shell.Blank() // as when nobody is there
package testgnome

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
)

const (
	patience = 5 * time.Minute
	pause    = 50 * time.Millisecond

	saver = "org.gnome.ScreenSaver"
	seats = "/run/systemd/seats" // by which the shell sees that there is a logind
)

// A Shell is GNOME's, of this process's user, which has to be root.
type Shell struct {
	*testhost.Desktop
	Bus string // address of its bus, the session's and the system's

	t       *testing.T
	logind  *testlogind.Service
	environ []string
	shield  dbus.BusObject
}

// A displayManager is GNOME's, which the shell asks for its version.
type displayManager struct{}

// Get is org.freedesktop.DBus.Properties's.
func (displayManager) Get(_, _ string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant("43.0"), nil
}

// Start starts a shell and returns when its screen saver can be used. It ends with the test, which is skipped outside make desktops.
func Start(t *testing.T) *Shell {
	t.Helper()
	if os.Getenv("SHADOW_DESKTOPS") == "" {
		t.Skip("this is for make desktops")
	}
	testenv.Root(t)
	path := testenv.Program(t, "gnome-shell", "gnome-shell")
	if _, err := os.Stat(seats); err != nil {
		require.NoError(t, os.MkdirAll(seats, 0o755))
		t.Cleanup(func() { _ = os.Remove(seats) })
	}
	s := &Shell{t: t, logind: testlogind.Start(t)}
	s.Bus = s.logind.Address
	s.logind.Add("2", uint32(os.Getuid()), nil)
	conn, err := dbus.Connect(s.Bus)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.Export(displayManager{}, "/org/gnome/DisplayManager/Manager", "org.freedesktop.DBus.Properties"))
	_, err = conn.RequestName("org.gnome.DisplayManager", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	s.shield = conn.Object("org.gnome.Shell.ScreenShield", "/org/gnome/ScreenSaver")

	own := child.Own()
	s.Desktop = testhost.Require(t, testhost.Options{Width: 800, Height: 600, Identity: &own, Args: []string{"+extension", "GLX", "+extension", "COMPOSITE"}})
	s.environ = []string{"HOME=" + s.Home, "XDG_CONFIG_HOME=" + filepath.Join(s.Home, "config"), "XDG_RUNTIME_DIR=" + s.Home, "XDG_SESSION_ID=2",
		"GSETTINGS_BACKEND=keyfile", "DBUS_SESSION_BUS_ADDRESS=" + s.Bus, "DBUS_SYSTEM_BUS_ADDRESS=" + s.Bus}
	cmd := exec.Command("/usr/bin/env", append(append([]string{"LIBGL_ALWAYS_SOFTWARE=1", "NO_AT_BRIDGE=1"}, s.environ...), path, "--x11")...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	_, err = s.SpawnCmd(cmd)
	require.NoError(t, err)
	s.until("it has no saver", func() bool { return s.shield.Call(saver+".GetActive", dbus.FlagNoAutoStart).Err == nil })
	return s
}

func (s *Shell) until(what string, done func() bool) {
	s.t.Helper()
	require.Eventually(s.t, done, patience, pause, what)
}

// Set sets one of the settings of org.gnome.desktop.screensaver.
func (s *Shell) Set(key, value string) {
	s.t.Helper()
	cmd := exec.Command(testenv.Program(s.t, "gsettings", "libglib2.0-bin"), "set", "org.gnome.desktop.screensaver", key, value)
	cmd.Env = append(s.environ, "PATH=/usr/bin")
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
}

// Active reports whether the saver is active, locked or not.
func (s *Shell) Active() (active bool) {
	s.t.Helper()
	require.NoError(s.t, s.shield.Call(saver+".GetActive", dbus.FlagNoAutoStart).Store(&active))
	return active
}

// Blank makes the screen dark, as when nobody is there, which the shell is told by a session manager.
func (s *Shell) Blank() {
	s.t.Helper()
	s.until("it doesn't become dark", func() bool { _ = s.shield.Call(saver+".SetActive", 0, true).Err; return s.Active() })
}

// Lock locks the screen.
func (s *Shell) Lock() {
	s.t.Helper()
	// It answers once it has become dark, which it may be.
	require.NoError(s.t, s.shield.Call(saver+".Lock", dbus.FlagNoReplyExpected).Err)
	s.until("it doesn't tell logind", s.Locked)
}

// Locked is what logind knows.
func (s *Shell) Locked() bool { return s.logind.Value("2", "LockedHint") == true }
