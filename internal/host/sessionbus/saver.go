package sessionbus

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// savers are the services that say whether the screen is locked or blank, by their bus name,
// which is the name of their interface, too. KDE's and Xfce's have the first; GNOME's first
// says nothing of this, so the desktops' own follow.
var savers = []struct {
	name string
	path dbus.ObjectPath
}{
	{"org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"},
	{"org.freedesktop.ScreenSaver", "/ScreenSaver"}, // where KDE's was first
	{"org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"},
	{"org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver"},
	{"org.mate.ScreenSaver", "/org/mate/ScreenSaver"},
	{"org.xfce.ScreenSaver", "/org/xfce/ScreenSaver"},
}

// ScreenLocked asks the session's screen savers whether one is active, which is so while the
// screen is locked and while it is blank. None is started for it. One that gives no answer
// before ctx ends doesn't count; known is false if none gave any.
func ScreenLocked(ctx context.Context, conn *dbus.Conn) (locked, known bool) {
	calls := make([]*dbus.Call, len(savers))
	for i, s := range savers {
		calls[i] = conn.Object(s.name, s.path).GoWithContext(ctx, s.name+".GetActive", dbus.FlagNoAutoStart, make(chan *dbus.Call, 1))
	}
	for _, call := range calls {
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
		var active bool
		if call.Store(&active) == nil {
			locked, known = locked || active, true
		}
	}
	return locked, known
}
