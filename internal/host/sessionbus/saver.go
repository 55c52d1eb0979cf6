package sessionbus

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"
)

// savers are the services that say whether the screen is locked or blank, by their bus name and
// interface. KDE's and Xfce's have the first; GNOME's first
// says nothing of this, so the desktops' own follow.
var savers = []struct {
	name, is string
	path     dbus.ObjectPath
}{
	{"org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"},
	{"org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver", "/ScreenSaver"}, // where KDE's was first
	{gnomeShell, gnomeSaver, "/org/gnome/ScreenSaver"},
	{gnomeSaver, gnomeSaver, "/org/gnome/ScreenSaver"}, // the shell's until 3.34, and a program since that passes calls on to it
	{"org.cinnamon.ScreenSaver", "org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver"},
	{"org.mate.ScreenSaver", "org.mate.ScreenSaver", "/org/mate/ScreenSaver"},
	{"org.xfce.ScreenSaver", "org.xfce.ScreenSaver", "/org/xfce/ScreenSaver"},
}

// Bounds of ScreenLocked.
const (
	activeTime = 2 * time.Second         // all savers may take to say whether they are active
	wakeTime   = 1500 * time.Millisecond // one that is active may take to end, once there is somebody
	wakePause  = 100 * time.Millisecond
)

// ScreenLocked asks the session's screen savers whether one is active that locks the screen. A
// saver is active while the screen is only blank, too, because nobody was there: so it is told
// that somebody is (SimulateUserActivity), which ends it unless it locks, and has 1.5 s to end.
// One that can't be told, or doesn't answer, counts as locked; GNOME's, which can't, is ended if it is certain that it doesn't lock. None is started for it. One that gives no answer in time,
// two seconds or ctx, doesn't count; known is false if none gave any.
func ScreenLocked(ctx context.Context, conn *dbus.Conn) (locked, known bool) {
	active, known := activeSavers(ctx, conn)
	if len(active) == 0 {
		return false, known
	}
	for _, i := range active {
		if !wake(ctx, conn, i) {
			return true, true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wakeTime)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return true, true
		case <-time.After(wakePause):
		}
		// One that says nothing any more has said before that it is active.
		if still, answered := activeSavers(ctx, conn); len(still) == 0 && answered {
			return false, true
		}
	}
}

// wake tells a saver that there is somebody, and reports whether it takes that.
func wake(ctx context.Context, conn *dbus.Conn, i int) bool {
	s := savers[i]
	told, cancel := context.WithTimeout(ctx, wakeTime)
	defer cancel()
	call := conn.Object(s.name, s.path).CallWithContext(told, s.is+".SimulateUserActivity", dbus.FlagNoAutoStart)
	return call.Err == nil || s.is == gnomeSaver && endGNOME(ctx, conn)
}

// activeSavers are the indices of the savers that say that they are active, and whether any
// says anything.
func activeSavers(ctx context.Context, conn *dbus.Conn) (active []int, known bool) {
	ctx, cancel := context.WithTimeout(ctx, activeTime)
	defer cancel()
	calls := make([]*dbus.Call, len(savers))
	for i, s := range savers {
		calls[i] = conn.Object(s.name, s.path).GoWithContext(ctx, s.is+".GetActive", dbus.FlagNoAutoStart, make(chan *dbus.Call, 1))
	}
	for i, call := range calls {
		select {
		case <-call.Done:
		case <-ctx.Done():
			// Whoever hangs doesn't silence those who have answered.
			select {
			case <-call.Done:
			default:
				continue
			}
		}
		var is bool
		if call.Store(&is) == nil {
			known = true
			if is {
				active = append(active, i)
			}
		}
	}
	return active, known
}
