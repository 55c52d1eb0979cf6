package sessionbus

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
)

// patience is how long a test waits for what is to come soon.
const patience = testenv.Patience

func TestSockets(t *testing.T) {
	for address, want := range map[string][]string{
		"unix:path=/run/user/1000/bus":                     {"/run/user/1000/bus"},
		"unix:path=/run/a%20b,guid=0123":                   {"/run/a b"},
		"unix:guid=0123,abstract=/tmp/dbus-x":              {"@/tmp/dbus-x"},
		"unix:path=/run/user/1000/bus;unix:abstract=/tmp/": {"/run/user/1000/bus", "@/tmp/"},
	} {
		got, err := sockets(address)
		require.NoError(t, err, address)
		assert.Equal(t, want, got)
		assert.True(t, IsAddress(address), address)
	}
	for _, address := range []string{
		"", ";", "unix:", "unix:path=", "unix:path=relative", "unix:abstract=", "unix:tmpdir=/tmp", "unix:path=/a%00b", "unix:path=/a%2",
		"unixexec:path=/bin/sh,argv1=-c,argv2=reboot", "tcp:host=localhost,port=1", "autolaunch:", "launchd:env=X",
		"unix:path=/run/user/1000/bus;unixexec:path=/bin/sh", "unix:path=/" + strings.Repeat("a", maxAddress),
	} {
		assert.False(t, IsAddress(address), address)
		_, err := Dial(t.Context(), address)
		if address != "" { // which means the user's own
			assert.Error(t, err, address)
		}
	}
	assert.Equal(t, "unix:path=/run/user/1000/bus", UserBus(1000))
	assert.True(t, IsAddress(UserBus(1000)))
}

func FuzzSockets(f *testing.F) {
	f.Add("unix:path=/run/user/1000/bus,guid=1;unix:abstract=%20")
	f.Add("unixexec:path=/bin/sh")
	f.Fuzz(func(t *testing.T, address string) {
		names, err := sockets(address)
		if err != nil {
			return
		}
		require.NotEmpty(t, names)
		for _, name := range names {
			assert.True(t, filepath.IsAbs(name) || strings.HasPrefix(name, "@"), "%q", name)
		}
	})
}

func TestDial(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	address := testlogind.StartBus(t)
	for _, a := range []string{address, "unix:path=/nowhere/bus;" + address} {
		conn, err := Dial(ctx, a)
		require.NoError(t, err, a)
		assert.NotEmpty(t, conn.Names())
		cancelled, give := context.WithCancel(ctx)
		other, err := Dial(cancelled, a)
		require.NoError(t, err)
		give()
		require.NoError(t, other.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetId", 0).Err, "it outlives the dialling's context")
		require.NoError(t, other.Close())
		require.NoError(t, conn.Close())
	}
	_, err := Dial(ctx, "unix:path=/nowhere/bus")
	assert.ErrorContains(t, err, "no D-Bus bus answers")
}

// A bus that takes connections and says nothing is given up in time.
func TestDialOfAMuteBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Dial(ctx, "unix:path="+path)
	assert.ErrorContains(t, err, "doesn't let this user in")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestDialOfAStrangersBus(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only root can be somebody else")
		return
	}
	dir, err := os.MkdirTemp("", "bus")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", "--address=unix:path="+dir+"/bus")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	_, err = out.Read(make([]byte, 1)) // it is listening
	require.NoError(t, err)
	_, err = Dial(t.Context(), "unix:path="+dir+"/bus")
	assert.ErrorContains(t, err, "is uid 65534's")
}

// saver is a screen saver's object.
type saver struct {
	active any // bool; an error; nil hangs
	stop   <-chan struct{}
}

func (s saver) GetActive() (bool, *dbus.Error) {
	switch a := s.active.(type) {
	case bool:
		return a, nil
	case error:
		return false, dbus.MakeFailedError(a)
	}
	<-s.stop
	return false, nil
}

// text is one that says something else.
type text struct{}

