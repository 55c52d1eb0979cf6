package desktop

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testlogind"
	"vda.internal/shadow/internal/testnotify"
)

// A saver is a desktop's screen saver, which is on or off.
type saver struct{ on atomic.Bool }

// GetActive is the method of org.freedesktop.ScreenSaver.
func (s *saver) GetActive() (bool, *dbus.Error) { return s.on.Load(), nil }

// startSaver runs a screen saver that is off, on the bus at an address.
func startSaver(t *testing.T, bus string) *saver {
	t.Helper()
	s := &saver{}
	conn, err := dbus.Connect(bus)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.Export(s, "/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver"))
	_, err = conn.RequestName("org.freedesktop.ScreenSaver", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	return s
}

// The desktop's screen saver is asked again while the question is shown, and after a Yes.
func TestTheSaverComesMeanwhile(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]func(d *desk){
		"no answer": (*desk).unanswered,
		"Yes":       func(d *desk) { d.click(d.allow) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := testlogind.StartBus(t)
			s := startSaver(t, bus)
			own := child.Own()
			d := put(t, testhost.Options{Width: 640, Height: 480, Identity: &own}, nil, func(r *consent.Request) { r.Bus = bus }).ready()
			s.on.Store(true)
			user(d)
			d.expect(consent.Locked)
		})
	}
}

// A notification is taken down when the saver comes, and its Yes doesn't count any more.
func TestTheSaverComesOverANotification(t *testing.T) {
	t.Parallel()
	for name, yes := range map[string]bool{"no answer": false, "Yes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newNotifiedDesk(t)
			s := startSaver(t, d.r.Bus)
			var id uint32
			got, err := d.notified(t, t.Context(), func(n testnotify.Notification) {
				id = n.ID
				<-time.After(600 * time.Millisecond) // a Yes before would not be meant
				s.on.Store(true)
				if yes {
					d.Invoke(id, "yes")
				}
			})
			require.NoError(t, err)
			assert.Equal(t, consent.Locked, got)
			assert.Equal(t, id, next(t, d.Closed))
		})
	}
}

// GetActive and SimulateUserActivity of a saver that was started by nobody's being there.
type idleSaver struct{ saver }

func (s *idleSaver) SimulateUserActivity() *dbus.Error {
	s.on.Store(false)
	return nil
}

// A desktop whose saver only makes the screen dark is woken, and asked.
func TestTheSaverIsOnlyIdle(t *testing.T) {
	t.Parallel()
	bus := testlogind.StartBus(t)
	conn, err := dbus.Connect(bus)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s := &idleSaver{}
	s.on.Store(true)
	require.NoError(t, conn.Export(s, "/org/mate/ScreenSaver", "org.mate.ScreenSaver"))
	_, err = conn.RequestName("org.mate.ScreenSaver", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	own := child.Own()
	d := put(t, testhost.Options{Width: 640, Height: 480, Identity: &own}, nil, func(r *consent.Request) { r.Bus = bus }).ready()
	s.on.Store(true) // and again, while it is asked
	eventually(t, func() bool { return !s.on.Load() }, "it is never woken")
	d.unanswered()
	d.ready().key("Tab", "Return")
	d.expect(consent.Granted)
}
