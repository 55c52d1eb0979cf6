package sessionbus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow/internal/host/program"
)

// GNOME's saver says that it is active while the screen is blank, whether it is locked or not, and can't be told that
// there is somebody. It can be ended (SetActive), but that unlocks a locked screen, without a password. So it is ended
// only if two who know say that nothing is locked: logind, whom the shell tells when it locks (LockedHint), and the
// shell's settings, by which it doesn't lock when nobody is there. Whoever doesn't say so leaves it locked.

const (
	gnomeShell = "org.gnome.Shell.ScreenShield" // the shell's own name for its saver
	gnomeSaver = "org.gnome.ScreenSaver"
	gnomeTime  = 3 * time.Second // all that is asked may take
	maxEnviron = 256 << 10
)

// gsettings reads GNOME's settings.
var gsettings = "/usr/bin/gsettings"

// settingsEnviron are the variables by which settings, and logind, are found. The shell's are taken.
var settingsEnviron = []string{"HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_RUNTIME_DIR",
	"XDG_CURRENT_DESKTOP", "DCONF_PROFILE", "GSETTINGS_BACKEND", "GSETTINGS_SCHEMA_DIR", "DBUS_SESSION_BUS_ADDRESS"}

// A shell is the process that has GNOME's saver.
type shell struct {
	conn    *dbus.Conn
	name    string // on the bus, that nobody else can have
	environ map[string]string
}

// endGNOME ends GNOME's saver if it is certain that it locks nothing.
func endGNOME(ctx context.Context, conn *dbus.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, gnomeTime)
	defer cancel()
	s, err := findShell(ctx, conn)
	if err != nil {
		return false
	}
	if active, err := s.active(ctx); err != nil || !active || s.locksByItself(ctx) {
		return err == nil && !active // by its other name it was ended already
	}
	l, err := s.logind(ctx)
	if err != nil {
		return false
	}
	defer l.close()
	if locked, err := l.locked(ctx); err != nil || locked {
		return false
	}
	if s.call(ctx, "SetActive", false) != nil {
		return false
	}
	// It takes the shell a while. Somebody may have locked it since logind was asked, which is undone by it.
	if !s.ends(ctx) {
		return false
	}
	if _, err := l.locked(ctx); err != nil || l.wasLocked() {
		_ = s.call(ctx, "Lock")
		return false
	}
	return true
}

// ends waits until the shell's saver has ended.
func (s *shell) ends(ctx context.Context) bool {
	for {
		if active, err := s.active(ctx); err != nil || !active {
			return err == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wakePause):
		}
	}
}

// active is whether it is active, locked or not.
func (s *shell) active(ctx context.Context) (active bool, err error) {
	err = s.saver().CallWithContext(ctx, gnomeSaver+".GetActive", dbus.FlagNoAutoStart).Store(&active)
	return active, err
}

func (s *shell) saver() dbus.BusObject { return s.conn.Object(s.name, "/org/gnome/ScreenSaver") }

// findShell finds who has the saver, a process of this user's.
func findShell(ctx context.Context, conn *dbus.Conn) (*shell, error) {
	s := &shell{conn: conn, environ: map[string]string{}}
	var pid uint32
	bus := conn.BusObject()
	err := bus.CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, gnomeShell).Store(&s.name)
	if err != nil {
		err = bus.CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, gnomeSaver).Store(&s.name)
	}
	if err != nil {
		return nil, err
	}
	if err := bus.CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, s.name).Store(&pid); err != nil {
		return nil, err
	}
	var b []byte
	if b, err = readEnviron(pid); err != nil {
		return nil, err
	}
	for _, entry := range bytes.Split(b, []byte{0}) {
		if name, value, ok := strings.Cut(string(entry), "="); ok {
			s.environ[name] = value
		}
	}
	// It was still that process's while it was read: who has the name then has had it all the time.
	var there bool
	if err := bus.CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, s.name).Store(&there); err != nil || !there {
		return nil, dbus.ErrClosed
	}
	return s, nil
}

// readEnviron is the environment that a process was started with.
func readEnviron(pid uint32) ([]byte, error) {
	f, err := os.Open("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/environ")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxEnviron))
}

