package consent

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/child"
	"vda.internal/shadow/internal/testhost"
	"vda.internal/shadow/internal/testlogind"
)

// A saver is a desktop's screen saver, which is on or off.
type saver struct{ on atomic.Bool }

// GetActive is the method of org.freedesktop.ScreenSaver.
func (s *saver) GetActive() (bool, *dbus.Error) { return s.on.Load(), nil }

// The desktop's screen saver is asked again while the question is shown.
func TestTheSaverComesMeanwhile(t *testing.T) {
	t.Parallel()
	bus, s := testlogind.StartBus(t), &saver{}
	conn, err := dbus.Connect(bus)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.Export(s, "/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver"))
	_, err = conn.RequestName("org.freedesktop.ScreenSaver", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)

	own := child.Identity{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	d := put(t, testhost.Options{Width: 640, Height: 480, Identity: &own}, nil, func(r *Request) { r.Bus = bus }).ready()
	d.unanswered()
	s.on.Store(true)
	d.expect(Locked)
}
