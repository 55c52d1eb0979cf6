package sessionbus

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testlogind"
)

// shellArg begins a process that has GNOME's saver on the bus DBUS_SESSION_BUS_ADDRESS: its environment is what matters.
const shellArg = "gnome-shell-stand-in"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == shellArg {
		beShell()
		return
	}
	os.Exit(m.Run())
}

// A standIn is GNOME's shell as far as its saver goes.
type standIn struct {
	mu     sync.Mutex
	active bool
	conn   *dbus.Conn
}

func (s *standIn) GetActive() (bool, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active, nil
}

// SetActive ends the saver, locked or not, and says so on the bus.
func (s *standIn) SetActive(active bool) *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.Emit("/", "test.Shell.SetActive", active)
	go func() { // as the shell, which moves its curtain away first
		time.Sleep(2 * wakePause)
		if os.Getenv("STAND_IN") == "locked meanwhile" {
			_ = s.conn.Object("test.Locker", "/").Call("test.Locker.Lock", 0).Err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.active = active
	}()
	return nil
}

func (s *standIn) Lock() *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = true
	_ = s.conn.Emit("/", "test.Shell.Lock")
	return nil
}

func beShell() {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		panic(err)
	}
	s := &standIn{active: true, conn: conn}
	if err := conn.Export(s, "/org/gnome/ScreenSaver", gnomeSaver); err != nil {
		panic(err)
	}
	for _, name := range []string{gnomeSaver, gnomeShell} { // the second says that it is ready
		if name == gnomeShell && os.Getenv("STAND_IN") == "old" {
			name = "test.Old"
		}
		if _, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil {
			panic(err)
		}
	}
	<-conn.Context().Done()
}

// A locker locks the logind session when the stand-in is told to end its saver.
type locker struct{ lock func() }

func (l locker) Lock() *dbus.Error { l.lock(); return nil }

// GNOME's saver is ended only if logind and its settings say that nothing is locked; whatever is in doubt is locked.
func TestGNOME(t *testing.T) {
	own := uint32(os.Getuid())
	for name, tt := range map[string]struct {
		settings string // what gsettings prints
		sessions func(*testlogind.Service)
		env      []string
		locked   bool
		ended    bool // SetActive(false) was called
		relocked bool
	}{
		"idle":                   {"false", func(l *testlogind.Service) { l.Add("2", own, nil) }, []string{"XDG_SESSION_ID=2"}, false, true, false},
		"idle without an id":     {"false", func(l *testlogind.Service) { l.Add("2", own, nil) }, nil, false, true, false},
		"locked":                 {"false", func(l *testlogind.Service) { l.Add("2", own, map[string]any{"LockedHint": true}) }, []string{"XDG_SESSION_ID=2"}, true, false, false},
		"it will be":             {"true", func(l *testlogind.Service) { l.Add("2", own, nil) }, []string{"XDG_SESSION_ID=2"}, true, false, false},
		"another answer":         {"uint32 0", func(l *testlogind.Service) { l.Add("2", own, nil) }, []string{"XDG_SESSION_ID=2"}, true, false, false},
		"no settings":            {"", func(l *testlogind.Service) { l.Add("2", own, nil) }, []string{"XDG_SESSION_ID=2"}, true, false, false},
		"no session":             {"false", func(*testlogind.Service) {}, nil, true, false, false},
		"a session that is gone": {"false", func(l *testlogind.Service) { l.Add("2", own, nil) }, []string{"XDG_SESSION_ID=3"}, true, false, false},
		"another user's":         {"false", func(l *testlogind.Service) { l.Add("2", own+1, nil) }, []string{"XDG_SESSION_ID=2"}, true, false, false},
		"a logind that fails":    {"false", func(l *testlogind.Service) { l.Add("2", own, nil); l.Fail("2", "x.y") }, []string{"XDG_SESSION_ID=2"}, true, false, false},
		"an old logind":          {"false", func(l *testlogind.Service) { l.Add("2", own, map[string]any{"LockedHint": "no"}) }, []string{"XDG_SESSION_ID=2"}, true, false, false},
		"no logind":              {"false", func(*testlogind.Service) {}, []string{"DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent"}, true, false, false},
		"an old shell is idle":   {"false", func(l *testlogind.Service) { l.Add("2", own, nil) }, []string{"XDG_SESSION_ID=2", "STAND_IN=old"}, false, true, false},
		"locked at that moment":  {"false", func(l *testlogind.Service) { l.Add("2", own, nil) }, []string{"XDG_SESSION_ID=2", "STAND_IN=locked meanwhile"}, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := testlogind.Start(t)
			tt.sessions(l)
			dir := t.TempDir()
			script := "#!/bin/sh\n[ \"$*\" = 'get org.gnome.desktop.screensaver lock-enabled' ] && [ \"$HOME\" = " + dir + " ] && echo '" + tt.settings + "'\n"
			if tt.settings == "" {
				script = "#!/bin/sh\nexit 1\n"
			}
			before := gsettings
			gsettings = filepath.Join(dir, "gsettings")
			t.Cleanup(func() { gsettings = before })
			require.NoError(t, os.WriteFile(gsettings, []byte(script), 0o755))

			watch, err := dbus.Connect(l.Address)
			require.NoError(t, err)
			defer watch.Close()
			require.NoError(t, watch.Export(locker{func() { l.Set("2", "LockedHint", true); l.Set("2", "LockedHint", false) }}, "/", "test.Locker"))
			_, err = watch.RequestName("test.Locker", dbus.NameFlagDoNotQueue)
			require.NoError(t, err)
			said := make(chan *dbus.Signal, 10)
			watch.Signal(said)
			require.NoError(t, watch.AddMatchSignal(dbus.WithMatchInterface("test.Shell")))

			cmd := exec.Command("/proc/self/exe", shellArg)
			cmd.Env = append([]string{"HOME=" + dir, "DBUS_SESSION_BUS_ADDRESS=" + l.Address, "DBUS_SYSTEM_BUS_ADDRESS=" + l.Address}, tt.env...)
			cmd.Stderr = t.Output()
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			require.Eventually(t, func() bool {
				var names []string
				return watch.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names) == nil &&
					(slices.Contains(names, gnomeShell) || slices.Contains(names, "test.Old"))
			}, patience, 10*time.Millisecond)

			conn, err := Dial(t.Context(), l.Address)
			require.NoError(t, err)
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			locked, known := ScreenLocked(ctx, conn)
			assert.True(t, known)
			assert.Equal(t, tt.locked, locked)
			// What the stand-in said came before it answered, and this is answered after that.
			require.NoError(t, watch.Object(gnomeSaver, "/org/gnome/ScreenSaver").Call(gnomeSaver+".GetActive", 0).Err)
			var heard []string
			for len(said) > 0 {
				if s := <-said; s.Path == "/" {
					heard = append(heard, s.Name)
				}
			}
			var want []string
			if tt.ended {
				want = append(want, "test.Shell.SetActive")
			}
			if tt.relocked {
				want = append(want, "test.Shell.Lock")
			}
			assert.Equal(t, want, heard)
		})
	}
}