// call calls a method of the shell's saver.
func (s *shell) call(ctx context.Context, method string, args ...any) error {
	return s.saver().CallWithContext(ctx, gnomeSaver+"."+method, dbus.FlagNoAutoStart, args...).Err
}

// locksByItself reports whether the shell may lock the screen a while after it has become blank.
func (s *shell) locksByItself(ctx context.Context) bool {
	var environ []string
	for _, name := range settingsEnviron {
		if value, ok := s.environ[name]; ok {
			environ = append(environ, name+"="+value)
		}
	}
	out, err := program.Output(ctx, program.Command{Path: gsettings, Args: []string{"get", "org.gnome.desktop.screensaver", "lock-enabled"},
		Env: environ, Timeout: gnomeTime, Max: 64})
	return err != nil || string(out) != "false\n"
}

// A hint is logind's word on whether the session of a shell is locked.
type hint struct {
	conn    *dbus.Conn
	path    dbus.ObjectPath
	changes chan *dbus.Signal
}

const (
	systemBus = "unix:path=/run/dbus/system_bus_socket"
	logind    = "org.freedesktop.login1"
)

// logind finds the session that the shell tells logind of.
func (s *shell) logind(ctx context.Context) (*hint, error) {
	conn, err := Dial(ctx, cmp.Or(s.environ["DBUS_SYSTEM_BUS_ADDRESS"], systemBus))
	if err != nil {
		return nil, err
	}
	h := &hint{conn: conn, changes: make(chan *dbus.Signal, 64)}
	if h.path, err = h.session(ctx, s.environ["XDG_SESSION_ID"]); err == nil {
		conn.Signal(h.changes)
		err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(logind), dbus.WithMatchObjectPath(h.path),
			dbus.WithMatchInterface("org.freedesktop.DBus.Properties"), dbus.WithMatchMember("PropertiesChanged"))
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *hint) close() { _ = h.conn.Close() }

// session is the session with an id or, without one, the one that shows this user's desktop, as the shell looks for it.
func (h *hint) session(ctx context.Context, id string) (path dbus.ObjectPath, err error) {
	manager := h.conn.Object(logind, "/org/freedesktop/login1")
	if id != "" {
		err = manager.CallWithContext(ctx, logind+".Manager.GetSession", 0, id).Store(&path)
		return path, err
	}
	var user dbus.ObjectPath
	if err := manager.CallWithContext(ctx, logind+".Manager.GetUser", 0, uint32(os.Getuid())).Store(&user); err != nil {
		return "", err
	}
	var display struct {
		ID   string
		Path dbus.ObjectPath
	}
	err = h.get(ctx, user, "User.Display", &display)
	return display.Path, err
}

// get reads a property of one of logind's objects.
func (h *hint) get(ctx context.Context, path dbus.ObjectPath, name string, value any) error {
	of, property, _ := strings.Cut(name, ".")
	var v dbus.Variant
	if err := h.conn.Object(logind, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, logind+"."+of, property).Store(&v); err != nil {
		return err
	}
	return v.Store(value)
}

// locked is whether the session, which must be this user's, is locked now.
func (h *hint) locked(ctx context.Context) (locked bool, err error) {
	var user struct {
		UID  uint32
		Path dbus.ObjectPath
	}
	if err := h.get(ctx, h.path, "Session.User", &user); err != nil {
		return true, err
	}
	if user.UID != uint32(os.Getuid()) {
		return true, errors.New("the session is another user's")
	}
	err = h.get(ctx, h.path, "Session.LockedHint", &locked)
	return locked, err
}

// wasLocked reports whether logind has said, since it was asked for the first time, that the session is locked. It
// has said so before it answers a question that came later.
func (h *hint) wasLocked() bool {
	for {
		select {
		case change := <-h.changes:
			if len(change.Body) < 2 {
				continue
			}
			if values, ok := change.Body[1].(map[string]dbus.Variant); ok {
				if locked, ok := values["LockedHint"].Value().(bool); ok && locked {
					return true
				}
			}
		default:
			return false
		}
	}
}