func (text) GetActive() (string, *dbus.Error) { return "true", nil }

// An idler is a saver that is active because nobody was there, and ends when somebody is, unless
// it locks.
type idler struct {
	locks bool
	deaf  chan struct{} // it answers only once this is closed; nil: at once
	gone  atomic.Bool
}

func (s *idler) GetActive() (bool, *dbus.Error) { return !s.gone.Load(), nil }

func (s *idler) SimulateUserActivity() *dbus.Error {
	if s.deaf != nil {
		<-s.deaf
	}
	s.gone.Store(!s.locks)
	return nil
}

func TestScreenLocked(t *testing.T) {
	for name, c := range map[string]struct {
		services      map[string]any // by bus name
		locked, known bool
	}{
		"none":                      {nil, false, false},
		"off":                       {map[string]any{"org.freedesktop.ScreenSaver": saver{active: false}}, false, true},
		"on":                        {map[string]any{"org.freedesktop.ScreenSaver": saver{active: true}}, true, true},
		"the desktop's own":         {map[string]any{"org.freedesktop.ScreenSaver": saver{active: os.ErrInvalid}, "org.gnome.ScreenSaver": saver{active: true}}, true, true},
		"idle":                      {map[string]any{"org.mate.ScreenSaver": &idler{}}, false, true},
		"deaf":                      {map[string]any{"org.mate.ScreenSaver": &idler{deaf: make(chan struct{})}}, true, true},
		"locked":                    {map[string]any{"org.mate.ScreenSaver": &idler{locks: true}}, true, true},
		"idle beside":               {map[string]any{"org.mate.ScreenSaver": &idler{}, "org.freedesktop.ScreenSaver": saver{active: true}}, true, true},
		"one of two":                {map[string]any{"org.xfce.ScreenSaver": saver{active: true}, "org.mate.ScreenSaver": saver{active: false}}, true, true},
		"an error":                  {map[string]any{"org.freedesktop.ScreenSaver": saver{active: os.ErrInvalid}}, false, false},
		"another type":              {map[string]any{"org.freedesktop.ScreenSaver": text{}}, false, false},
		"one that hangs":            {map[string]any{"org.freedesktop.ScreenSaver": saver{}}, false, false},
		"one that hangs beside one": {map[string]any{"org.freedesktop.ScreenSaver": saver{}, "org.xfce.ScreenSaver": saver{active: true}}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			address := testlogind.StartBus(t)
			stop := make(chan struct{})
			defer close(stop)
			service, err := dbus.Connect(address)
			require.NoError(t, err)
			defer service.Close()
			for name, object := range c.services {
				if s, ok := object.(*idler); ok && s.deaf != nil {
					defer close(s.deaf)
				}
				if s, ok := object.(saver); ok {
					object = saver{s.active, stop}
				}
				for _, s := range savers {
					if s.name == name {
						require.NoError(t, service.Export(object, s.path, s.is))
					}
				}
				_, err := service.RequestName(name, dbus.NameFlagDoNotQueue)
				require.NoError(t, err)
			}
			conn, err := Dial(t.Context(), address)
			require.NoError(t, err)
			defer conn.Close()
			wait := patience
			if strings.Contains(name, "hangs") {
				wait = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			locked, known := ScreenLocked(ctx, conn)
			if name == "deaf" {
				assert.NoError(t, ctx.Err(), "it took all the time there was")
			}
			assert.Equal(t, c.locked, locked, "locked")
			assert.Equal(t, c.known, known, "known")
		})
	}
}

// A bus that takes nothing holds nobody up for long.
func TestBusThatTakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	raw, err := net.Dial("unix", path)
	require.NoError(t, err)
	silent, err := l.Accept()
	require.NoError(t, err)
	defer silent.Close()
	_, err = bounded{raw}.Write(make([]byte, 64<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = raw.Write([]byte{0})
	assert.ErrorIs(t, err, net.ErrClosed, "half a message may be out")
}
